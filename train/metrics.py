"""Figures for what a rewriter writes: kept words, added words, repetition, diversity, drift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median

from bp_core.blocklist import Blocklist
from bp_core.guard import three_word_runs
from bp_core.rewriter import Result
from bp_core.scene import adds_people
from bp_core.words import clauses, content_stems, words

# What people append to any prompt whatever: the baseline that a rewriter must beat.
FIXED_TAIL = "highly detailed, digital painting, artstation, concept art, sharp focus, illustration"


@dataclass(frozen=True)
class Figures:
    """Means over prompts unless said otherwise.

    Attributes:
        kept: share (0-1) of the content words of the prompt in the best candidate.
        kept_all: the same over all candidates.
        added_words: median number of words that the best candidate adds.
        blocked, repeated, twice: share of the candidates that add a blocked term, a content word
            of the prompt (expand only), or a phrase twice.
        distinct_bigrams: bigrams of the added words of one prompt's candidates, different ones
            over all (0-1).
        unasked_people: share of the best candidates that add a person or a part of one to a
            prompt without, or make a portrait of what was none.
        commonest, commonest_share: the added phrase that most best candidates share.
        unchanged: share of prompts for which there was no candidate.
        candidates: mean number of distinct candidates.
    """

    kept: float
    kept_all: float
    added_words: float
    blocked: float
    repeated: float
    twice: float
    distinct_bigrams: float
    unasked_people: float
    commonest: str
    commonest_share: float
    unchanged: float
    candidates: float


def measure(results: Sequence[Result]) -> Figures:
    """Figures of one rewriter's results; needs at least one result with a candidate."""
    done = [r for r in results if r.candidates]
    best = [r.candidates[0] for r in done]
    every = [(r.prompt, c) for r in done for c in r.candidates]
    phrases = Counter(p.lower() for c in best for p in set(c.added))
    commonest, count = phrases.most_common(1)[0] if phrases else ("", 0)
    return Figures(
        kept=mean(c.kept for c in best),
        kept_all=mean(c.kept for _, c in every),
        added_words=median(len(words(" ".join(c.added))) for c in best),
        blocked=mean(
            any(Blocklist(allow=prompt).find(phrase) for phrase in c.added) for prompt, c in every
        ),
        repeated=mean(_repeats(prompt, c.added) for prompt, c in every),
        twice=mean(_twice(c.added) for _, c in every),
        distinct_bigrams=mean(distinct_bigrams([c.added for c in r.candidates]) for r in done),
        unasked_people=mean(
            any(adds_people(phrase, r.prompt) for phrase in r.candidates[0].added) for r in done
        ),
        commonest=commonest,
        commonest_share=count / len(done),
        unchanged=1 - len(done) / len(results),
        candidates=mean(len(r.candidates) for r in results),
    )


def _repeats(prompt: str, added: Sequence[str]) -> bool:
    taken = set(content_stems(prompt))
    return any(taken.intersection(content_stems(phrase)) for phrase in added)


def _twice(added: Sequence[str]) -> bool:
    """True when a phrase comes twice, or a run of three words does."""
    phrases = [p.lower() for a in added for p in clauses(a)]
    runs = [run for phrase in phrases for run in three_word_runs(phrase)]
    return len(set(phrases)) < len(phrases) or len(set(runs)) < len(runs)


def distinct_bigrams(candidates: Sequence[Sequence[str]]) -> float:
    """Different over all bigrams of the added words of several candidates, 0-1."""
    pairs = [
        pair for added in candidates for phrase in added for pair in pairwise(words(phrase.lower()))
    ]
    return len(set(pairs)) / len(pairs) if pairs else 1.0
