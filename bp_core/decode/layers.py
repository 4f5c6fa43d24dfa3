"""The parts that networks are put together of: products, norms, attention, feed-forward.

All are plain modules whose parameters may be a file's memory map or what a trainer is updating.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Config


class Packing(NamedTuple):
    """Rows without their padding: what is done token by token need not be done for it.

    Attributes:
        rows, length: n and T of the padded rows.
        places: (tokens,) where the tokens stand in the padded rows, one row behind the other.
    """

    rows: int
    length: int
    places: Tensor

    @classmethod
    def of(cls, wanted: Tensor) -> Packing:
        """Of the tokens where `wanted` (n, T) is true."""
        return cls(*wanted.shape, wanted.flatten().nonzero()[:, 0])

    def pack(self, padded: Tensor) -> Tensor:
        """(n, T, size) to (tokens, size)."""
        return padded.flatten(0, 1).index_select(0, self.places)

    def pad(self, packed: Tensor) -> Tensor:
        """(tokens, size) to (n, T, size), 0 where no token is."""
        padded = packed.new_zeros(self.rows * self.length, packed.shape[1])
        return padded.index_copy(0, self.places, packed).view(self.rows, self.length, -1)


class View(NamedTuple):
    """What the tokens being read see, and where they stand.

    Attributes:
        bias: (1 or n, 1 or n_head, T, keys) added to the scores of queries and keys.
        positions: (1 or n, T) of the tokens, where the network learned positions.
        rotation: cosines and sines, (1 or n, 1, T, head_dim / 2) each, where it rotates.
        packing: where the tokens stand, if layers are given them without padding.
    """

    bias: Tensor
    positions: Tensor | None = None
    rotation: tuple[Tensor, Tensor] | None = None
    packing: Packing | None = None


class Linear(nn.Linear):
    """A linear layer that leaves meta tensors alone: initialising those imports half of torch."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class Joined(nn.ModuleList):
    """Products of the same input, one behind the other."""

    def __init__(self, inputs: int, outputs: tuple[int, ...], bias: bool) -> None:
        super().__init__(Linear(inputs, each, bias) for each in outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x) for part in self], -1)


class Embedding(nn.Embedding):
    """An embedding that leaves meta tensors alone."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


# A class of our own: some hosts put others in place of torch.nn's while they load a checkpoint.
class LayerNorm(nn.LayerNorm):
    """Layer norm (arXiv 1607.06450)."""


class RMSNorm(nn.Module):
    """RMS norm (arXiv 1910.07467), in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * normed.to(x.dtype)


