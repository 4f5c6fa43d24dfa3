"""Packed layers and decode steps compiled by numba, where it is installed.

PyTorch's products of one row stop well short of the memory's bandwidth, and each of its operations
costs microseconds whatever is in it. `kernels` has a product that reads weights at the speed of
memory, and all layers of a step in one call. numba is optional: without it packed networks run
FBGEMM's products.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from ..bloom import Bloom
from ..generate import OnToken, Start, decode
from ..sampling import Sampler, SamplingParams

# With more tokens to draw from than this, finding and sorting them is what takes long.
_MOST = 1024
_SMALL = 2**26  # bytes


def installed() -> bool:
    """Whether numba is there; `trial` finds out whether it works."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="beautifulprompt")


def _together(function: Callable, threads: int, *args) -> None:
    """Run a function of `kernels` on several threads at once, this one among them."""
    others = [_pool().submit(function, *args) for _ in range(threads - 1)]
    function(*args)
    for other in others:
        # One that has not begun by now is not needed any more.
        if not other.cancel():
            other.result()


class TiledLinear(nn.Module):
    """y = x Wᵀ + b with W in float16 or, one scale an output, in 8 bits.

    float16 weights are multiplied in float32. For 8-bit ones activations are rounded to 16 bits, a
    scale each row, and the products are exact.

    Attributes:
        tiles: W, (outputs / 4, inputs / k, 4, k), filled up with zeros.
    """

    def __init__(self, weight: Tensor, scales: Tensor | None, bias: Tensor | None) -> None:
        """Over a copy of the weight.

        Args:
            weight: (outputs, inputs), float16 or int8.
            scales: (outputs,) what int8 weights are multiplied by; None for float16.
            bias: (outputs,) or None.
        """
        from . import numba_kernels as kernels

        super().__init__()
        self._kernel, self._counters = kernels.linear, kernels.counters
        self.kind = kernels.INT8 if weight.dtype == torch.int8 else kernels.HALF
        self.outputs, self.inputs = weight.shape
        tile = kernels.TILES[self.kind.dtype]
        self._filled, self._width = (
            -(-have // full) * full for have, full in zip(weight.shape, tile, strict=True)
        )
        if weight.shape != (self._filled, self._width):
            missing = 0, self._width - self.inputs, 0, self._filled - self.outputs
            weight = nn.functional.pad(weight, missing)
        tiles = weight.view(self._filled // tile[0], tile[0], self._width // tile[1], tile[1])
        self.tiles = tiles.transpose(1, 2).contiguous()
        self.scale, self.bias = torch.zeros(2, self._filled).unbind()
        self.scale[: self.outputs] = 1.0 if scales is None else scales
        if bias is not None:
            self.bias[: self.outputs] = bias
        self._constant = self.scale.numpy(), self.bias.numpy()

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs), float32."""
        rows = x.reshape(-1, self.inputs)
        if self._width != self.inputs:
            rows = nn.functional.pad(rows, (0, self._width - self.inputs))
        rows = rows.contiguous()
        y = torch.empty(len(rows), self._filled)
        threads = torch.get_num_threads()
        _together(
            self._kernel, threads, self.kind, self.tiles.data_ptr(), *self._constant,
            rows.numpy(), y.numpy(), threads, self._counters(1),
        )  # fmt: skip
        return y[:, : self.outputs].view(*x.shape[:-1], self.outputs)


def _lay_together(layers: list[TiledLinear]) -> None:
    """Move the tiles of a small network into one piece, in the order of their use: what a product
    asks for ahead of its end is then the next one's, and not in vain."""
    tiles = [layer.tiles for layer in layers]
    if sum(each.nbytes for each in tiles) > _SMALL:
        return
    parts = torch.cat([each.flatten() for each in tiles]).split([each.numel() for each in tiles])
    for layer, part, each in zip(layers, parts, tiles, strict=True):
        layer.tiles = part.view(each.shape)


class CompiledAdvance:
    """`Bloom.advance` of a network of `TiledLinear` layers, in one call."""

    @staticmethod
    def fits(network: Bloom) -> bool:
        """Whether a network has the shape that the kernel counts on."""
        c = network.config
        whole = c.hidden_size % 32 == 0 and c.head_dim % 16 == 0
        return whole and not c.apply_residual_connection_post_layernorm

    def __init__(self, network: Bloom) -> None:
        from . import numba_kernels as kernels

        c = network.config
        self._kernel, self._counters = kernels.advance, kernels.counters
        # Of another object: the network holds us, and would live on in a cycle.
        self._embed = copy.copy(network).embed
        layers = [
            (
                block.self_attention.query_key_value, block.self_attention.dense,
                block.mlp.dense_h_to_4h, block.mlp.dense_4h_to_h,
            )
            for block in network.h
        ]  # fmt: skip
        norms = [(b.input_layernorm, b.post_attention_layernorm) for b in network.h]
        _lay_together([layer for four in layers for layer in four])
        self._layers = layers  # whose weights are known by their addresses only
        self._hidden = c.hidden_size
        self._constant = (
            layers[0][0].kind,
            torch.tensor([[layer.tiles.data_ptr() for layer in four] for four in layers]).numpy(),
            torch.stack([torch.cat([layer.scale for layer in four]) for four in layers]).numpy(),
            torch.stack([torch.cat([layer.bias for layer in four]) for four in layers]).numpy(),
            torch.stack(
                [torch.stack([p for n in two for p in (n.weight, n.bias)]) for two in norms]
            ).detach().numpy(),
            torch.stack([network.ln_f.weight, network.ln_f.bias]).detach().numpy(),
            c.layer_norm_epsilon,
        )  # fmt: skip

    def __call__(self, ids: Tensor, bias: Tensor, kv: Tensor, rows: Tensor | None = None) -> Tensor:
        """(n, T) ids to the last one's normed output (n, hidden); the cache's last T are filled.

        Args:
            bias: of the last token, (1 or the cache's rows, n_head, 1, length).
            rows: (n,) which rows of the cache these are; None for all, in order.
        """
        (n, new), length, hidden = ids.shape, kv.shape[4], self._hidden
        rows = torch.arange(n) if rows is None else rows
        if new > 1:
            rows = rows.repeat_interleave(new)
        lengths = torch.arange(length - new + 1, length + 1).repeat(n)
        x = self._embed(ids).view(n * new, hidden)
        layer, row, head, value, token, _ = kv.stride()
        strides = kv.storage_offset(), layer, row, head, value, token
        flat = kv.as_strided((kv.untyped_storage().nbytes() // 4,), (1,), 0)
        work, out = torch.empty(8 * n * new * hidden), torch.empty(n * new, hidden)
        threads = torch.get_num_threads()
        _together(
            self._kernel, threads, *self._constant, x.numpy(),
            rows.numpy(), lengths.numpy(), flat.numpy(), strides,
            bias[:, :, -1].contiguous().numpy(), work.numpy(), out.numpy(), threads,
            self._counters(4 * len(self._layers)),
        )  # fmt: skip
        return out.view(n, new, hidden)[:, -1]


class CompiledDecoder:
    """Runs `generate`'s inner loop with the choice of tokens compiled, too.

    Rows that have ended are left out of the next step at once: nothing is copied for that.
    """

    def __init__(self, advance: CompiledAdvance) -> None:
        from . import numba_kernels as kernels

        self.advance = advance
        self._choose, self._counters = kernels.choose, kernels.counters

    def __call__(
        self,
        network: Bloom,
        start: Start,
        params: SamplingParams,
        blocked: tuple[tuple[int, ...], ...],
        eos: int,
        on_token: OnToken | None,
    ) -> tuple[Tensor, Tensor]:
        """Decode to the end: ids (rows, steps), -1 after the end, and their log-probabilities."""
        logits, cache, history, recent, chance, recall = start
        top_k = params.top_k if params.temperature else 1
        if not 0 < top_k <= _MOST or cache.own is not None:
            return decode(network, start, params, blocked, eos, on_token)
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
            _together(
                self._choose, threads, logits.numpy(), rows.numpy(), step, *limits, *fixed,
                self._counters(1),
            )  # fmt: skip
            ids = tokens[:, step]
            if on_token is not None:
                on_token(step, ids.clone())
            rows = rows[ids[rows] != eos]
            if step + 1 == steps or not len(rows):
                break
            kv = cache.grow(1)
            hidden = self.advance(ids[rows][:, None], cache.last_bias(), kv, rows)
            logits = network.logits(hidden)
        return tokens, logprobs
