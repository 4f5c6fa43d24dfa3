"""How many of torch's threads a small network is worth."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch

# Up to this width of a network, threads cost more than they bring.
_NARROW = 512


class Network(Protocol):
    """What is asked of a network; those without a `width` are taken for wide."""

    @property
    def device(self) -> torch.device: ...


@contextmanager
def few_threads(network: Network) -> Iterator[None]:
    """One thread for a narrow network on the CPU, the host's own number again afterwards.

    Threads wait for each other at every operation: beside a host that keeps a core busy, two need
    many times what one does.
    """
    narrow = getattr(network, "width", _NARROW + 1) <= _NARROW
    if not narrow or network.device.type != "cpu":
        yield
        return
    before = torch.get_num_threads()
    if before == 1:  # the caller has seen to it
        yield
        return
    torch.set_num_threads(1)
    # The number holds for this thread, and for every one that begins to compute while it stands: a
    # host's that renders, say. Said once more in another thread, the host's number holds for those
    # again, but for an instant.
    another = threading.Thread(target=torch.set_num_threads, args=(before,))
    another.start()
    another.join()
    try:
        yield
    finally:
        torch.set_num_threads(before)
