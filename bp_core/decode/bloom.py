"""The BLOOM network for inference, as one nn.Module with a static key/value cache.

Parameters carry the names of Hugging Face checkpoints, so tensors are put in place by name and
never copied: a file's memory map, or the parameters that a trainer is updating. It knows nothing
of sampling, text or files.

Reference: BLOOM (arXiv 2211.05100); ALiBi (arXiv 2108.12409). ALiBi adds slope · (j - i) to the
score of query i and key j. Softmax ignores a shift, so left-padded rows need a mask and nothing
else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ModelError
from ..trim import TrimmedHead

# Added to the score of a key that must not be seen. Finite, because a padding query sees no key
# at all and a softmax over nothing but -inf is NaN; small enough for fp16; exp() of it is 0.
MASKED = -3e4


@dataclass(frozen=True)
class BloomConfig:
    """The numbers of a BLOOM config.json that shape the network."""

    vocab_size: int
    hidden_size: int
    n_layer: int
    n_head: int
    layer_norm_epsilon: float = 1e-5
    apply_residual_connection_post_layernorm: bool = False

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.n_head

    @classmethod
    def from_hf(cls, config: Mapping) -> BloomConfig:
        """Read a Hugging Face config.json; raises ModelError on what is missing or unsupported."""
        if config.get("model_type") != "bloom":
            raise ModelError(
                f"config.json says model_type '{config.get('model_type')}', not 'bloom': "
                "choose a BLOOM model"
            )
        if not config.get("tie_word_embeddings", True):
            raise ModelError("config.json unties the output head: only tied BLOOM models can run")
        # Names, aliases and defaults are those of transformers, which leaves defaults unwritten.
        sizes = {
            "vocab_size": _first(config, 250880, "vocab_size"),
            "hidden_size": _first(config, 64, "n_embed", "hidden_size"),
            "n_layer": _first(config, 2, "n_layer", "num_hidden_layers"),
            "n_head": _first(config, 8, "n_head", "num_attention_heads"),
        }
        for name, value in sizes.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ModelError(
                    f"config.json gives {name} as {value!r}: it must be a positive whole number; "
                    "download the model again"
                )
        if sizes["hidden_size"] % sizes["n_head"]:
            raise ModelError(
                f"config.json: hidden_size {sizes['hidden_size']} cannot be shared by "
                f"{sizes['n_head']} heads; download the model again"
            )
        return cls(
            **sizes,
            layer_norm_epsilon=float(config.get("layer_norm_epsilon", 1e-5)),
            apply_residual_connection_post_layernorm=bool(
                config.get("apply_residual_connection_post_layernorm", False)
            ),
        )


def _first(config: Mapping, default: int, *names: str):
    return next((config[name] for name in names if config.get(name) is not None), default)


def alibi_slopes(n_head: int) -> list[float]:
    """Slopes of the heads (ALiBi, section 3); the second half of non-powers of two interleaves."""
    power = 2 ** math.floor(math.log2(n_head))
    slopes = [2.0 ** (-8.0 * (i + 1) / power) for i in range(power)]
    finer = [2.0 ** (-4.0 * (i + 1) / power) for i in range(0, 2 * (n_head - power), 2)]
    return slopes + finer


class KVCache:
    """Keys and values of several sequences, allocated once.

    `data` is (n_layer, rows, n_head, 2, room, head_dim): keys at index 0, values at 1. The first
    `length` of `room` tokens are filled; `pad` (rows,) says how many of those are left padding,
    and is None when no row has any. `own` holds what a trimmed head adds to these rows.
    """

    def __init__(self, data: Tensor, slopes: Tensor, pad: Tensor | None) -> None:
        self.data = data
        self.length = 0
        self.pad = pad
        self.own: tuple[Tensor, Tensor] | None = None
        self._slopes = slopes
        ramp = slopes[:, None] * torch.arange(1 - data.shape[4], 1, device=data.device)
        self._ramp = ramp[None, :, None, :].to(data.dtype)

    def grow(self, tokens: int) -> Tensor:
        """Make place for more tokens: `data` up to and including them."""
        self.length += tokens
        return self.data.narrow(4, 0, self.length)

    def last_bias(self) -> Tensor:
        """ALiBi and mask of the last token's query: (1 or rows, n_head, 1, length)."""
        bias = self._ramp[..., -self.length :]
        if self.pad is None:
            return bias
        padding = torch.arange(self.length, device=bias.device) < self.pad[:, None]
        return bias.masked_fill(padding[:, None, None, :], MASKED)

    def select(self, rows: Tensor) -> KVCache:
        """A cache of the given rows, in that order; a row may be taken many times or dropped."""
        pad = None if self.pad is None else self.pad[rows]
        chosen = KVCache(self.data.index_select(1, rows), self._slopes, pad)
        chosen.length = self.length
        chosen.own = self.own and (self.own[0], self.own[1][rows])
        return chosen


