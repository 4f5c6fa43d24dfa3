"""Which rows validate: of what the project ships one prompt in 33, of other data whole clusters."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

_ONE_IN = 33


def held_out(prompt: str) -> bool:
    """Whether a prompt's rows validate, by its hash, so that more data moves none; capitals make no
    other prompt of it."""
    return int(hashlib.md5(prompt.lower().encode()).hexdigest(), 16) % _ONE_IN == 0


def parts(clusters: Sequence[int] | np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """The part (n,) that each row is in: 0 to learn from, 1 and up held out; clusters stay whole.

    Args:
        clusters: ids (n,) of near-duplicates (`train.data.dedup`).
        shares: of the clusters (0-1), one for each part. A part gets one at least, as long as one
            is left to learn from.
    """
    ids = np.asarray(clusters)
    drawn = np.random.default_rng(seed).permutation(np.unique(ids))
    part, start = np.zeros(len(ids), int), 0
    for number, share in enumerate(shares, 1):
        end = max(start, min(start + max(1, round(share * len(drawn))), len(drawn) - 1))
        part[np.isin(ids, drawn[start:end])] = number
        start = end
    return part
