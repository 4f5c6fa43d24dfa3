"""Weights in 8 bits, a scale for each output."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..layers import Joined, Linear
from ..transformer import Transformer

EMBEDDING = "embedding"  # tied to the output head, unless there is one named so
HEAD = "head"
_AT_ONCE = 2**16  # weights that are unpacked at once, which stay in the second cache


@dataclass(frozen=True)
class Rounded:
    """A weight in 8 bits: levels (out, in) int8, scales (out,) float32, their product."""

    levels: Tensor
    scales: Tensor

    @classmethod
    def of(cls, weight: Tensor, rows: int = 8192) -> Rounded:
        """Round a weight of any floating type, some rows at a time: as float32 the head of a
        1.1 B model alone would take 1.5 GB."""
        levels = torch.empty(weight.shape, dtype=torch.int8)
        scales = torch.empty(len(weight))
        for start in range(0, len(weight), rows):
            part = weight[start : start + rows].float()
            step = (part.abs().amax(1) / 127).clamp_(min=1e-12)
            levels[start : start + rows] = (part / step[:, None]).round_()
            scales[start : start + rows] = step
        return cls(levels, scales)

    @property
    def shape(self) -> torch.Size:
        return self.levels.shape

    def __len__(self) -> int:
        return len(self.levels)


@dataclass(frozen=True)
class Nibbles:
    """A weight in 4 bits that will be one in 8: level = number of 0 to 15 × step + least, rounded.

    Attributes:
        nibbles: (out, in / 2) uint8, two numbers each, the earlier one in the lower half.
        steps, least: (out, in / group) float32, of each group of inputs.
        scales: (out,) float32, as of `Rounded`.
    """

    nibbles: Tensor
    steps: Tensor
    least: Tensor
    scales: Tensor

    @classmethod
    def of(cls, nibbles: Tensor, steps: Tensor, least: Tensor) -> Nibbles:
        """Of steps and least values that are the weight's own, not its levels'."""
        steps, least = steps.float(), least.float()
        # A group's numbers reach from 0 to 15, so this is a row's largest weight.
        largest = torch.maximum(least.abs(), torch.add(least, steps, alpha=15).abs()).amax(1)
        scales = (largest / 127).clamp_(min=1e-12)
        return cls(nibbles, steps / scales[:, None], least / scales[:, None], scales)

    @property
    def levels(self) -> Tensor:
        """(out, in) int8."""
        out = torch.empty(self.shape, dtype=torch.int8)
        for some, levels in self.parts():
            out[some] = levels
        return out

    def parts(self, multiple: int = 1) -> Iterator[tuple[slice, Tensor]]:
        """`levels` by parts of rows, as float32 that is whole numbers.

        Args:
            multiple: of how many rows each part is, but the last.
        """
        rows = max(1, _AT_ONCE // self.shape[1] // multiple) * multiple
        for start in range(0, len(self), rows):
            some = slice(start, start + rows)
            yield some, unpacked(self.nibbles[some], self.steps[some], self.least[some]).round_()

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.nibbles), 2 * self.nibbles.shape[1]))

    def __len__(self) -> int:
        return len(self.nibbles)


def joined(parts: Sequence[Rounded | Nibbles]) -> Rounded | Nibbles:
    """The outputs of several, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    fields = ("levels", "scales"), ("nibbles", "steps", "least", "scales")
    groups = {p.steps.shape[1] if isinstance(p, Nibbles) else 0 for p in parts}
    kind = Nibbles if len(groups) == 1 and groups != {0} else Rounded
    names = fields[kind is Nibbles]
    return kind(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def unpacked(nibbles: Tensor, steps: Tensor, least: Tensor) -> Tensor:
    """(out, in) float32 of what `Nibbles` holds."""
    if sys.byteorder == "little":
        # In one number of 16 bits the halves of a byte come to lie in a byte each, as `stack` below
        # has them, in a sixth of its time.
        pairs = nibbles.short()
        pairs |= pairs << 4
        pairs &= 0x0F0F
        numbers = pairs.view(torch.uint8)
    else:
        numbers = torch.stack((nibbles & 15, nibbles >> 4), -1)
    weight = numbers.view(*steps.shape, -1).float()
    # `addcmul` would take three times as long over groups.
    weight.mul_(steps.float()[..., None]).add_(least.float()[..., None])
    return weight.view(len(nibbles), -1)


def products(network: Transformer) -> Iterator[tuple[str, Linear | Joined]]:
    """The products of the layers by their names; those of one input are one."""
    for index, block in enumerate(network.blocks):
        for part in ("attention.qkv", "attention.out", "feed_forward.up", "feed_forward.down"):
            yield f"blocks.{index}.{part}", block.get_submodule(part)


def round_all(network: Transformer) -> Iterator[tuple[str, Rounded]]:
    """What packing in 8 bits rounds, by the name of the layer."""
    for name, module in network.named_modules():
        if isinstance(module, Linear) or name == EMBEDDING:
            yield name, Rounded.of(module.weight)