def norm(config: Config) -> nn.Module:
    """A norm of a token's whole vector."""
    make = RMSNorm if config.rms_norm else LayerNorm
    return make(config.hidden_size, eps=config.epsilon)


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """(n, heads, T, head_dim), each first half and second half turned as pairs."""
    cos, sin = (each.to(x.dtype) for each in rotation)
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Attention(nn.Module):
    """Attention of many heads; several heads of queries may share one of keys and values.

    The joined product's output is laid out (n_head, 3, head_dim) where `Config.interleaved`, else
    all queries, then all keys, then all values.
    """

    def __init__(self, config: Config, rotates: bool) -> None:
        super().__init__()
        c = self.config = config
        self._rotates = rotates
        queries, keys = c.n_head * c.head_dim, c.n_key_head * c.head_dim
        with_bias = "qkv" in c.bias
        if c.joined:
            self.qkv: nn.Module = Linear(c.hidden_size, queries + 2 * keys, with_bias)
        else:
            self.qkv = Joined(c.hidden_size, (queries, keys, keys), with_bias)
        self.out = Linear(queries, c.hidden_size, "out" in c.bias)
        self.query_norm = RMSNorm(c.head_dim, c.epsilon) if c.query_norm else None
        self.key_norm = RMSNorm(c.head_dim, c.epsilon) if c.query_norm else None

    def forward(
        self,
        x: Tensor,
        view: View,
        kv: Tensor | None,
        place: Tensor | None,
        wanted: Packing | None,
    ) -> Tensor:
        qkv = self.qkv(x)
        if view.packing is not None:
            qkv = view.packing.pad(qkv)
        n, length, _ = qkv.shape
        q, new = self._project(qkv, view)
        if kv is None:
            k, v = new.unbind(2)
        else:
            if place is None:
                kv.narrow(3, kv.shape[3] - length, length).copy_(new)
            else:
                # Under autocast the cache may be of another type than what is computed.
                kv.index_copy_(3, place, new.to(kv.dtype))
            k, v = kv.unbind(2)
        bias, group = view.bias, self.config.n_head // self.config.n_key_head
        if group > 1:
            # Queries that share keys stand one behind the other, as more tokens of one head.
            q = q.reshape(n, self.config.n_key_head, group * length, -1)
            if length > 1:
                bias = bias.repeat(1, 1, group, 1)
        if kv is not None and place is None and x.is_cuda:
            # A cache grows, and cuDNN's attention, PyTorch's first choice on some GPUs, would be
            # set up anew for each length; it also stops at masks that are not aligned.
            scores = (q * self.config.head_dim**-0.5) @ k.transpose(-1, -2) + bias
            out = scores.softmax(-1) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        if group > 1:
            out = out.reshape(n, self.config.n_head, length, -1)
        out = out.transpose(1, 2).reshape(n, length, -1)
        wanted = wanted or view.packing
        return self.out(out if wanted is None else wanted.pack(out))

    def _project(self, qkv: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """Queries (n, n_head, T, head_dim), keys and values (n, n_key_head, 2, T, head_dim)."""
        c = self.config
        n, length, _ = qkv.shape
        if c.interleaved:
            qkv = qkv.view(n, length, c.n_head, 3, c.head_dim).permute(0, 2, 3, 1, 4)
            return qkv.select(2, 0), qkv.narrow(2, 1, 2)
        heads = qkv.view(n, length, -1, c.head_dim).transpose(1, 2)
        q, k, v = heads.split([c.n_head, c.n_key_head, c.n_key_head], 1)
        if self.query_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        if self._rotates:
            q, k = rotate(q, view.rotation), rotate(k, view.rotation)
        return q, torch.stack((k, v), 2)


class FeedForward(nn.Module):
    """GELU (its tanh form) or SwiGLU (arXiv 2002.05202), whose gates come before what they gate."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size, inner = config.hidden_size, config.inner_size
        with_bias = "feed_forward" in config.bias
        self._gated = config.gated
        if config.gated:
            self.up: nn.Module = Joined(size, (inner, inner), with_bias)
        else:
            self.up = Linear(size, inner, with_bias)
        self.down = Linear(inner, size, with_bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(x)
        if self._gated:
            gate, x = x.chunk(2, -1)
            return self.down(F.silu(gate) * x)
        return self.down(F.gelu(x, approximate="tanh"))


class Block(nn.Module):
    """One layer: attention and feed-forward, each on a norm, each added to what it came from."""

    def __init__(self, config: Config, index: int) -> None:
        super().__init__()
        rotation = config.rotation
        rotates = rotation is not None and index not in rotation.without
        self.post_norm_residual = config.post_norm_residual
        self.attention_norm = norm(config)
        self.attention = Attention(config, rotates)
        self.feed_forward_norm = norm(config)
        self.feed_forward = FeedForward(config)

    def forward(
        self,
        x: Tensor,
        view: View,
        kv: Tensor | None = None,
        place: Tensor | None = None,
        chosen: Tensor | None = None,
    ) -> Tensor:
        """(n, T, hidden) to the same; (tokens, hidden) to the same, where the view says so.

        Args:
            view: from `Transformer.view` or `Transformer.next_view`.
            kv: this layer's part of a cache up to and with the T new tokens, which are put there.
            place: (T,) where the new tokens go in `kv`, if not to its end.
            chosen: (some,) which of the view's packed tokens are wanted of a last layer; the
                others are only attended to.
        """
        wanted = None
        normed = self.attention_norm(x)
        residual = normed if self.post_norm_residual else x
        if chosen is not None:
            wanted = view.packing._replace(places=view.packing.places[chosen])
            residual = residual.index_select(0, chosen)
        x = residual + self.attention(normed, view, kv, place, wanted)
        normed = self.feed_forward_norm(x)
        residual = normed if self.post_norm_residual else x
        return residual + self.feed_forward(normed)