class BloomLinear(nn.Linear):
    """A linear layer that leaves meta tensors alone: initialising those imports half of torch."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class _Embedding(nn.Embedding):
    """An embedding that leaves meta tensors alone."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class Attention(nn.Module):
    """Multi-head attention; the fused projection's output is laid out (n_head, 3, head_dim)."""

    def __init__(self, config: BloomConfig) -> None:
        super().__init__()
        self.n_head, self.head_dim = config.n_head, config.head_dim
        self.query_key_value = BloomLinear(config.hidden_size, 3 * config.hidden_size)
        self.dense = BloomLinear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, bias: Tensor, kv: Tensor | None, place: Tensor | None) -> Tensor:
        n, length, hidden = x.shape
        qkv = self.query_key_value(x).view(n, length, self.n_head, 3, self.head_dim)
        qkv = qkv.permute(0, 2, 3, 1, 4)  # (n, n_head, 3, length, head_dim)
        q, k, v = qkv.unbind(2)
        if kv is not None:
            if place is None:
                kv.narrow(3, kv.shape[3] - length, length).copy_(qkv.narrow(2, 1, 2))
            else:
                # Under autocast the cache may be of another type than what is computed.
                kv.index_copy_(3, place, qkv.narrow(2, 1, 2).to(kv.dtype))
            k, v = kv.unbind(2)
        if kv is not None and place is None and x.is_cuda:
            # A cache grows, and cuDNN's attention, PyTorch's first choice on some GPUs, would be
            # set up anew for each length; it also stops at masks that are not aligned.
            scores = (q * self.head_dim**-0.5) @ k.transpose(-1, -2) + bias
            out = scores.softmax(-1) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.dense(out.transpose(1, 2).reshape(n, length, hidden))


