"""Prompts that were read lately, so that a second click, another seed or count reads none again.

For networks whose weights never change; `cuda.decoder` says why it does without.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .transformer import KVCache, Transformer

Prefill = Callable[[Sequence[Sequence[int]], int], tuple[Tensor, KVCache]]


class KeptPrompts:
    """Keys, values and logits of the last few calls of one network, whose weights never change.

    Args:
        most: calls; size: bytes of all of them together.
    """

    def __init__(self, most: int = 4, size: int = 2**24) -> None:
        self._most, self._size = most, size
        self._lock = threading.Lock()
        self._kept: dict[tuple[tuple[int, ...], ...], tuple[Tensor, Tensor]] = {}

    def prefill(
        self, network: Transformer, prompts: Sequence[Sequence[int]], room: int, read: Prefill
    ) -> tuple[Tensor, KVCache]:
        """What `read` gives for these prompts and this room, to the bit."""
        key = tuple(map(tuple, prompts))
        with self._lock:
            kept = self._kept.pop(key, None)
            if kept is not None:
                self._kept[key] = kept  # the latest
        if kept is None:
            logits, cache = read(prompts, room)
            self._keep(key, logits.clone(), cache.data.narrow(4, 0, cache.length).clone())
            return logits, cache
        logits, data = kept
        _, cache = network.begin(prompts, room)
        cache.grow(data.shape[4]).copy_(data)
        return logits.clone(), cache

    def _keep(self, key: tuple[tuple[int, ...], ...], logits: Tensor, data: Tensor) -> None:
        with self._lock:
            self._kept[key] = logits, data
            while len(self._kept) > self._most or self.nbytes > self._size:
                del self._kept[next(iter(self._kept))]

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept."""
        return sum(_bytes(each) for pair in self._kept.values() for each in pair)


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
