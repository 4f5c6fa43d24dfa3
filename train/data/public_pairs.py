"""Pairs from public prompt pools: a short prompt, and what a good artist adds to it.

Every pool prompt is cleaned, near-duplicates (also of the evaluation sets) are dropped, and the
rest is cut into a low and a high side:

    rule      the first phrases of a good prompt are the low side, its other phrases the tail
    podvodka  a GPT-3 description is the low side, the Discord prompt it describes the high side
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pandas as pd

from bp_core.rules.policy import permitted
from bp_core.text.words import STOPWORDS, clauses, content_stems, words
from train.data.cleaning import Names, clean, is_english, is_safe
from train.data.dedup import clusters, near
from train.data.pools import read_captions, read_evaluation_sets, read_podvodka, read_pools

# What describes a broken picture, or nothing: negative-prompt fragments, sites, camera counters.
_USELESS = frozenset(
    "blurry ugly deformed watermark signature lowres worst amateur mutated disfigured cropped "
    "error jpeg artifacts duplicate seed prompt http www com pinterest instagram facebook "
    "flickr ebay sdxl sd midjourney dalle stable diffusion text written words reading said says "
    "screen picture".split()
)
# A phrase that hangs on to another sentence.
_DANGLING = frozenset(
    "but because so and or which who that it its they their them when while then is are was has "
    "have this these those there i you we if".split()
)
# Words for the medium or the manner: a low side needs something besides.
_MEDIA = frozenset(
    "portrait photo photograph photography picture image painting drawing sketch art artwork "
    "illustration render rendering style scene still shot closeup close up view concept design "
    "poster logo film movie cinematic film stills print wallpaper hd 4k 8k 3d 2d detail details "
    "quality lighting light resolution color colors colour colours background version front "
    "middle center side".split()
)
_PREPOSITIONS = frozenset(
    "in on at under against inside from with by near behind between above below beside after "
    "before during through into over of as like".split()
)


@dataclass(frozen=True)
class Limits:
    """Sizes of a pair, in words."""

    raw: int = 40  # longest low side
    tail_min: int = 7
    tail_max: int = 34
    clause: int = 16  # longest phrase of a tail
    common: float = 0.004  # share of prompts above which a phrase is thinned out


class PairMaker:
    """Cuts cleaned prompts into pairs.

    Args:
        vocabulary: words allowed in what the model learns to write; the rest is names and typos.
        nouns: words that stand at the end of a noun phrase; a low side needs one.
        frequency: share of pool prompts (0-1) that hold a phrase; phrases above `limits.common`
            are kept with probability sqrt(common / frequency), or the model would learn one stock
            tail (word2vec's subsampling, Mikolov et al. 2013).
    """

    def __init__(
        self,
        names: Names,
        vocabulary: frozenset[str],
        nouns: frozenset[str],
        frequency: dict[str, float],
        limits: Limits,
        rng: random.Random,
    ) -> None:
        self.names, self.vocabulary, self.nouns = names, vocabulary, nouns
        self.frequency, self.limits, self.rng = frequency, limits, rng

    def teachable(self, clause: str) -> bool:
        """True for a phrase that the model may learn to write."""
        run = words(clause.lower())
        if not 0 < len(run) <= self.limits.clause or any(w in _USELESS for w in run):
            return False
        if run[0] in _DANGLING or '"' in clause or any(w not in self.vocabulary for w in run):
            return False
        share = self.frequency.get(clause.lower(), 0.0)
        return share <= self.limits.common or (
            self.rng.random() < (self.limits.common / share) ** 0.5
        )

    def tail(self, raw: str, phrases: list[str]) -> str:
        """The phrases that follow `raw`, at most `tail_max` words; "" when too few are left."""
        tail, length = [], 0
        for clause in permitted(phrases, raw, lambda c: not self.teachable(c)):
            size = len(clause.split())
            if length + size > self.limits.tail_max:
                break
            tail.append(clause)
            length += size
        return ", ".join(tail).lower() if length >= self.limits.tail_min else ""

    def has_subject(self, raw: str) -> bool:
        """True when `raw` names a thing, so that what follows it need not."""
        run = words(raw.lower())
        if run and run[0] in _PREPOSITIONS and "," not in raw:
            return False
        return any(w in self.nouns and w not in _MEDIA for w in run)

    def cut(self, prompt: str) -> tuple[str, str] | None:
        """(raw, tail) at a random phrase boundary in the first half of a cleaned prompt."""
        phrases = self.names.without_credits(prompt)
        if not phrases:
            return None
        first = split_sentence(phrases[0], self.rng) if self.rng.random() < 0.3 else None
        if first:
            phrases[:1] = first
        if len(phrases) < 2:
            return None
        keep = 1 if self.rng.random() < 0.7 else self.rng.randint(1, max(1, len(phrases) // 2))
        raw = ", ".join(phrases[:keep])
        if not self.has_subject(raw) or len(raw.split()) > self.limits.raw:
            return None
        tail = self.tail(raw, phrases[keep:])
        return (raw, tail) if tail else None


def split_sentence(sentence: str, rng: random.Random) -> list[str] | None:
    """A sentence as (subject, "with …"): makes short low sides out of descriptive prompts."""
    run = sentence.split()
    places = [
        i
        for i in range(2, len(run) - 2)
        if run[i] in ("with", "wearing", "surrounded", "covered", "against", "amidst", "under")
    ]
    if not places:
        return None
    at = rng.choice(places)
    return [" ".join(run[:at]), " ".join(run[at:])]


def vary(raw: str, rng: random.Random) -> str:
    """The low side as different people type it: with or without article, capital, full stop."""
    if rng.random() < 0.25:
        raw = raw.removeprefix("a ").removeprefix("an ").removeprefix("the ")
    if rng.random() < 0.25 and len(raw.split()) > 4:
        raw += "."
    return raw


def clause_frequency(prompts: list[str]) -> dict[str, float]:
    """Share of prompts that hold each phrase."""
    count = Counter(c for p in prompts for c in {c.lower() for c in clauses(p)})
    return {clause: k / len(prompts) for clause, k in count.items()}


def known_words(
    captions: list[str], prompts: list[str], names: Names, common: frozenset[str]
) -> frozenset[str]:
    """Words of plain English text, and style words that many prompts share."""
    count = Counter(w for p in prompts for w in set(words(p.lower())))
    style = {w for w, k in count.items() if k >= 20 and w not in names.parts}
    return frozenset(w for w in common | style if len(w) > 1 or w == "a")


def known_nouns(captions: list[str]) -> frozenset[str]:
    """Words that end a noun phrase of plain captions more often than not."""
    total: Counter[str] = Counter()
    final: Counter[str] = Counter()
    for caption in captions:
        run = [*words(caption.lower()), "of"]
        total.update(run[:-1])
        final.update(
            w for w, after in pairwise(run) if after in _PREPOSITIONS or after in _DANGLING
        )
    return frozenset(
        w for w, k in total.items() if k >= 3 and final[w] >= 0.4 * k and w not in STOPWORDS
    )


def build(
    data: Path, seed: int, limits: Limits, cuts: int
) -> tuple[pd.DataFrame, dict[str, int], list[str]]:
    """All pairs, how many prompts each step left, and the texts to learn a vocabulary from."""
    rng = random.Random(seed)
    report: dict[str, int] = {}
    captions = read_captions(data)
    pools = read_pools(data)
    plain = Counter(w for t in captions + pools["unigenbench"] for w in words(t.lower()))
    common = frozenset(w for w, k in plain.items() if k >= 3)
    names = Names(
        (data / "clip_interrogator/artists.txt").read_text(encoding="utf-8").splitlines(),
        frozenset(w for w, k in plain.items() if k >= 12),
    )

    rows = []  # (source, raw or "", cleaned prompt)
    for source, prompts in pools.items():
        rows += [(source, "", clean(p)) for p in prompts]
    rows += [("podvodka", clean(low), clean(high)) for low, high in read_podvodka(data)]
    report["read"] = len(rows)
    rows = [r for r in rows if is_english(r[2]) and is_safe(r[1] + " " + r[2])]
    report["english and safe"] = len(rows)
    evaluation = [p for prompts in read_evaluation_sets(data).values() for p in prompts]
    for field in (1, 2):
        drop = near([r[field] for r in rows], evaluation)
        rows = [r for r, d in zip(rows, drop, strict=True) if not d]
    report["far from evaluation prompts"] = len(rows)
    ids = clusters([r[2] for r in rows])
    seen: Counter[int] = Counter()
    unique = []
    for row, cluster in zip(rows, ids, strict=True):
        seen[cluster] += 1
        if seen[cluster] <= 2 or row[1]:
            unique.append((*row, int(cluster)))
    report["after near-duplicates"] = len(unique)

    prompts = [r[2] for r in unique]
    descriptions = [r[1] for r in unique if r[1]]
    maker = PairMaker(
        names,
        known_words(captions, prompts, names, common),
        known_nouns(captions + descriptions),
        clause_frequency(prompts),
        limits,
        rng,
    )
    pairs = []
    for source, low, high, cluster in unique:
        if low:
            pairs += from_description(maker, low, high, cluster)
        for cut in {maker.cut(high) for _ in range(cuts)} - {None}:
            raw, tail = cut
            pairs += both_modes(vary(raw, rng), tail, source, cluster)
    far = near(captions, evaluation)
    plain_captions = [clean(c) for c, d in zip(captions, far, strict=True) if not d]
    pairs += [("", caption, "text", "coco30k", -1) for caption in plain_captions]
    frame = pd.DataFrame(pairs, columns=["raw_prompt", "prompt", "mode", "source", "cluster"])
    frame = frame.drop_duplicates(["raw_prompt", "prompt", "mode"])
    for (source, mode), k in frame.groupby(["source", "mode"]).size().items():
        report[f"pairs: {source}, {mode}"] = int(k)
    texts = captions + [text for row in unique for text in row[1:3] if text]
    return frame, report, texts


def both_modes(raw: str, tail: str, source: str, cluster: int) -> list[tuple]:
    """The tail alone, and a whole prompt that begins with every word of `raw`.

    Without many of the second kind a small model never learns to copy, and a rewrite loses the
    artist's words.
    """
    return [
        (raw, tail, "expand", source, cluster),
        (raw, f"{raw.rstrip('.')}, {tail}", "rewrite", source, cluster),
    ]


def from_description(maker: PairMaker, low: str, high: str, cluster: int) -> list[tuple]:
    """Pairs of a GPT-3 description and its prompt: a tail, and a rewrite that keeps every word."""
    if not maker.has_subject(low):
        return []
    phrases = maker.names.without_credits(high)
    pairs = []
    tail = maker.tail(low, phrases)
    if tail:
        pairs.append((low, tail, "expand", "podvodka", cluster))
    asked = set(content_stems(low))
    fitting = [c for c in phrases if maker.teachable(c) or asked.intersection(content_stems(c))]
    text = ", ".join(fitting)
    answered = content_stems(text)
    if asked <= set(answered) and len(answered) >= len(asked) + 4 and len(text.split()) <= 60:
        pairs.append((low, text, "rewrite", "podvodka", cluster))
    return pairs
