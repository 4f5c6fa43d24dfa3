"""The numbers that shape a network, and the names of its tensors in a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import ModelError


class Unsupported(ModelError):
    """A network that our decoder does not build; `transformers` may."""


@dataclass(frozen=True)
class Names:
    """How a family's checkpoints call what a `Transformer` is made of.

    Attributes:
        prefix: stands in front of all names but the head's in checkpoints of causal LMs.
        outside, layer: (ours, theirs) of modules outside of the layers and in each of them.
        layers: their name for the layers.
        transposed: modules whose weight they keep as (inputs, outputs), by our names.
        ignored: endings of tensors that carry nothing.
    """

    prefix: str
    layers: str
    outside: tuple[tuple[str, str], ...]
    layer: tuple[tuple[str, str], ...]
    transposed: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def ours(self, name: str) -> str | None:
        """Our name of a checkpoint's tensor; None for one that we do not know."""
        owner, _, leaf = name.removeprefix(self.prefix).rpartition(".")
        for mine, theirs in self.outside:
            if owner == theirs:
                return f"{mine}.{leaf}"
        start, _, rest = owner.partition(f"{self.layers}.")
        index, _, part = rest.partition(".")
        if not start and index.isdigit():
            for mine, theirs in self.layer:
                if part == theirs:
                    return f"blocks.{index}.{mine}.{leaf}"
        return None

    def theirs(self, name: str) -> str:
        """A tensor's name in a checkpoint of a causal LM."""
        owner, _, leaf = name.rpartition(".")
        if owner == "head":
            return f"lm_head.{leaf}"
        if owner.startswith("blocks."):
            _, index, part = owner.split(".", 2)
            return f"{self.prefix}{self.layers}.{index}.{dict(self.layer)[part]}.{leaf}"
        return f"{self.prefix}{dict(self.outside)[owner]}.{leaf}"

    def is_transposed(self, name: str) -> bool:
        """Whether a tensor of ours lies the other way round in a checkpoint."""
        owner, _, leaf = name.rpartition(".")
        return leaf == "weight" and owner.endswith(self.transposed) and bool(self.transposed)

    def is_ignored(self, name: str) -> bool:
        return name.endswith(self.ignored) and bool(self.ignored)


_MOST_LAYERS, _MOST_PARAMETERS = 1000, 10**12


@dataclass(frozen=True)
class Rotation:
    """Rotary positions (RoFormer, arXiv 2104.09864) of the first and second halves of a head.

    Attributes:
        frequencies: radians a token of each pair, (head_dim / 2).
        without: layers that do without.
    """

    frequencies: tuple[float, ...]
    without: tuple[int, ...] = ()


@dataclass(frozen=True)
class Config:
    """What a `Transformer` is built of.

    Attributes:
        n_key_head: heads of keys and values; each is shared by n_head / n_key_head queries.
        inner_size: width of the feed-forward.
        rms_norm: RMS norms instead of layer norms.
        embedding_norm: a norm behind the embeddings.
        interleaved: queries, keys and values lie head by head in the joined product, as BLOOM's.
        joined: queries, keys and values are one matrix in checkpoints.
        alibi: linear biases for positions; rotation: rotary ones; positions: as many learned ones.
        gated: SwiGLU instead of GELU.
        query_norm: RMS norms of each query and key.
        bias: of these products: "qkv", "out", "feed_forward".
        post_norm_residual: layers add to their normed input.
        tied: the head is the embeddings.
    """

    vocab_size: int
    hidden_size: int
    n_layer: int
    n_head: int
    n_key_head: int
    head_dim: int
    inner_size: int
    names: Names = field(repr=False)
    family: str = "bloom"
    epsilon: float = 1e-5
    rms_norm: bool = False
    embedding_norm: bool = False
    interleaved: bool = False
    joined: bool = False
    alibi: bool = False
    rotation: Rotation | None = None
    positions: int = 0
    gated: bool = False
    query_norm: bool = False
    bias: tuple[str, ...] = ("qkv", "out", "feed_forward")
    post_norm_residual: bool = False
    tied: bool = True

    def __post_init__(self) -> None:
        # Before anything of these sizes is built.
        if self.n_layer > _MOST_LAYERS or self.parameters > _MOST_PARAMETERS:
            raise ModelError(
                f"config.json asks for {self.n_layer} layers and {self.parameters:.1e} weights: no "
                "model that runs here has so many; download the model again"
            )

    @property
    def parameters(self) -> int:
        """How many weights the products have, the head's included."""
        attention = (2 * self.n_head + 2 * self.n_key_head) * self.head_dim
        layer = self.hidden_size * (attention + (2 + self.gated) * self.inner_size)
        return self.n_layer * layer + self.vocab_size * self.hidden_size


def whole_number(config: Mapping, default: int, *names: str) -> int:
    """The first of these fields that config.json gives; raises ModelError unless it is a size."""
    value = next((config[name] for name in names if config.get(name) is not None), default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(
            f"config.json gives {names[-1]} as {value!r}: it must be a positive whole number; "
            "download the model again"
        )
    return value


def small_number(config: Mapping, default: float, name: str) -> float:
    """A norm's epsilon in config.json; raises ModelError unless it is a number from 0 to 1."""
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ModelError(
            f"config.json gives {name} as {value!r}: it must be a number from 0 to 1; "
            "download the model again"
        )
    return float(value)


def shared(total: int, parts: int, what: str, by: str) -> int:
    """total / parts; raises ModelError where that is no whole number."""
    if total % parts:
        raise ModelError(
            f"config.json: {what} {total} cannot be shared by {parts} {by}; "
            "download the model again"
        )
    return total // parts


def alibi_slopes(n_head: int) -> list[float]:
    """Slopes of the heads (ALiBi, section 3); the second half of non-powers of two interleaves."""
    power = 2 ** math.floor(math.log2(n_head))
    slopes = [2.0 ** (-8.0 * (i + 1) / power) for i in range(power)]
    finer = [2.0 ** (-4.0 * (i + 1) / power) for i in range(0, 2 * (n_head - power), 2)]
    return slopes + finer
