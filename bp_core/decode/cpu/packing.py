"""Puts packed layers in the place of a network's products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from ..layers import Joined, Linear
from ..transformer import Transformer
from .rounding import EMBEDDING, HEAD, Nibbles, Rounded, joined, products

Weight = Tensor | Rounded | Nibbles
Make = Callable[[Weight, Tensor | None], nn.Module]


def replace_products(
    network: Transformer,
    make: Make,
    rounded: Mapping[str, Rounded | Nibbles],
    tie: Callable[[nn.Module], nn.Module] | None = None,
) -> None:
    """Replace each product of the layers, those of one input together, and the head.

    Weights may be of any floating type; afterwards the network computes in float32.

    Args:
        make: a layer of a weight and a bias.
        rounded: weights in 8 bits by the names of their layers, to be taken instead; each is asked
            for once.
        tie: makes embeddings of a head that they are tied to.
    """
    # First, because the largest weight lies in memory twice while it is packed.
    tied = network.head is None
    network.head = make(_table(network, rounded), None)
    if tied and tie is not None:
        network.embedding = tie(network.head)
    elif network.embedding.weight.is_meta:
        network.embedding = RoundedEmbedding(rounded[EMBEDDING])
    for name, module in list(products(network)):
        parts = list(module) if isinstance(module, Joined) else [module]
        names = [f"{name}.{i}" for i in range(len(parts))] if len(parts) > 1 else [name]
        owner, _, leaf = name.rpartition(".")
        layer = make(_weight(parts, names, rounded), _bias(parts))
        setattr(network.get_submodule(owner), leaf, layer)
    for block in network.blocks:
        for part in (block.attention_norm, block.feed_forward_norm, block.attention):
            part.float()  # of the attention the norms of queries and keys
    for part in (network.norm, network.embedding_norm, network.position_embedding):
        if part is not None:
            part.float()


def shapes(network: Transformer) -> Iterator[tuple[int, int]]:
    """(outputs, inputs) of each product that `replace_products` makes, in its order."""
    head = network.embedding if network.head is None else network.head
    yield tuple(head.weight.shape)
    for _, module in products(network):
        parts = list(module) if isinstance(module, Joined) else [module]
        outputs, inputs = zip(*(part.weight.shape for part in parts), strict=True)
        yield sum(outputs), inputs[0]


class RoundedEmbedding(nn.Module):
    """Embeddings in 8 bits."""

    def __init__(self, table: Rounded | Nibbles) -> None:
        super().__init__()
        self._levels, self._scales = table.levels, table.scales

    def forward(self, ids: Tensor) -> Tensor:
        return self._levels[ids] * self._scales[ids][..., None]


def _table(network: Transformer, rounded: Mapping[str, Rounded | Nibbles]) -> Weight:
    name = EMBEDDING if network.head is None else HEAD
    return rounded[name] if name in rounded else network.get_submodule(name).weight


def _weight(
    parts: list[Linear], names: list[str], rounded: Mapping[str, Rounded | Nibbles]
) -> Weight:
    if names[0] in rounded:
        return joined([rounded[name] for name in names])
    return parts[0].weight if len(parts) == 1 else torch.cat([part.weight for part in parts])


def _bias(parts: list[Linear]) -> Tensor | None:
    if parts[0].bias is None:
        return None
    return parts[0].bias if len(parts) == 1 else torch.cat([part.bias for part in parts])
