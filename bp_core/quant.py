"""Linear layers packed for the processor, as drop-in modules: half precision or 8-bit weights.

Decoding reads every weight for every token, so bytes decide. FBGEMM, which PyTorch carries for
x86, multiplies float32 activations by weights packed in half precision or 8 bits; both kinds here
treat each row by itself, so a candidate does not depend on those decoded beside it. Packed
networks are for inference on the CPU and cannot be moved.
"""

from __future__ import annotations

import contextlib
import copy
import warnings

import torch
from torch import Tensor, nn

from .bloom import Bloom
from .errors import ModelError
from .trim import TrimmedHead

# Below this many parameters the few small operations around each 8-bit product outweigh the
# bytes that it saves.
_WORTH_8_BITS = 200_000_000

# Seven bits of each activation, because the AVX2 kernel adds pairs of 8-bit products in 16 bits.
_LEVELS = 63
_ZERO = 64


class HalfLinear(nn.Module):
    """y = x Wᵀ + b with W in float16: exact where the file's weights are float16."""

    operation = "linear_dynamic_fp16"

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self._multiply = getattr(torch.ops.quantized, self.operation).default
        self._packed = torch.ops.quantized.linear_prepack_fp16(
            weight.float(), None if bias is None else bias.float()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self._multiply(x, self._packed)


class Int8Linear(nn.Module):
    """y = x Wᵀ + b with W in 8 bits, one scale an output; activations keep about 13 bits.

    Each row of x goes in twice, as its leading 7 bits and as the 7 bits that those leave over;
    the product of integers is exact, so the weights' rounding is the only error that counts.
    """

    operation = "linear_with_input_q_dq_qweight_dq_output_fp32"

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self._multiply = getattr(torch.ops.quantized, self.operation).default
        levels, scales = _round(weight)
        with warnings.catch_warnings():
            # PyTorch means to drop quantised tensors one day; `best_kind` asks what it still has.
            warnings.simplefilter("ignore", UserWarning)
            quantised = torch._make_per_channel_quantized_tensor(
                levels, scales.double(), torch.zeros(len(levels), dtype=torch.long), 0
            )
        self._packed = torch.ops.quantized.linear_prepack(quantised, None)
        self.bias = None if bias is None else nn.Parameter(bias.float(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        scale = (x.abs().amax(-1, keepdim=True) / _LEVELS).clamp_(min=1e-12)
        x = x / scale
        leading = x.round()
        rest = (x - leading) * (2 * _LEVELS)
        both = self._multiply(torch.cat((leading, rest)), 1.0, _ZERO, self._packed)
        leading, rest = both.chunk(2)
        y = torch.add(leading, rest, alpha=1 / (2 * _LEVELS))
        return y * scale if self.bias is None else torch.addcmul(self.bias, y, scale)


def _round(weight: Tensor, rows: int = 8192) -> tuple[Tensor, Tensor]:
    """8-bit levels (out, in) and scales (out,) of a weight, some rows at a time: as float32 the
    head of a 1.1 B model alone would take 1.5 GB."""
    levels = torch.empty(weight.shape, dtype=torch.int8)
    scales = torch.empty(len(weight))
    for start in range(0, len(weight), rows):
        part = weight[start : start + rows].float()
        step = (part.abs().amax(1) / 127).clamp_(min=1e-12)
        levels[start : start + rows] = (part / step[:, None]).round_()
        scales[start : start + rows] = step
    return levels, scales


KINDS: dict[str, type[HalfLinear | Int8Linear]] = {"float16": HalfLinear, "int8": Int8Linear}


def best_kind(parameters: int) -> str | None:
    """The fastest kind for a network of this size on this processor; None to leave it as it is."""
    kind = "int8" if parameters >= _WORTH_8_BITS else "float16"
    return kind if _can(KINDS[kind].operation) else None


def pack(network: Bloom, kind: str, kept: Tensor | None = None) -> Bloom:
    """Replace every linear layer, and the head, by a packed one; the network itself is returned.

    Weights may be of any floating type; afterwards the network computes in float32.

    Args:
        kind: a key of KINDS.
        kept: ids that the head is trimmed to (see `trim`); all when None.

    Raises:
        ModelError: this processor or this PyTorch has no such kernel.
    """
    if not _can(KINDS[kind].operation):
        raise ModelError(f"{kind} weights cannot be packed on this machine: use dtype float32")
    engine = torch.backends.quantized.engine
    # The "x86" engine would hand some processors to oneDNN, which lacks these products.
    torch.backends.quantized.engine = "fbgemm"
    try:
        for module in list(network.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(module, name, KINDS[kind](child.weight, child.bias))
                elif isinstance(child, nn.LayerNorm):
                    child.float()
        table = network.word_embeddings.weight
        network.head = (
            KINDS[kind](table, None) if kept is None else TrimmedHead(table, kept, KINDS[kind])
        )
    finally:
        torch.backends.quantized.engine = engine
    network.fast_advance = LateTrace(network)
    return network


class LateTrace:
    """`Bloom.advance`, from a certain call on through a TorchScript trace of it.

    Python's part of a step of a small network is as long as the arithmetic; a trace drops it and
    gives the same numbers. Making one takes as long as it saves in about a hundred steps, so a
    network that writes a single prompt never pays for it.
    """

    after = 128

    def __init__(self, network: Bloom) -> None:
        # The same layers in another object: the network itself holds us, and would live on in a
        # cycle with its trace until somebody collects it.
        self._network = copy.copy(network)
        self._calls = 0
        self._advance = self._network.advance

    def __call__(self, ids: Tensor, bias: Tensor, kv: Tensor) -> Tensor:
        self._calls += 1
        if self._calls == self.after:
            self._trace()
        return self._advance(ids, bias, kv)

    def _trace(self) -> None:
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, cache = self._network.prefill([[0]], room=1)
            kv = cache.grow(1)
            inputs = torch.zeros(1, 1, dtype=torch.long), cache.last_bias(), kv
            # A network that cannot be traced, for whatever a host has patched, stays as it is.
            with contextlib.suppress(Exception):
                self._advance = torch.jit.trace(_Advance(self._network), inputs, check_trace=False)


class _Advance(nn.Module):
    """`Bloom.advance` as a module, which is what can be traced with its packed weights."""

    def __init__(self, network: Bloom) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, bias: Tensor, kv: Tensor) -> Tensor:
        return self.network.advance(ids, bias, kv)


def _can(operation: str) -> bool:
    """Whether this PyTorch has FBGEMM, and in it the operation."""
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return False
    return hasattr(torch.ops.quantized, operation)
