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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .bloom import Bloom
from .errors import ModelError
from .trim import TrimmedHead

# Below this many parameters the few small operations around each 8-bit product outweigh the
# bytes that it saves.
_WORTH_8_BITS = 200_000_000

# Activations may use 7 bits, -63 to 63 around a zero point, because the AVX2 kernel adds pairs of
# 8-bit products in 16 bits. Steps of 0.01 are what `round` can round to in one operation.
_STEP, _ZERO = 0.01, 64
_REACH = 0.63  # a row's largest activation
_FINER = 126  # steps of the second limb in one of the first


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


@dataclass(frozen=True)
class Rounded:
    """A weight in 8 bits: levels (out, in) int8, scales (out,) float32, their product."""

    levels: Tensor
    scales: Tensor

    @classmethod
    def of(cls, weight: Tensor, rows: int = 8192) -> Rounded:
        """Round a weight of any floating type, some rows at a time: as float32 the head of a
        1.1 B model alone would take 1.5 GB."""
        levels = torch.empty(weight.shape, dtype=torch.int8)
        scales = torch.empty(len(weight))
        for start in range(0, len(weight), rows):
            part = weight[start : start + rows].float()
            step = (part.abs().amax(1) / 127).clamp_(min=1e-12)
            levels[start : start + rows] = (part / step[:, None]).round_()
            scales[start : start + rows] = step
        return cls(levels, scales)

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, rows: Tensor) -> Rounded:
        return Rounded(self.levels[rows], self.scales[rows])


class Int8Linear(nn.Module):
    """y = x Wᵀ + b with W in 8 bits, one scale an output; activations keep about 13 bits.

    Each row of x goes in twice, as its leading 7 bits and as the 7 bits that those leave over;
    the product of integers is exact, so the weights' rounding is the only error that counts. Every
    operation around the product costs as much as reading 150 KB of weights, for the caches are
    full of these: there are as few as possible.
    """

    operation = "linear_with_input_q_dq_qweight_dq_output_fp32"

    def __init__(self, weight: Tensor | Rounded, bias: Tensor | None) -> None:
        super().__init__()
        self._multiply = getattr(torch.ops.quantized, self.operation).default
        rounded = weight if isinstance(weight, Rounded) else Rounded.of(weight)
        no_offset = torch.zeros(len(rounded), dtype=torch.long)
        with warnings.catch_warnings():
            # PyTorch means to drop quantised tensors one day; `best_kind` asks what it still has.
            warnings.simplefilter("ignore", UserWarning)
            quantised = torch._make_per_channel_quantized_tensor(
                rounded.levels, rounded.scales.double(), no_offset, 0
            )
        self._packed = torch.ops.quantized.linear_prepack(quantised, None)
        self.bias = None if bias is None else nn.Parameter(bias.float(), requires_grad=False)
        self._least = torch.tensor(1e-12)
        self._of_x = torch.tensor([0.0, _FINER])
        self._of_leading = torch.tensor([1.0, -_FINER])

    def forward(self, x: Tensor) -> Tensor:
        largest = x.abs().amax(-1, keepdim=True)
        scale = torch.add(self._least, largest, alpha=1 / _REACH)
        x = x / scale
        limbs = (2, *(1,) * x.dim())
        of_x, of_leading = self._of_x.view(limbs), self._of_leading.view(limbs)
        both = torch.addcmul(x * of_x, x.round(decimals=2), of_leading)  # (2, …)
        leading, rest = self._multiply(both, _STEP, _ZERO, self._packed).unbind(0)
        y = torch.add(leading, rest, alpha=1 / _FINER)
        return y * scale if self.bias is None else torch.addcmul(self.bias, y, scale)


_HEAD = "word_embeddings"  # tied to the output head

KINDS: dict[str, type[HalfLinear | Int8Linear]] = {"float16": HalfLinear, "int8": Int8Linear}


def best_kind(parameters: int) -> str | None:
    """The fastest kind for a network of this size on this processor; None to leave it as it is."""
    kind = "int8" if parameters >= _WORTH_8_BITS else "float16"
    return kind if _can(KINDS[kind].operation) else None


def pack(
    network: Bloom,
    kind: str,
    kept: Tensor | None = None,
    rounded: Mapping[str, Rounded] | None = None,
) -> Bloom:
    """Replace every linear layer, and the head, by a packed one; the network itself is returned.

    Weights may be of any floating type; afterwards the network computes in float32.

    Args:
        kind: a key of KINDS.
        kept: ids that the head is trimmed to (see `trim`); all when None.
        rounded: for "int8", what `round_all` once made of these weights.

    Raises:
        ModelError: this processor or this PyTorch has no such kernel.
    """
    make = KINDS[kind]
    if not _can(make.operation):
        raise ModelError(f"{kind} weights cannot be packed on this machine: use dtype float32")
    rounded = rounded or {}
    engine = torch.backends.quantized.engine
    # The "x86" engine would hand some processors to oneDNN, which lacks these products.
    torch.backends.quantized.engine = "fbgemm"
    try:
        for name, module in list(network.named_modules()):
            owner, _, leaf = name.rpartition(".")
            if isinstance(module, nn.Linear):
                layer = make(rounded.get(name, module.weight), module.bias)
                setattr(network.get_submodule(owner), leaf, layer)
            elif isinstance(module, nn.LayerNorm):
                module.float()
        table = rounded.get(_HEAD, network.word_embeddings.weight)
        network.head = make(table, None) if kept is None else TrimmedHead(table, kept, make)
    finally:
        torch.backends.quantized.engine = engine
    network.fast_advance = LateTrace(network)
    return network


def round_all(network: Bloom) -> Iterator[tuple[str, Rounded]]:
    """What packing in 8 bits rounds, by the layer's name; for `pack`."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear) or name == _HEAD:
            yield name, Rounded.of(module.weight)


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
