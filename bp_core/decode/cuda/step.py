"""A decode step on a CUDA GPU by kernels of our own (`step.cu`).

PyTorch's kernels take a dozen launches a layer and sixty to choose a token, and wait for each other
in between. These take five and one, and weights begin to arrive before the kernel in front ends.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from .. import layers
from ..recall import AHEAD
from ..sampling import SamplingParams
from ..transformer import Transformer
from .nvrtc import kernels
from .state import StaticState

# How `step.cu` shares the work; its head says what each is.
ROWS = 8
_WARPS, _WIDE_WARPS, _TILE, _PADDED, _CHOOSERS = 8, 16, 16, 32, 1024
# So many tokens can be told from the maxima of 16 each: more might not find room in a block.
_MOST = _CHOOSERS // _TILE
_HALVES = (torch.bfloat16, torch.float16)


def fits(network: Transformer, rows: int) -> bool:
    """Whether `OwnStep` can take this network with so many rows, and would gain by it."""
    c = network.config
    device = network.device
    if device.type != "cuda" or torch.version.hip or rows > ROWS or c.head_dim % 8:
        return False
    if torch.cuda.get_device_capability(device) < (8, 0) or c.hidden_size % 32:
        return False
    if c.family != "bloom" or network.head is not None or c.post_norm_residual:
        return False
    weights = list(network.parameters())
    ours = Transformer, nn.ModuleList
    plain = all(type(m) in ours or type(m).__module__ == layers.__name__ for m in network.modules())
    return plain and all(
        w.dtype == network.dtype and w.dtype in _HALVES and w.device == device
        and w.is_contiguous() and w.data_ptr() % 16 == 0
        for w in weights
    )  # fmt: skip


class OwnStep:
    """Chooses one token a row, and reads it.

    Args:
        network: one that `fits`; its weights are read where they are at each call.
        rows: sequences, up to ROWS.

    Attributes:
        maxima, parts: what `read` leaves for `choose`: of each 16 logits the highest, and of parts
            of them the logarithm of the sum of their exponentials; (rows, …) float32.

    Raises:
        KernelError: no compiler, or a driver that is too old.
    """

    def __init__(self, network: Transformer, rows: int) -> None:
        c, device = network.config, network.device
        self._network, self._rows = network, rows
        defines = {
            "HIDDEN": c.hidden_size,
            "HEADS": c.n_head,
            "DIM": c.head_dim,
            "VOCAB": c.vocab_size,
            "EPSILON": f"{c.epsilon!r}f",
            "BF16": int(network.dtype == torch.bfloat16),
            "RECALLED": AHEAD,
            "ROWS": ROWS,
            "WARPS": _WARPS,
            "WIDE_WARPS": _WIDE_WARPS,
            "TILE": _TILE,
            "PADDED": _PADDED,
            "CHOOSERS": _CHOOSERS,
        }
        source = Path(__file__).with_name("step.cu").read_text(encoding="utf-8")
        self._kernels = kernels(source, tuple(defines.items()), device)
        half = {"dtype": network.dtype, "device": device}
        self._x = torch.zeros(rows, c.hidden_size, device=device)
        self._q = torch.zeros(rows, c.hidden_size, **half)
        self._seen = torch.zeros(rows, c.hidden_size, **half)
        self._wide = torch.zeros(rows, 4 * c.hidden_size, **half)
        self._slopes = network.slopes()
        self._normed = rows * (c.hidden_size + _PADDED) * 2  # bytes
        properties = torch.cuda.get_device_properties(device)
        self._early = properties.major >= 9
        tiles = _tiles(c.vocab_size)
        self._head_blocks = min(properties.multi_processor_count, -(-tiles // _WARPS))
        self.maxima = torch.zeros(rows, tiles, device=device)
        self.parts = torch.zeros(rows, self._head_blocks * _WARPS, device=device)

    def begin(self, logits: Tensor) -> None:
        """Take over logits (rows, vocab_size) that came from elsewhere."""
        missing = self.maxima.shape[1] * _TILE - logits.shape[1]
        tiles = nn.functional.pad(logits, (0, missing), value=-torch.inf)
        torch.amax(tiles.view(*self.maxima.shape, _TILE), 2, out=self.maxima)
        self.parts.fill_(-torch.inf)
        self.parts[:, 0] = logits.logsumexp(1)

    def choose(self, state: StaticState) -> None:
        """The next token of each row into `state.ids`, and all that the state notes of it."""
        sampler, recall, rows = state.sampler, state.recall, self._rows
        params = sampler.params
        none = state.ids
        self._run(
            "choose", (rows,),
            state.logits, state.scores, self.maxima, self.parts, self.parts.shape[1],
            state.history, state.history.shape[1], state.recent, sampler.window, state.chance,
            sampler.single, len(sampler.single), sampler.heads, sampler.lasts, len(sampler.lasts),
            recall.ids if recall else none, recall.extra if recall else none,
            recall.said if recall else none, recall.room if recall else 0,
            state.length, state.step, state.tokens.shape[1], params.min_new_tokens, state.eos,
            state.live, state.ids, state.tokens, state.logprobs, state.settings,
            params.top_k if params.temperature else 1,
            warps=_CHOOSERS // 32,
        )  # fmt: skip

    def read(self, state: StaticState) -> None:
        """Read `state.ids`: keys, values and `state.logits` follow, and the step is over."""
        network, c, rows = self._network, self._network.config, self._rows
        data, length = state.data, state.length
        room, size = data.shape[4], c.hidden_size
        x, q, seen, wide, normed = self._x, self._q, self._seen, self._wide, self._normed
        table, norm = network.embedding.weight, network.embedding_norm
        self._run("embed", (rows,), table, norm.weight, norm.bias, state.ids, x, rows)
        for block, kv in zip(network.blocks, data.unbind(0), strict=True):
            attention, mlp = block.attention, block.feed_forward
            norm, linear = block.attention_norm, attention.qkv
            self._run(
                "project", (_tiles(3 * size),), x, norm.weight, norm.bias, linear.weight,
                linear.bias, q, kv, length, room, rows, shared=normed,
            )  # fmt: skip
            self._run(
                "attend", (c.n_head, rows), q, kv, length, state.pad, self._slopes, seen, room,
                shared=4 * room,
            )  # fmt: skip
            linear = attention.out
            self._run("add_attention", (_tiles(size),), seen, linear.weight, linear.bias, x, rows)
            norm, linear = block.feed_forward_norm, mlp.up
            self._run(
                "widen", (_tiles(4 * size),), x, norm.weight, norm.bias, linear.weight,
                linear.bias, wide, rows, shared=normed,
            )  # fmt: skip
            linear = mlp.down
            self._run(
                "narrow", (_tiles(size),), wide, linear.weight, linear.bias, x, rows,
                warps=_WIDE_WARPS,
            )  # fmt: skip
        norm = network.norm
        self._run(
            "predict", (self._head_blocks,), x, norm.weight, norm.bias, table, state.logits,
            state.scores, self.maxima, self.parts, length, state.step, rows, shared=normed,
        )  # fmt: skip

    def _run(
        self, name: str, grid: tuple[int, ...], *args: Tensor | int, shared: int = 0,
        warps: int = _WARPS,
    ) -> None:  # fmt: skip
        self._kernels.launch(name, grid, 32 * warps, *args, shared=shared, early=self._early)


def can_choose(params: SamplingParams, vocabulary: int) -> bool:
    """Whether `OwnStep.choose` can do what is asked of the sampler."""
    few = params.temperature == 0 or 1 <= params.top_k <= _MOST
    return few and vocabulary <= _CHOOSERS * _TILE * _TILE


def _tiles(features: int) -> int:
    return -(-features // _TILE)
