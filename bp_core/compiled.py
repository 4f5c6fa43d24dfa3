"""Packed layers and decode steps compiled by numba, where it is installed.

PyTorch's products of one row stop well short of the memory's bandwidth, and each of its operations
costs microseconds whatever is in it. `kernels` has a product that reads weights at the speed of
memory, and all layers of a step in one call. numba is optional: without it packed networks run
FBGEMM's products.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from .bloom import Bloom


def installed() -> bool:
    """Whether numba is there; `quant` then finds out whether it works."""
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


def _counters(stages: int):
    """What threads count the chunks of each stage with: taken, and done."""
    return torch.zeros(2 * stages, dtype=torch.long).numpy()


class TiledLinear(nn.Module):
    """y = x Wᵀ + b with W in float16 or, one scale an output, in 8 bits.

    float16 weights are multiplied in float32. For 8-bit ones activations are rounded to 14 bits, a
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
        from . import kernels

        super().__init__()
        self._kernel = kernels.linear
        self.kind = kernels.INT8 if weight.dtype == torch.int8 else kernels.HALF
        self.outputs, self.inputs = weight.shape
        tile = kernels.TILES[self.kind.dtype]
        filled, self._width = (
            -(-have // full) * full for have, full in zip(weight.shape, tile, strict=True)
        )
        if weight.shape != (filled, self._width):
            missing = 0, self._width - self.inputs, 0, filled - self.outputs
            weight = nn.functional.pad(weight, missing)
        tiles = weight.view(filled // tile[0], tile[0], self._width // tile[1], tile[1])
        self.tiles = tiles.transpose(1, 2).contiguous()
        self.scale, self.bias = torch.zeros(2, filled).unbind()
        self.scale[: self.outputs] = 1.0 if scales is None else scales
        if bias is not None:
            self.bias[: self.outputs] = bias

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs), float32."""
        rows = x.reshape(-1, self.inputs)
        if self._width != self.inputs:
            rows = nn.functional.pad(rows, (0, self._width - self.inputs))
        rows = rows.contiguous()
        y = torch.empty(len(rows), len(self.scale))
        threads = torch.get_num_threads()
        _together(
            self._kernel, threads, self.kind, self.tiles.data_ptr(), self.scale.numpy(),
            self.bias.numpy(), rows.numpy(), y.numpy(), threads, _counters(1),
        )  # fmt: skip
        return y[:, : self.outputs].view(*x.shape[:-1], self.outputs)


class CompiledAdvance:
    """`Bloom.advance` for single tokens of a network of `TiledLinear` layers, in one call."""

    @staticmethod
    def fits(network: Bloom) -> bool:
        """Whether a network has the shape that the kernel counts on."""
        c = network.config
        whole = c.hidden_size % 32 == 0 and c.head_dim % 4 == 0
        return whole and not c.apply_residual_connection_post_layernorm

    def __init__(self, network: Bloom) -> None:
        from . import kernels

        c = network.config
        self._kernel, self._embed = kernels.advance, network.embed
        layers = [
            (
                block.self_attention.query_key_value, block.self_attention.dense,
                block.mlp.dense_h_to_4h, block.mlp.dense_4h_to_h,
            )
            for block in network.h
        ]  # fmt: skip
        norms = [(b.input_layernorm, b.post_attention_layernorm) for b in network.h]
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

    def __call__(self, ids: Tensor, bias: Tensor, kv: Tensor) -> Tensor:
        """(n, 1) ids to the normed output (n, hidden); the cache's last place is filled."""
        n, hidden = len(ids), self._hidden
        x = self._embed(ids)[:, 0].contiguous()
        layer, row, head, value, token, _ = kv.stride()
        strides = kv.storage_offset(), layer, row, head, value, token, kv.shape[4]
        flat = kv.as_strided((kv.untyped_storage().nbytes() // 4,), (1,), 0)
        out = torch.empty(n, hidden)
        threads = torch.get_num_threads()
        _together(
            self._kernel, threads, *self._constant, x.numpy(), flat.numpy(),
            torch.tensor(strides).numpy(), bias[:, :, 0].contiguous().numpy(),
            torch.empty(n, 3 * hidden).numpy(), torch.empty(n, hidden).numpy(),
            torch.empty(n, 4 * hidden).numpy(), out.numpy(), threads,
            _counters(4 * len(self._layers)),
        )  # fmt: skip
        return out
