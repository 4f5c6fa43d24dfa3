"""Tails for plain captions: phrases that artists added to the prompts most like them.

A caption ("a bench in a park") has no tail of its own, yet is what people type. It is lent phrases
that several artists use (light, mood, medium, rendering) and that stand behind similar subjects.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from bp_core.text.words import clauses, content_stems

_NEIGHBOURS = 8
_NEAR = 0.25  # least tf-idf cosine of a neighbour's low side
_SHARED = 4  # clusters of prompts that must use a phrase before it may be lent
_LONGEST = 4  # words of a lent phrase: longer ones tell of their own subject
_BLOCK = 1024


def borrow(
    captions: Sequence[str],
    pairs: Sequence[tuple[str, str, int]],
    tail: Callable[[str, list[str]], str],
    rng: random.Random,
) -> list[tuple[str, str]]:
    """(caption, tail) for the captions that have near neighbours among `pairs`.

    Args:
        pairs: (raw, tail, near-duplicate cluster) of real prompts.
        tail: makes a tail for a raw prompt from phrases, or "" (`PairMaker.tail`).
    """
    uses = {(phrase, cluster) for _, text, cluster in pairs for phrase in clauses(text)}
    count = Counter(phrase for phrase, _ in uses if len(phrase.split()) <= _LONGEST)
    vectorizer = TfidfVectorizer(analyzer=content_stems, sublinear_tf=True, dtype=np.float32)
    known = vectorizer.fit_transform([raw for raw, *_ in pairs])
    lent = []
    for start in range(0, len(captions), _BLOCK):
        block = captions[start : start + _BLOCK]
        likeness = (vectorizer.transform(block) @ known.T).tocsr()
        for i, caption in enumerate(block):
            row = likeness[i]
            order = np.argsort(-row.data)[:_NEIGHBOURS]
            phrases = [
                phrase
                for j in order
                if row.data[j] >= _NEAR
                for phrase in clauses(pairs[row.indices[j]][1])
                if count[phrase] >= _SHARED
            ]
            rng.shuffle(phrases)
            text = tail(caption, phrases[: rng.randint(4, 9)])
            if text:
                lent.append((caption, text))
    return lent
