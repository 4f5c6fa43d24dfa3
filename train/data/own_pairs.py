"""Pairs from prompts of one's own: cleaned, cut or answered, and every loss counted.

typed       the artist's own short prompt, where the source has it
captioned   a model says what the picture of a good prompt shows
cut         the first phrase of a good prompt is the low side, its other phrases the tail
summarised  a language model names what a good prompt shows
upgraded    a language model writes a better prompt for a short one
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from bp_core.rules.policy import permitted
from bp_core.text.dialect import dialect_of
from bp_core.text.words import clauses, words
from train.data.any_prompts import Row
from train.data.cleaning import clean, is_english, is_safe
from train.data.dedup import clusters, near
from train.data.held_out import parts
from train.data.workers import Workers

HIGH = 12  # words from which on a prompt counts as a good one
_TAIL = 3  # words that a tail must have
_PER_CLUSTER = 2  # prompts that may be near-duplicates of each other
_WASHED = 5000  # rows that a worker cleans at a time
_FLAWS = ("too short", "not English", "NSFW or politics")

Report = dict[str, int]


class Pair(NamedTuple):
    """What `train/sft.py` reads, and where it is from."""

    raw_prompt: str
    prompt: str
    mode: str
    dialect: str
    source: str
    cluster: int


def wash(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """Each row without syntax and parameters, and why it is of no use ("" if it is of use)."""
    return [(row, _flaw(row)) for row in (r._replace(**_plain(r)) for r in rows)]


def _plain(row: Row) -> dict[str, str]:
    return {name: clean(getattr(row, name)) for name in ("raw", "prompt", "caption")}


def _flaw(row: Row) -> str:
    if len(words(row.prompt)) < 2:
        return _FLAWS[0]
    if not is_english(row.prompt):
        return _FLAWS[1]
    return "" if is_safe(f"{row.raw} {row.prompt}") else _FLAWS[2]


def cleaned(
    rows: Sequence[Row], evaluation: Sequence[str], report: Report, workers: Workers
) -> list[Row]:
    """What is left of the rows; `report` gets how many each step took."""
    report["read"] = len(rows)
    washed = workers.run(partial(_itself, wash), list(rows), _WASHED, "cleaning")
    kept = [row for row, flaw in washed if not flaw]
    flaws = Counter(flaw for _, flaw in washed)
    report |= {flaw: flaws[flaw] for flaw in _FLAWS}
    if evaluation and kept:
        close = near([r.prompt for r in kept], list(evaluation))
        close |= near([r.raw or r.prompt for r in kept], list(evaluation))
        report["near an evaluation prompt"] = int(close.sum())
        kept = [r for r, c in zip(kept, close, strict=True) if not c]
    return kept


def _itself(worker: Callable) -> Callable:
    return worker


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


def split(pairs: list[Pair], shares: Mapping[str, float], seed: int) -> dict[str, pd.DataFrame]:
    """Rows to train on, and parts to hold out, shuffled; near-duplicates are in one part.

    Args:
        shares: of the clusters (0-1), by part; a part gets one at least.
    """
    frame = pd.DataFrame(pairs, columns=Pair._fields)
    frame = frame.drop_duplicates(["raw_prompt", "prompt", "mode"], ignore_index=True)
    frame = frame.sample(frac=1, random_state=seed)
    names = ["train", *shares]
    part = parts(frame.cluster, list(shares.values()), seed)
    return {name: frame[part == number] for number, name in enumerate(names)}
