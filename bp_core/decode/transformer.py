"""A causal language model for inference, as one nn.Module with a static key/value cache.

BLOOM, Llama and GPT-2 are `Config`s of it. Tensors are put in place and never copied: a file's
memory map, or the parameters that a trainer is updating. It knows nothing of sampling, text or
files. Softmax ignores a shift, so left-padded rows need a mask, and positions that begin behind
the padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ModelError
from .config import Config, alibi_slopes
from .layers import Block, Embedding, Linear, View, norm

# Added to the score of a key that must not be seen. Finite, because a padding query sees no key
# at all and a softmax over nothing but -inf is NaN; small enough for fp16; exp() of it is 0.
MASKED = -3e4


class KVCache:
    """Keys and values of several sequences, allocated once.

    `data` is (n_layer, rows, n_key_head, 2, room, head_dim): keys at index 0, values at 1. The
    first `length` of `room` tokens are filled; `pad` (rows,) says how many of those are left
    padding, and is None when no row has any.
    """

    def __init__(self, data: Tensor, slopes: Tensor, pad: Tensor | None) -> None:
        self.data = data
        self.length = 0
        self.pad = pad
        self._slopes = slopes
        ramp = slopes[:, None] * torch.arange(1 - data.shape[4], 1, device=data.device)
        self._ramp = ramp[None, :, None, :].to(data.dtype)

    def grow(self, tokens: int) -> Tensor:
        """Make place for more tokens: `data` up to and including them."""
        self.length += tokens
        return self.data.narrow(4, 0, self.length)

    def last_bias(self) -> Tensor:
        """ALiBi, if any, and mask of the last tokens: (1 or rows, 1 or n_head, 1, length)."""
        bias = self._ramp[..., -self.length :]
        if self.pad is None:
            return bias
        padding = torch.arange(self.length, device=bias.device) < self.pad[:, None]
        return bias.masked_fill(padding[:, None, None, :], MASKED)

    def select(self, rows: Tensor) -> KVCache:
        """A cache of the given rows, in that order; a row may be taken many times or dropped."""
        pad = None if self.pad is None else self.pad[rows]
        layers, _, *rest = self.data.shape
        data = self.data.new_empty(layers, len(rows), *rest)
        chosen = KVCache(data, self._slopes, pad)
        # What is not filled yet is most of it, where a decoding begins.
        chosen.grow(self.length).copy_(self.data.narrow(4, 0, self.length).index_select(1, rows))
        return chosen


class Transformer(nn.Module):
    """The network of a config.

    `Transformer(config)` has random weights; `Transformer.from_tensors` takes weights that exist.
    """

    loop = None  # `generate` decodes it by its own

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = self.config = config
        self.embedding: nn.Module = Embedding(c.vocab_size, c.hidden_size)
        self.position_embedding = Embedding(c.positions, c.hidden_size) if c.positions else None
        self.embedding_norm = norm(c) if c.embedding_norm else None
        self.blocks = nn.ModuleList(Block(c, i) for i in range(c.n_layer))
        self.norm = norm(c)
        # The output layer; None where it is the embeddings again.
        self.head: nn.Module | None = None
        if not c.tied:
            self.head = Linear(c.hidden_size, c.vocab_size, bias=False)
        self._frequencies: dict[torch.device, Tensor] = {}

    @classmethod
    def from_tensors(cls, config: Config, tensors: Iterable[tuple[str, Tensor]]) -> Transformer:
        """A network over these very tensors: storage is shared, nn.Parameters stay themselves.

        Args:
            tensors: (name, tensor) pairs, read one at a time; names are the checkpoint's, with or
                without its prefix.

        Raises:
            ModelError: a tensor is missing, unknown or of another shape.
        """
        # On the meta device no memory is touched, and nothing relies on torch's default
        # initialisation, which the WebUI patches away while it loads a checkpoint.
        with torch.device("meta"):
            network = cls(config)
        missing = {name: tensor.shape for name, tensor in network.named_parameters()}
        for full_name, tensor in tensors:
            name = config.names.ours(full_name)
            if full_name == "lm_head.weight":
                if config.tied:  # the embeddings again
                    continue
                name = "head.weight"
            if name is None and config.names.is_ignored(full_name):
                continue
            if name not in missing:
                raise ModelError(
                    f"tensor '{full_name}' is not of a {config.family} model of this depth: "
                    "weights and config.json are of different models"
                )
            if config.names.is_transposed(name):
                tensor = tensor.t()
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
            first = config.names.theirs(min(missing))
            raise ModelError(
                f"tensor '{first}' and {len(missing) - 1} more are missing: "
                "download the model again"
            )
        return network.eval()

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """All weights by their names in a checkpoint, as `from_tensors` takes them."""
        for name, parameter in self.named_parameters():
            yield self.as_stored(name, parameter)

    def as_stored(self, name: str, tensor: Tensor) -> tuple[str, Tensor]:
        """A tensor of ours as a checkpoint has it: its name there, and turned where it lies so."""
        names = self.config.names
        return names.theirs(name), tensor.t() if names.is_transposed(name) else tensor

    @property
    def device(self) -> torch.device:
        return self.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.norm.weight.dtype

    @property
    def vocab_size(self) -> int:
        return self.config.vocab_size

    @property
    def width(self) -> int:
        return self.config.hidden_size

    def embed(self, ids: Tensor, view: View) -> Tensor:
        """(n, T) ids to the first layer's input (n, T, hidden)."""
        x = self.embedding(ids).to(self.dtype)
        if self.position_embedding is not None:
            x = x + self.position_embedding(view.positions)
        return x if self.embedding_norm is None else self.embedding_norm(x)

    def view(self, length: int, pad: Tensor | None = None) -> View:
        """Of whole sequences.

        Args:
            length: T, tokens.
            pad: (n,) how many tokens of each row are left padding; None for none.
        """
        at = torch.arange(length, device=self.device)[None]
        return self.placed(self._bias(length, pad), at if pad is None else at - pad[:, None])

    def next_view(self, cache: KVCache) -> View:
        """Of the last token of each row of a cache."""
        last = cache.length - 1
        if cache.pad is None:
            at = torch.full((1, 1), last, device=self.device)
        else:
            at = (last - cache.pad)[:, None]
        return self.placed(cache.last_bias(), at)

    def placed(self, bias: Tensor, at: Tensor) -> View:
        """A view of tokens that stand `at` (1 or n, T); what is negative is padding."""
        if self.position_embedding is not None:
            # Beyond the last learned position the network is lost, but need not fail.
            return View(bias, at.clamp(0, self.config.positions - 1))
        if self.config.rotation is not None:
            return View(bias, None, self.rotation(at))
        return View(bias)

    def rotation(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of positions (n, T): (n, 1, T, head_dim / 2) each, float32."""
        if at.device not in self._frequencies:
            frequencies = torch.tensor(self.config.rotation.frequencies, device=at.device)
            self._frequencies[at.device] = frequencies
        angles = at[:, None, :, None].float() * self._frequencies[at.device]
        return angles.cos(), angles.sin()

    def _bias(self, length: int, pad: Tensor | None) -> Tensor:
        """ALiBi, if any, causal and padding mask: (1 or n, 1 or n_head, T, T)."""
        # Attention on CUDA wants rows that begin at multiples of 16 bytes.
        keys = length if self.device.type == "cpu" else -(-length // 8) * 8
        at = torch.arange(keys, device=self.device)
        distance = at[None, :] - at[:length, None]
        bias = self.slopes()[:, None, None] * distance
        bias = bias.masked_fill(distance > 0, MASKED)[None]
        if pad is not None:
            bias = bias.masked_fill((at < pad[:, None])[:, None, None, :], MASKED)
        return bias.to(self.dtype)[..., :length]

    def slopes(self) -> Tensor:
        """(n_head,) of ALiBi, or one 0."""
        slopes = alibi_slopes(self.config.n_head) if self.config.alibi else [0.0]
        return torch.tensor(slopes, device=self.device)

    def hidden(self, ids: Tensor, mask: Tensor | None = None, depth: int | None = None) -> Tensor:
        """Last layer's normed output (n, T, hidden); differentiable.

        Args:
            ids: (n, T) token ids.
            mask: (n, T), 0 at padding. Padding may stand on either side: on the right the causal
                mask hides it from every real token.
            depth: read so many layers only, and norm nothing.
        """
        view = self.view(ids.shape[1], None if mask is None else mask.long().argmax(1))
        x = self.embed(ids, view)
        for block in self.blocks[:depth]:
            x = block(x, view)
        return self.norm(x) if depth is None else x

    def states(self, ids: Tensor, depth: int) -> Tensor:
        """See `Engine.states`."""
        return self.hidden(ids, depth=depth)

    def logits(self, hidden: Tensor) -> Tensor:
        """The head: (..., hidden) to (..., vocab_size)."""
        if self.head is not None:
            return self.head(hidden)
        return F.linear(hidden, self.embedding.weight)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits of whole sequences: (n, T) ids to (n, T, vocab_size)."""
        return self.logits(self.hidden(ids, mask))

    def cache(self, rows: int, room: int, pad: Tensor | None = None) -> KVCache:
        """An empty cache, its memory as it was found."""
        c = self.config
        shape = (c.n_layer, rows, c.n_key_head, 2, room, c.head_dim)
        data = torch.empty(shape, dtype=self.dtype, device=self.device)
        return KVCache(data, self.slopes(), pad)

    def begin(self, prompts: Sequence[Sequence[int]], room: int) -> tuple[Tensor, KVCache]:
        """Prompts as ids (n, T), padded on the left, and a cache that has place for them.

        Args:
            room: tokens that the cache must hold beyond the longest prompt.
        """
        length = max(map(len, prompts))
        pads = [length - len(prompt) for prompt in prompts]
        ids = [[0] * pad + list(prompt) for pad, prompt in zip(pads, prompts, strict=True)]
        ids = torch.tensor(ids, dtype=torch.long, device=self.device)
        pad = torch.tensor(pads, device=self.device) if any(pads) else None
        return ids, self.cache(len(prompts), length + room, pad)

    def prefill(self, prompts: Sequence[Sequence[int]], room: int) -> tuple[Tensor, KVCache]:
        """Read prompts of any lengths; the logits (n, vocab_size) after each, and their cache.

        Args:
            prompts: n lists of token ids, none empty.
            room: tokens that the cache must hold beyond the longest prompt.
        """
        ids, cache = self.begin(prompts, room)
        length = ids.shape[1]
        hidden = self.advance(ids, self.view(length, cache.pad), cache.grow(length))
        return self.logits(hidden), cache

    def step(self, ids: Tensor, cache: KVCache) -> Tensor:
        """One more token a row: (n,) ids to (n, vocab_size) logits; the cache grows by one."""
        kv = cache.grow(1)
        return self.logits(self.advance(ids[:, None], self.next_view(cache), kv))

    def advance(self, ids: Tensor, view: View, kv: Tensor, place: Tensor | None = None) -> Tensor:
        """Read T more tokens a row: (n, T) ids to the last one's normed output (n, hidden).

        Args:
            view: of these tokens.
            kv: a cache's data with the T new tokens' places at its end,
                (n_layer, n, n_key_head, 2, length, head_dim); filled.
            place: (T,) where the new tokens' places are, if not at the end.
        """
        x = self.embed(ids, view)
        for block, layer in zip(self.blocks, kv.unbind(0), strict=True):
            x = block(x, view, layer, place)
        return self.norm(x[:, -1])


class Engine:
    """Base of what runs a network otherwise than by its own `step`, and has its figures.

    Attributes:
        model: the network.
    """

    model: Transformer

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def vocab_size(self) -> int:
        return self.model.vocab_size

    @property
    def width(self) -> int:
        return self.model.width

    def states(self, ids: Tensor, depth: int) -> Tensor:
        """States (n, T, hidden) of whole sequences (n, T) behind layer `depth`."""
        return self.model.hidden(ids, depth=depth)
