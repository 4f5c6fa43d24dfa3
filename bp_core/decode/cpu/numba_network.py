"""A network that numba runs: all layers of a step in one call, the choice of tokens in another.

Each of PyTorch's operations costs microseconds whatever is in it, and a small step has hundreds.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..config import Config
from ..generate import OnToken, Start, decode
from ..kept import KeptPrompts
from ..sampling import Sampler, SamplingParams
from ..transformer import Engine, KVCache, Transformer
from .numba_layers import Room, TiledEmbedding, TiledLinear, kernels, together
from .packing import replace_products, shapes
from .rounding import Nibbles, Rounded

# With more tokens to draw from than this, finding and sorting them is what takes long.
_MOST = 1024


class NumbaNetwork(Engine):
    """A network whose products, steps and choices are numba's.

    Attributes:
        model: the network with its weights packed.
        layers: what reads tokens in one call; None where the network's shape does not allow it.
    """

    def __init__(
        self,
        network: Transformer,
        kind: str,
        rounded: Mapping[str, Rounded | Nibbles] | None = None,
    ) -> None:
        """Over a network, whose weights are replaced by packed ones.

        Args:
            kind: "float16" or "int8".
            rounded: for "int8", what rounding its weights gave, where that is known.
        """
        make = functools.partial(TiledLinear.packed, kind, Room(kind, shapes(network)))
        replace_products(network, make, rounded or {}, TiledEmbedding)
        self.model, self.kind = network, kind
        self.layers = Layers(network, kind) if Layers.fit(network.config) else None
        self._kept = KeptPrompts()
        code = kernels(kind)
        self._choose, self._counters = code.choose, code.counters

    def prefill(self, prompts: Sequence[Sequence[int]], room: int) -> tuple[Tensor, KVCache]:
        """See `generate.Network.prefill`; the last prompts are kept."""
        return self._kept.prefill(self.model, prompts, room, self._read)

    def _read(self, prompts: Sequence[Sequence[int]], room: int) -> tuple[Tensor, KVCache]:
        if self.layers is None:
            return self.model.prefill(prompts, room)
        ids, cache = self.model.begin(prompts, room)
        return self.model.logits(self.layers(ids, cache)), cache

    def states(self, ids: Tensor, depth: int) -> Tensor:
        """See `Engine.states`."""
        return super().states(ids, depth) if self.layers is None else self.layers.states(ids, depth)

    def step(self, ids: Tensor, cache: KVCache) -> Tensor:
        """See `generate.Network.step`."""
        if self.layers is None:
            return self.model.step(ids, cache)
        return self.model.logits(self.layers(ids[:, None], cache))

    def loop(
        self,
        start: Start,
        params: SamplingParams,
        blocked: tuple[tuple[int, ...], ...],
        eos: int,
        on_token: OnToken | None,
    ) -> tuple[Tensor, Tensor]:
        """Decode to the end: ids (rows, steps), -1 after the end, and their log-probabilities.

        Rows that have ended are left out of the next step at once: nothing is copied for that.
        """
        logits, cache, history, recent, chance, recall = start
        top_k = params.top_k if params.temperature else 1
        if self.layers is None or not 0 < top_k <= _MOST:
            return decode(self, start, params, blocked, eos, on_token)
        total, steps = chance.shape
        length = history.shape[1] - steps
        sampler = Sampler(params, blocked)
        tokens, logprobs = torch.full((total, steps), -1), torch.zeros(total, steps)
        none = torch.zeros(total, 0, dtype=torch.long)
        reminders = (recall.ids, recall.extra, recall.said) if recall else (none, logprobs, none[0])
        limits = eos, params.min_new_tokens, float(params.temperature), top_k, float(params.top_p)
        fixed = (
            float(params.repetition_penalty),
            *(each.numpy() for each in (sampler.single, sampler.heads, sampler.lasts, *reminders)),
            history.numpy(), length, recent.contiguous().numpy(), chance.contiguous().numpy(),
            tokens.numpy(), logprobs.numpy(),
        )  # fmt: skip
        rows = torch.arange(total)
        for step in range(steps):
            logits = logits.contiguous()
            threads = min(torch.get_num_threads(), len(rows))
            together(
                self._choose, threads, logits.numpy(), rows.numpy(), step, *limits, *fixed,
                self._counters(1),
            )  # fmt: skip
            ids = tokens[:, step]
            if on_token is not None:
                on_token(step, ids.clone())
            rows = rows[ids[rows] != eos]
            if step + 1 == steps or not len(rows):
                break
            logits = self.model.logits(self.layers(ids[rows][:, None], cache, rows))
        return tokens, logprobs


# Which of the kernel's constant arguments have an entry a layer: weights, scales, biases, norms,
# norms of heads, and whether they are rotated.
_OF_LAYERS = 1, 2, 3, 4, -2, -1


class Layers:
    """Reads tokens through all layers of a network of `TiledLinear` products, in one call."""

    @staticmethod
    def fit(config: Config) -> bool:
        """Whether a network has the shape that the kernel counts on."""
        c = config
        widths = c.hidden_size, c.inner_size, c.n_head * c.head_dim
        whole = c.head_dim % 16 == 0 and not any(width % 32 for width in widths)
        return whole and not c.post_norm_residual

    def __init__(self, network: Transformer, kind: str) -> None:
        c = self._config = network.config
        self._network = network
        code = kernels(kind)
        self._kernel = code.advance
        self._counters = functools.partial(code.counters, code.STAGES * c.n_layer)
        four = [
            (b.attention.qkv, b.attention.out, b.feed_forward.up, b.feed_forward.down)
            for b in network.blocks
        ]
        norms = [(b.attention_norm, b.feed_forward_norm) for b in network.blocks]
        head_norms = torch.zeros(c.n_layer, 2, 0)
        if c.query_norm:
            head_norms = torch.stack(
                [
                    torch.stack([b.attention.query_norm.weight, b.attention.key_norm.weight])
                    for b in network.blocks
                ]
            ).detach()
        slots, heads = _slots(c)
        rotated = [c.rotation is not None and i not in c.rotation.without for i in range(c.n_layer)]
        self._constant = (
            four[0][0].kind,
            torch.tensor([[layer.tiles.data_ptr() for layer in each] for each in four]).numpy(),
            torch.stack([torch.cat([layer.scale for layer in each]) for each in four]).numpy(),
            torch.stack([torch.cat([layer.bias for layer in each]) for each in four]).numpy(),
            torch.stack([torch.cat([_both(norm) for norm in two]) for two in norms]).numpy(),
            _both(network.norm).numpy(),
            c.epsilon, c.rms_norm, c.gated, c.head_dim, c.inner_size, slots.numpy(), heads.numpy(),
            head_norms.numpy(), torch.tensor(rotated).numpy(),
        )  # fmt: skip
        # Columns that the kernel works in.
        self._columns = (len(slots) + c.n_head) * c.head_dim + c.inner_size * (1 + 2 * c.gated)

    def __call__(self, ids: Tensor, cache: KVCache, rows: Tensor | None = None) -> Tensor:
        """(n, T) ids to the last one's normed output (n, hidden); the cache grows by T.

        Args:
            rows: (n,) which rows of the cache these are; None for all, in order.
        """
        normed, _ = self._read(ids, cache, rows, self._constant)
        return normed[:, -1]

    def states(self, ids: Tensor, depth: int) -> Tensor:
        """As `Transformer.hidden` to a depth."""
        constant = list(self._constant)
        for place in _OF_LAYERS:
            constant[place] = constant[place][:depth]
        cache = self._network.cache(len(ids), ids.shape[1])
        return self._read(ids, cache, None, constant)[1]

    def _read(
        self, ids: Tensor, cache: KVCache, rows: Tensor | None, constant: Sequence
    ) -> tuple[Tensor, Tensor]:
        """Normed outputs (n, T, hidden) of layers, and their states."""
        n, new = ids.shape
        kv = cache.grow(new)
        length, hidden = cache.length, self._config.hidden_size
        rows = torch.arange(n) if rows is None else rows
        pad = None if cache.pad is None else cache.pad[rows]
        bias = cache.last_bias()
        at = torch.arange(length - new, length)[None]
        at = at.expand(n, new) if pad is None else at - pad[:, None]
        view = self._network.placed(bias, at)
        x = self._network.embed(ids, view).reshape(n * new, hidden)
        turns = x.new_zeros(2, n * new, 0)
        if view.rotation is not None:
            turns = [each.reshape(n * new, -1).contiguous() for each in view.rotation]
        if new > 1:
            rows = rows.repeat_interleave(new)
        lengths = torch.arange(length - new + 1, length + 1).repeat(n)
        begins = torch.zeros_like(rows) if cache.pad is None else cache.pad[rows]
        layer, row, head, value, token, _ = kv.stride()
        strides = kv.storage_offset(), layer, row, head, value, token
        flat = kv.as_strided((kv.untyped_storage().nbytes() // 4,), (1,), 0)
        work, out = torch.empty(self._columns * n * new), torch.empty(n * new, hidden)
        threads = torch.get_num_threads()
        together(
            self._kernel, threads, *constant, x.numpy(), *(each.numpy() for each in turns),
            rows.numpy(), begins.numpy(), lengths.numpy(), flat.numpy(), strides,
            bias[:, :, -1].contiguous().numpy(), work.numpy(), out.numpy(), threads,
            self._counters(),
        )  # fmt: skip
        return out.view(n, new, hidden), x.view(n, new, hidden)


def _slots(config: Config) -> tuple[Tensor, Tensor]:
    """What each part of the first product is, and where each head's queries and keys are: the
    `slots` and `heads` of `numba_kernels.advance`."""
    c = config
    if c.interleaved:
        slots = [(which, head) for head in range(c.n_head) for which in range(3)]
    else:
        sizes = c.n_head, c.n_key_head, c.n_key_head
        slots = [(which, head) for which, size in enumerate(sizes) for head in range(size)]
    group = c.n_head // c.n_key_head
    heads = [(slots.index((0, head)), head // group) for head in range(c.n_head)]
    return torch.tensor(slots), torch.tensor(heads)


def _both(norm: torch.nn.Module) -> Tensor:
    """(2, hidden) a norm's weight and bias, zeros where it has none."""
    bias = getattr(norm, "bias", torch.zeros_like(norm.weight))
    return torch.stack([norm.weight, bias]).detach()
