"""Pairs from prompts of one's own: cleaned, cut or answered, and every loss counted.

typed       the artist's own short prompt, where the source has it
cut         the first phrase of a good prompt is the low side, its other phrases the tail
summarised  a language model names what a good prompt shows
upgraded    a language model writes a better prompt for a short one
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from bp_core.rules.policy import permitted
from bp_core.text.dialect import dialect_of
from bp_core.text.words import clauses, words
from train.data.any_prompts import Row
from train.data.cleaning import clean, is_english, is_safe
from train.data.dedup import clusters, near

HIGH = 12  # words from which on a prompt counts as a good one
_TAIL = 3  # words that a tail must have
_PER_CLUSTER = 2  # prompts that may be near-duplicates of each other

Report = dict[str, int]


class Pair(NamedTuple):
    """What `train/sft.py` reads, and where it is from."""

    raw_prompt: str
    prompt: str
    mode: str
    dialect: str
    source: str
    cluster: int


def cleaned(rows: Sequence[Row], evaluation: Sequence[str], report: Report) -> list[Row]:
    """What is left of the rows; `report` gets how many each step took."""
    report["read"] = len(rows)
    kept = [Row(clean(r.raw), clean(r.prompt), r.source) for r in rows]
    kept = _take(kept, lambda r: len(words(r.prompt)) >= 2, "too short", report)
    kept = _take(kept, lambda r: is_english(r.prompt), "not English", report)
    kept = _take(kept, lambda r: is_safe(f"{r.raw} {r.prompt}"), "NSFW or politics", report)
    if evaluation and kept:
        close = near([r.prompt for r in kept], list(evaluation))
        close |= near([r.raw or r.prompt for r in kept], list(evaluation))
        report["near an evaluation prompt"] = int(close.sum())
        kept = [r for r, c in zip(kept, close, strict=True) if not c]
    return kept


def _take(rows: list[Row], good: Callable[[Row], bool], why: str, report: Report) -> list[Row]:
    kept = [row for row in rows if good(row)]
    report[why] = len(rows) - len(kept)
    return kept


def distinct(rows: list[Row], report: Report) -> tuple[list[Row], list[int]]:
    """At most two near-duplicates of each other, and the cluster of each row."""
    if not rows:
        return [], []
    seen: dict[int, int] = {}
    kept, ids = [], []
    for row, cluster in zip(rows, clusters([r.prompt for r in rows]).tolist(), strict=True):
        seen[cluster] = seen.get(cluster, 0) + 1
        if seen[cluster] <= _PER_CLUSTER:
            kept.append(row)
            ids.append(cluster)
    report["near-duplicates"] = len(rows) - len(kept)
    return kept, ids


def is_high(prompt: str) -> bool:
    """Whether a prompt is one to learn to write, not one to learn to read."""
    return len(words(prompt)) >= HIGH


def cut(prompt: str) -> tuple[str, str] | None:
    """(raw, tail): the phrase that a good prompt begins with, and those that may follow it."""
    phrases = clauses(prompt)
    for count in (1, 2):
        raw, rest = ", ".join(phrases[:count]), phrases[count:]
        if len(words(raw)) >= 2:
            break
    tail = permitted(rest, raw)
    if len(words(" ".join(tail))) < _TAIL:
        return None
    joint = ". " if dialect_of(prompt) == "prose" else ", "
    return raw, joint.join(tail)


def pairs_of(raw: str, prompt: str, source: str, cluster: int) -> list[Pair]:
    """A rewrite; and an addition too where the prompt goes on from the raw one's own words."""
    dialect = dialect_of(prompt)
    made = [Pair(raw, prompt, "rewrite", dialect, source, cluster)]
    begins = prompt.lower().startswith(raw.lower().rstrip(" .,"))
    tail = prompt[len(raw.rstrip(" .,")) :].strip(" .,;:") if begins else ""
    if len(words(tail)) >= _TAIL:
        made.append(Pair(raw, tail, "expand", dialect, source, cluster))
    return made


def cut_pairs(prompt: str, source: str, cluster: int) -> list[Pair]:
    """An addition, and the whole prompt as a rewrite: so a model learns to keep words, too."""
    parts = cut(prompt)
    if parts is None:
        return []
    raw, tail = parts
    dialect = dialect_of(prompt)
    joint = ". " if dialect == "prose" else ", "
    return [
        Pair(raw, tail, "expand", dialect, source, cluster),
        Pair(raw, f"{raw}{joint}{tail}", "rewrite", dialect, source, cluster),
    ]


def consistent(
    pairs: list[Pair], embed: Callable[[list[str]], np.ndarray], least: float, report: Report
) -> list[Pair]:
    """Pairs whose sides speak of the same: a cosine of `least` or more between them.

    Args:
        embed: texts to unit vectors, (n, d).
    """
    if not pairs:
        return []
    vectors = embed([p.raw_prompt for p in pairs] + [p.prompt for p in pairs])
    cosine = (vectors[: len(pairs)] * vectors[len(pairs) :]).sum(1)
    kept = [pair for pair, c in zip(pairs, cosine, strict=True) if c >= least]
    report[f"sides apart (cosine under {least:g})"] = len(pairs) - len(kept)
    return kept


def split(pairs: list[Pair], share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(training, validation) rows, shuffled; near-duplicates are on one side."""
    frame = pd.DataFrame(pairs, columns=Pair._fields)
    frame = frame.drop_duplicates(["raw_prompt", "prompt", "mode"], ignore_index=True)
    frame = frame.sample(frac=1, random_state=seed)
    ids = sorted(frame.cluster.unique())
    chosen = np.random.default_rng(seed).permutation(ids)[: max(1, round(share * len(ids)))]
    held = frame.cluster.isin(chosen if len(ids) > 1 else [])
    return frame[~held], frame[held]
