"""The network's part of a decode step on a CUDA GPU, by kernels of our own (`step.cu`).

PyTorch's kernels take a dozen launches a layer and wait for each other in between; these take
five, and weights begin to arrive before the kernel in front has ended.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from .bloom import Bloom, alibi_slopes
from .nvrtc import KernelError, Kernels

# As in step.cu.
ROWS = 8
_WARPS, _WIDE_WARPS, _TILE, _PADDED = 8, 16, 16, 32
_HALVES = (torch.bfloat16, torch.float16)


def fits(network: Bloom, rows: int) -> bool:
    """Whether `FusedStep` can take this network with so many rows, and would gain by it."""
    c = network.config
    device = network.device
    if device.type != "cuda" or torch.version.hip or rows > ROWS or c.head_dim % 8:
        return False
    if torch.cuda.get_device_capability(device) < (8, 0) or c.hidden_size % 32:
        return False
    if network.head is not None or c.apply_residual_connection_post_layernorm:
        return False
    weights = list(network.parameters())
    plain = all(
        type(m) in (nn.LayerNorm, nn.ModuleList) or type(m).__module__ == Bloom.__module__
        for m in network.modules()
    )
    return plain and all(
        w.dtype == network.dtype and w.dtype in _HALVES and w.device == device
        and w.is_contiguous() and w.data_ptr() % 16 == 0
        for w in weights
    )  # fmt: skip


class FusedStep:
    """Reads one token a row and gives the logits of the next.

    Args:
        network: one that `fits`; its weights are read where they are at each call.
        rows: sequences, up to ROWS.

    Raises:
        KernelError: no compiler, or a driver that is too old.
    """

    def __init__(self, network: Bloom, rows: int) -> None:
        c, device = network.config, network.device
        self._network, self._rows = network, rows
        self._kernels = Kernels(
            (Path(__file__).parent / "step.cu").read_text(encoding="utf-8"),
            {
                "HIDDEN": c.hidden_size,
                "HEADS": c.n_head,
                "DIM": c.head_dim,
                "VOCAB": c.vocab_size,
                "EPSILON": f"{c.layer_norm_epsilon!r}f",
                "BF16": int(network.dtype == torch.bfloat16),
            },
            device,
        )
        half = {"dtype": network.dtype, "device": device}
        self._x = torch.zeros(rows, c.hidden_size, device=device)
        self._q = torch.zeros(rows, c.hidden_size, **half)
        self._seen = torch.zeros(rows, c.hidden_size, **half)
        self._wide = torch.zeros(rows, 4 * c.hidden_size, **half)
        self._slopes = torch.tensor(alibi_slopes(c.n_head), device=device)
        self._normed = rows * (c.hidden_size + _PADDED) * 2  # bytes
        properties = torch.cuda.get_device_properties(device)
        self._early = properties.major >= 9
        self._head_blocks = min(
            properties.multi_processor_count, -(-_tiles(c.vocab_size) // _WARPS)
        )
        # Of each of its warps the logarithm of the sum of its logits' exponentials.
        self.parts = torch.zeros(rows, self._head_blocks * _WARPS, device=device)

    def __call__(
        self, ids: Tensor, data: Tensor, length: Tensor, pad: Tensor, logits: Tensor
    ) -> None:
        """Fill in `logits`, `parts` and the new token's keys and values.

        Args:
            ids: (rows,) int64.
            data: a cache's, (n_layer, rows, n_head, 2, room, head_dim).
            length: (1,) int64, the new token's place.
            pad: (rows,) int64, tokens of left padding.
            logits: (rows, vocab_size) float32.
        """
        network, c, rows = self._network, self._network.config, self._rows
        room, size = data.shape[4], c.hidden_size
        x, q, seen, wide, normed = self._x, self._q, self._seen, self._wide, self._normed
        table, norm = network.word_embeddings.weight, network.word_embeddings_layernorm
        self._run("embed", (rows,), table, norm.weight, norm.bias, ids, x, rows)
        for block, kv in zip(network.h, data.unbind(0), strict=True):
            attention, mlp = block.self_attention, block.mlp
            norm, linear = block.input_layernorm, attention.query_key_value
            self._run(
                "project", (_tiles(3 * size),), x, norm.weight, norm.bias, linear.weight,
                linear.bias, q, kv, length, room, rows, shared=normed,
            )  # fmt: skip
            self._run(
                "attend", (c.n_head, rows), q, kv, length, pad, self._slopes, seen, room,
                shared=4 * room,
            )  # fmt: skip
            linear = attention.dense
            self._run(
                "add_attention", (_tiles(size),), seen, linear.weight, linear.bias, x, rows
            )
            norm, linear = block.post_attention_layernorm, mlp.dense_h_to_4h
            self._run(
                "widen", (_tiles(4 * size),), x, norm.weight, norm.bias, linear.weight,
                linear.bias, wide, rows, shared=normed,
            )  # fmt: skip
            linear = mlp.dense_4h_to_h
            self._run(
                "narrow", (_tiles(size),), wide, linear.weight, linear.bias, x, rows,
                warps=_WIDE_WARPS,
            )  # fmt: skip
        norm = network.ln_f
        self._run(
            "predict", (self._head_blocks,), x, norm.weight, norm.bias, table, logits, self.parts,
            rows, shared=normed,
        )  # fmt: skip

    def _run(
        self, name: str, grid: tuple[int, ...], *args: Tensor | int, shared: int = 0,
        warps: int = _WARPS,
    ) -> None:  # fmt: skip
        self._kernels.launch(name, grid, 32 * warps, *args, shared=shared, early=self._early)


def _tiles(features: int) -> int:
    return -(-features // _TILE)


__all__ = ["ROWS", "FusedStep", "KernelError", "fits"]
