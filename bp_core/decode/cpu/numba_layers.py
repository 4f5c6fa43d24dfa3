"""Layers over numba's products, where numba is installed.

PyTorch's products of one row stop well short of the memory's bandwidth; the kernels' read weights
at the speed of memory.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from . import machine_code
from .rounding import Nibbles, Rounded


def installed() -> bool:
    """Whether numba is there; `self_check` finds out whether it works."""
    return importlib.util.find_spec("numba") is not None


def kernels(kind: str) -> Any:
    """`numba_kernels`, or what it names for weights of a kind out of machine code that is kept."""
    code = machine_code.of(kind)
    if code is not None:
        return code
    from . import numba_kernels

    return numba_kernels


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="beautifulprompt")


def together(function: Callable, threads: int, *args) -> None:
    """Run one of `numba_kernels` on several threads at once, this one among them."""
    bound = getattr(function, "bound", None)
    call = functools.partial(function, *args) if bound is None else bound(*args)
    others = [_pool().submit(call) for _ in range(threads - 1)]
    call()
    for other in others:
        # One that has not begun by now is not needed any more.
        if not other.cancel():
            other.result()


class Room:
    """One piece of memory for the weights of a network, in the order of their use: what a product
    asks for ahead of its end is then the next one's, and not in vain."""

    def __init__(self, kind: str, shapes: Iterable[tuple[int, int]]) -> None:
        """For weights (outputs, inputs) of a kind."""
        code = kernels(kind)
        number = (code.INT8 if kind == "int8" else code.HALF).dtype
        sizes = [math.prod(_filled(shape, code.TILES[number])) for shape in shapes]
        self._left = torch.empty(sum(sizes) * number.itemsize, dtype=torch.uint8)

    def take(self, size: int) -> Tensor:
        """The next bytes."""
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def _filled(shape: Sequence[int], tile: Sequence[int]) -> list[int]:
    """A shape (outputs, inputs), up to whole tiles."""
    return [-(-have // full) * full for have, full in zip(shape, tile, strict=True)]


class TiledLinear(nn.Module):
    """y = x Wᵀ + b with W in float16 or, one scale an output, in 8 bits.

    float16 weights are multiplied in float32. For 8-bit ones activations are rounded to 16 bits, a
    scale each row, and the products are exact.

    Attributes:
        tiles: W, (outputs / m, inputs / k, m, k), filled up with zeros.
    """

    def __init__(
        self,
        weight: Tensor | Nibbles,
        scales: Tensor | None,
        bias: Tensor | None,
        room: Room | None = None,
    ) -> None:
        """Over a copy of the weight.

        Args:
            weight: (outputs, inputs), float16, int8 or on the way to that.
            scales: (outputs,) what int8 weights are multiplied by; None for float16.
            bias: (outputs,) or None.
            room: where the copy goes, if not in memory of its own.
        """
        super().__init__()
        integers = isinstance(weight, Nibbles) or weight.dtype == torch.int8
        code = kernels("int8" if integers else "float16")
        self._kernel, self._counters = code.linear, code.counters
        self.kind = code.INT8 if integers else code.HALF
        self.outputs, self.inputs = weight.shape
        tile = self._tile = code.TILES[self.kind.dtype]
        self._filled, self._width = _filled(weight.shape, tile)
        number = torch.int8 if integers else torch.float16
        size = self._filled * self._width * number.itemsize
        place = torch.empty(size, dtype=torch.uint8) if room is None else room.take(size)
        shape = self._filled // tile[0], self._width // tile[1], *tile
        self.tiles = place.view(number).view(shape)
        if isinstance(weight, Nibbles) and list(weight.shape) == [self._filled, self._width]:
            for some, levels in weight.parts(tile[0]):
                self._lay(levels.to(number), some.start // tile[0])
        else:
            weight = weight.levels if isinstance(weight, Nibbles) else weight.detach()
            missing = 0, self._width - self.inputs, 0, self._filled - self.outputs
            self._lay(nn.functional.pad(weight, missing) if any(missing) else weight, 0)
        self.scale, self.bias = torch.zeros(2, self._filled).unbind()
        self.scale[: self.outputs] = 1.0 if scales is None else scales
        if bias is not None:
            self.bias[: self.outputs] = bias
        self._constant = self.scale.numpy(), self.bias.numpy()

    def _lay(self, weight: Tensor, first: int) -> None:
        """Outputs' weights into the tiles from the `first` on."""
        outputs, inputs = self._tile
        # In numbers as large as they come: PyTorch copies few of them faster than many small ones.
        whole = torch.int32 if inputs * weight.itemsize % 8 else torch.int64
        rows = weight.contiguous().view(whole)
        count, across = len(rows) // outputs, self._width // inputs
        tiles = self.tiles[first : first + count].view(whole).view(count, across, outputs, -1)
        tiles.copy_(rows.view(count, outputs, across, -1).transpose(1, 2))

    @classmethod
    def packed(
        cls,
        kind: str,
        room: Room | None,
        weight: Tensor | Rounded | Nibbles,
        bias: Tensor | None,
    ) -> TiledLinear:
        """Of a weight of any floating type, as "float16" or "int8"."""
        if kind == "float16":
            return cls(weight.half(), None, bias, room)
        if isinstance(weight, Nibbles):
            return cls(weight, weight.scales, bias, room)
        rounded = weight if isinstance(weight, Rounded) else Rounded.of(weight)
        return cls(rounded.levels, rounded.scales, bias, room)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs), float32."""
        rows = x.reshape(-1, self.inputs)
        if self._width != self.inputs:
            rows = nn.functional.pad(rows, (0, self._width - self.inputs))
        rows = rows.contiguous()
        y = torch.empty(len(rows), self._filled)
        threads = torch.get_num_threads()
        together(
            self._kernel, threads, self.kind, self.tiles.data_ptr(), *self._constant,
            rows.numpy(), y.numpy(), threads, self._counters(1),
        )  # fmt: skip
        return y[:, : self.outputs].view(*x.shape[:-1], self.outputs)

    def rows(self, index: Tensor) -> Tensor:
        """Rows of W at any index (…), as float32 (…, inputs)."""
        tiles = self.tiles[index // self._tile[0], :, index % self._tile[0]].float()
        return tiles.flatten(-2)[..., : self.inputs] * self.scale[index][..., None]


class TiledEmbedding(nn.Module):
    """Embeddings out of the head that they are tied to, so that they lie in memory once."""

    def __init__(self, head: TiledLinear) -> None:
        super().__init__()
        self._rows = head.rows

    def forward(self, ids: Tensor) -> Tensor:
        return self._rows(ids)
