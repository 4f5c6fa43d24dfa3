"""Weights in 8 bits, a scale for each output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..layers import Joined, Linear
from ..transformer import Transformer

EMBEDDING = "embedding"  # tied to the output head, unless there is one named so
HEAD = "head"


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

    @classmethod
    def joined(cls, parts: Sequence[Rounded]) -> Rounded:
        """The outputs of several, one behind the other."""
        if len(parts) == 1:
            return parts[0]
        levels, scales = torch.cat([p.levels for p in parts]), torch.cat([p.scales for p in parts])
        return cls(levels, scales)

    def __len__(self) -> int:
        return len(self.levels)


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