class MLP(nn.Module):
    def __init__(self, config: BloomConfig) -> None:
        super().__init__()
        self.dense_h_to_4h = BloomLinear(config.hidden_size, 4 * config.hidden_size)
        self.dense_4h_to_h = BloomLinear(4 * config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense_4h_to_h(F.gelu(self.dense_h_to_4h(x), approximate="tanh"))


class Block(nn.Module):
    """One layer: attention and MLP, each on a layer norm, each added to what it came from."""

    def __init__(self, config: BloomConfig) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.layer_norm_epsilon
        self.post_norm_residual = config.apply_residual_connection_post_layernorm
        self.input_layernorm = nn.LayerNorm(size, eps=eps)
        self.self_attention = Attention(config)
        self.post_attention_layernorm = nn.LayerNorm(size, eps=eps)
        self.mlp = MLP(config)

    def forward(
        self,
        x: Tensor,
        bias: Tensor,
        kv: Tensor | None = None,
        place: Tensor | None = None,
    ) -> Tensor:
        """(n, T, hidden) to the same.

        Args:
            bias: from `Bloom.bias` or `KVCache.last_bias`.
            kv: this layer's part of a cache up to and with the T new tokens, which are put there.
            place: (T,) where the new tokens go in `kv`, if not to its end.
        """
        normed = self.input_layernorm(x)
        residual = normed if self.post_norm_residual else x
        x = residual + self.self_attention(normed, bias, kv, place)
        normed = self.post_attention_layernorm(x)
        residual = normed if self.post_norm_residual else x
        return residual + self.mlp(normed)


class Bloom(nn.Module):
    """BLOOM with its tied output head.

    `Bloom(config)` has random weights; `Bloom.from_tensors` takes weights that exist.
    """

    def __init__(self, config: BloomConfig) -> None:
        super().__init__()
        self.config = config
        size, eps = config.hidden_size, config.layer_norm_epsilon
        self.word_embeddings = _Embedding(config.vocab_size, size)
        self.word_embeddings_layernorm = nn.LayerNorm(size, eps=eps)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(size, eps=eps)
        # What `quant.pack` puts in place of the tied head, of `advance` in single steps, and of
        # `advance` for prompts, which takes the last token's bias for all.
        self.head: nn.Module | None = None
        self.fast_advance: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
        self.fast_prefill: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
        # A `graph.GraphDecoder` that decodes instead of `generate`'s own loop.
        self.decoder: Callable[..., tuple[Tensor, Tensor]] | None = None

    @classmethod
    def from_tensors(cls, config: BloomConfig, tensors: Iterable[tuple[str, Tensor]]) -> Bloom:
        """A network over these very tensors: storage is shared, nn.Parameters stay themselves.

        Args:
            tensors: (name, tensor) pairs, read one at a time; names are the checkpoint's, with or
                without "transformer." in front.

        Raises:
            ModelError: a tensor is missing, unknown or of another shape.
        """
        # On the meta device no memory is touched, and nothing relies on torch's default
        # initialisation, which the WebUI patches away while it loads a checkpoint.
        with torch.device("meta"):
            network = cls(config)
        missing = {name: tensor.shape for name, tensor in network.named_parameters()}
        for full_name, tensor in tensors:
            name = bare_name(full_name)
            if name not in missing:
                raise ModelError(
                    f"tensor '{full_name}' is not of a BLOOM model of this depth: weights and "
                    "config.json are of different models"
                )
            if tensor.shape != missing.pop(name):
                raise ModelError(
                    f"tensor '{full_name}' has shape {tuple(tensor.shape)}, not what config.json "
                    "says: weights and config.json are of different models"
                )
            owner, _, leaf = name.rpartition(".")
            if not isinstance(tensor, nn.Parameter):
                tensor = nn.Parameter(tensor, requires_grad=False)
            setattr(network.get_submodule(owner), leaf, tensor)
        if missing:
            raise ModelError(
                f"tensor '{min(missing)}' and {len(missing) - 1} more are missing: "
                "download the model again"
            )
        return network.eval()

    @property
    def device(self) -> torch.device:
        return self.ln_f.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.ln_f.weight.dtype

    @property
    def vocab_size(self) -> int:
        return self.config.vocab_size

    def embed(self, ids: Tensor) -> Tensor:
        """(n, T) ids to the first layer's input (n, T, hidden)."""
        return self.word_embeddings_layernorm(self.word_embeddings(ids).to(self.dtype))

    def bias(self, length: int, pad: Tensor | None = None) -> Tensor:
        """ALiBi, causal and padding mask of whole sequences: (1 or n, n_head, T, T).

        Args:
            length: T, tokens.
            pad: (n,) how many tokens of each row are left padding; None for none.
        """
        # Attention on CUDA wants rows that begin at multiples of 16 bytes.
        keys = length if self.device.type == "cpu" else -(-length // 8) * 8
        at = torch.arange(keys, device=self.device)
        distance = at[None, :] - at[:length, None]
        bias = self._slopes()[:, None, None] * distance
        bias = bias.masked_fill(distance > 0, MASKED)[None]
        if pad is not None:
            bias = bias.masked_fill((at < pad[:, None])[:, None, None, :], MASKED)
        return bias.to(self.dtype)[..., :length]

    def hidden(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Last layer's normed output (n, T, hidden); differentiable.

        Args:
            ids: (n, T) token ids.
            mask: (n, T), 0 at padding. Padding may stand on either side: on the right the causal
                mask hides it from every real token.
        """
        pad = None if mask is None else mask.long().argmax(1)
        bias = self.bias(ids.shape[1], pad)
        x = self.embed(ids)
        for block in self.h:
            x = block(x, bias)
        return self.ln_f(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """The tied head: (..., hidden) to (..., vocab_size)."""
        if self.head is not None:
            return self.head(hidden)
        return F.linear(hidden, self.word_embeddings.weight)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits of whole sequences: (n, T) ids to (n, T, vocab_size)."""
        return self.logits(self.hidden(ids, mask))

    def cache(self, rows: int, room: int, pad: Tensor | None = None) -> KVCache:
        """An empty cache, its memory as it was found."""
        c = self.config
        shape = (c.n_layer, rows, c.n_head, 2, room, c.head_dim)
        data = torch.empty(shape, dtype=self.dtype, device=self.device)
        return KVCache(data, self._slopes(), pad)

    def prefill(self, prompts: Sequence[Sequence[int]], room: int) -> tuple[Tensor, KVCache]:
        """Read prompts of any lengths; the logits (n, vocab_size) after each, and their cache.

        Args:
            prompts: n lists of token ids, none empty.
            room: tokens that the cache must hold beyond the longest prompt.
        """
        length = max(map(len, prompts))
        pads = [length - len(prompt) for prompt in prompts]
        ids = [[0] * pad + list(prompt) for pad, prompt in zip(pads, prompts, strict=True)]
        ids = torch.tensor(ids, dtype=torch.long, device=self.device)
        pad = torch.tensor(pads, device=self.device) if any(pads) else None
        cache = self.cache(len(prompts), length + room, pad)
        if isinstance(self.head, TrimmedHead):
            cache.own = self.head.own_tokens(prompts)
        kv = cache.grow(length)
        if self.fast_prefill is not None:
            hidden = self.fast_prefill(ids, cache.last_bias(), kv)
        else:
            hidden = self.advance(ids, self.bias(length, pad), kv)
        return self._next_logits(hidden, cache), cache

    def step(self, ids: Tensor, cache: KVCache) -> Tensor:
        """One more token a row: (n,) ids to (n, vocab_size) logits; the cache grows by one."""
        kv = cache.grow(1)
        hidden = (self.fast_advance or self.advance)(ids[:, None], cache.last_bias(), kv)
        return self._next_logits(hidden, cache)

    def advance(self, ids: Tensor, bias: Tensor, kv: Tensor, place: Tensor | None = None) -> Tensor:
        """Read T more tokens a row: (n, T) ids to the last one's normed output (n, hidden).

        Args:
            bias: ALiBi and mask, (1 or n, n_head, T, length).
            kv: a cache's data with the T new tokens' places at its end,
                (n_layer, n, n_head, 2, length, head_dim); filled.
            place: (T,) where the new tokens' places are, if not at the end.
        """
        x = self.embed(ids)
        for block, layer in zip(self.h, kv.unbind(0), strict=True):
            x = block(x, bias, layer, place)
        return self.ln_f(x[:, -1])

    def _next_logits(self, hidden: Tensor, cache: KVCache) -> Tensor:
        logits = self.logits(hidden)
        if cache.own is not None:
            ids, mask = cache.own
            rows = self.word_embeddings.weight[ids].to(hidden.dtype)
            logits.index_copy_(1, ids, F.linear(hidden, rows) + mask)
        return logits

    def _slopes(self) -> Tensor:
        return torch.tensor(alibi_slopes(self.config.n_head), device=self.device)


def bare_name(name: str) -> str:
    """A checkpoint's tensor name without the prefix that causal-LM checkpoints put in front."""
    return name[len("transformer.") :] if name.startswith("transformer.") else name
