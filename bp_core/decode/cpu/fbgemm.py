"""Linear layers packed for the processor, as drop-in modules: half precision or 8-bit weights.

Decoding reads every weight for every token, so bytes decide. Two engines multiply float32
activations by weights packed in half precision or 8 bits: FBGEMM, which PyTorch carries for x86,
and, faster where numba is installed, our own products (see `compiled`). All treat each row by
itself, so a candidate does not depend on those decoded beside it. Packed networks are for
inference on the CPU and cannot be moved.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import ModelError
from ...trim import TrimmedHead
from ..bloom import Bloom, BloomLinear
from . import numba_layers as compiled
from . import self_check as trial
from .numba_layers import CompiledAdvance, CompiledDecoder, TiledLinear

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


def _tiled_half(weight: Tensor, bias: Tensor | None) -> TiledLinear:
    return TiledLinear(weight.half(), None, bias)


def _tiled_int8(weight: Tensor | Rounded, bias: Tensor | None) -> TiledLinear:
    rounded = weight if isinstance(weight, Rounded) else Rounded.of(weight)
    return TiledLinear(rounded.levels, rounded.scales, bias)


_HEAD = "word_embeddings"  # tied to the output head

KINDS = "float16", "int8"
_FBGEMM = {"float16": HalfLinear, "int8": Int8Linear}
_NUMBA = {"float16": _tiled_half, "int8": _tiled_int8}


def best_kind(parameters: int) -> str | None:
    """The fastest kind for a network of this size on this processor; None to leave it as it is."""
    kind = "int8" if parameters >= _WORTH_8_BITS else "float16"
    return kind if _can(_FBGEMM[kind].operation) or trial.compiles(kind) else None


def pack(
    network: Bloom,
    kind: str,
    kept: Tensor | None = None,
    rounded: Mapping[str, Rounded] | None = None,
    engine: str | None = None,
) -> Bloom:
    """Replace every linear layer, and the head, by a packed one; the network itself is returned.

    Weights may be of any floating type; afterwards the network computes in float32.

    Args:
        kind: one of KINDS.
        kept: ids that the head is trimmed to (see `trim`); all when None.
        rounded: for "int8", what `round_all` once made of these weights.
        engine: "numba" or "fbgemm"; None for the best. That is numba's where it is installed, but
            a small network begins with FBGEMM's, which need no compiling, and goes over later.

    Raises:
        ModelError: this machine has no such engine.
    """
    if kind not in KINDS:
        raise ModelError(f"weights cannot be packed as {kind}: use {' or '.join(KINDS)}")
    fbgemm = _can(_FBGEMM[kind].operation)
    later = False
    if engine is None:
        small = sum(p.numel() for p in network.parameters()) < _WORTH_8_BITS
        engine = "fbgemm" if fbgemm and (small or not trial.compiles(kind)) else "numba"
        later = small and compiled.installed() and CompiledAdvance.fits(network)
    if engine == "numba":
        if not trial.compiles(kind):
            raise ModelError(
                f"{kind} weights cannot be packed on this machine: use dtype float32, or install "
                'numba: pip install "beautifulprompt[fast]"'
            )
        return pack_tiled(network, kind, kept, rounded)
    if not fbgemm:
        raise ModelError(f"this PyTorch has no FBGEMM for {kind} weights: use engine numba")
    unpacked = list(network.named_parameters()) if later else None
    before = torch.backends.quantized.engine
    # The "x86" engine would hand some processors to oneDNN, which lacks these products.
    torch.backends.quantized.engine = "fbgemm"
    try:
        _replace(network, _FBGEMM[kind], kept, rounded or {})
    finally:
        torch.backends.quantized.engine = before
    network.fast_advance = LateAdvance(network, unpacked, kind)
    return network


def pack_tiled(
    network: Bloom,
    kind: str,
    kept: Tensor | None = None,
    rounded: Mapping[str, Rounded] | None = None,
) -> Bloom:
    """What `pack` does for numba's engine, whether that works on this machine or not."""
    _replace(network, _NUMBA[kind], kept, rounded or {})
    if CompiledAdvance.fits(network):
        _take(network, CompiledAdvance(network))
    return network


def _take(network: Bloom, advance: CompiledAdvance) -> None:
    """Let a network read and write through its compiled layers."""
    network.fast_advance = network.fast_prefill = advance
    network.decoder = CompiledDecoder(advance)


def _replace(
    network: Bloom, make: Callable, kept: Tensor | None, rounded: Mapping[str, Rounded]
) -> None:
    for name, module in list(network.named_modules()):
        owner, _, leaf = name.rpartition(".")
        if isinstance(module, BloomLinear):
            layer = make(rounded.get(name, module.weight), module.bias)
            setattr(network.get_submodule(owner), leaf, layer)
        elif isinstance(module, nn.LayerNorm):
            module.float()
    table = rounded.get(_HEAD, network.word_embeddings.weight)
    network.head = make(table, None) if kept is None else TrimmedHead(table, kept, make)


def round_all(network: Bloom) -> Iterator[tuple[str, Rounded]]:
    """What packing in 8 bits rounds, by the layer's name; for `pack`."""
    for name, module in network.named_modules():
        if isinstance(module, BloomLinear) or name == _HEAD:
            yield name, Rounded.of(module.weight)


class LateAdvance:
    """`Bloom.advance`, traced or compiled once a network has been used for a while.

    Python's part of a step of a small network is as long as the arithmetic. A TorchScript trace
    drops it and gives the same numbers; making one takes as long as it saves in about a hundred
    steps, so a network that writes a single prompt never pays for it. What numba compiles is
    faster still, but takes a moment to load, and ten seconds where nothing was compiled before
    (see `trial`): a thread waits for that, for networks in steady use.
    """

    traced_after = 128
    compiled_after = 1024

    def __init__(
        self, network: Bloom, unpacked: list[tuple[str, Tensor]] | None, kind: str
    ) -> None:
        """Of a network of FBGEMM's layers.

        Args:
            unpacked: its tensors before it was packed, to be compiled; None for never.
        """
        # The same layers in another object: the network itself holds us, and would live on in a
        # cycle with its trace until somebody collects it.
        self._network, self._owner = copy.copy(network), weakref.ref(network)
        self._unpacked, self._kind = unpacked, kind
        self._calls = 0
        self._advance = self._network.advance
        self.compiling: threading.Thread | None = None

    def __call__(self, ids: Tensor, bias: Tensor, kv: Tensor) -> Tensor:
        self._calls += 1
        if self._calls == self.traced_after:
            self._trace()
        if self._calls == self.compiled_after and self._unpacked is not None:
            self.compiling = threading.Thread(target=self._compile)
            self.compiling.start()
        return self._advance(ids, bias, kv)

    def _compile(self) -> None:
        try:
            network = Bloom.from_tensors(self._network.config, self._unpacked)
            advance = pack(network, self._kind, engine="numba").fast_advance
            if (network := self._owner()) is not None:
                _take(network, advance)
        except ModelError:
            pass  # `trial` has said why; the network goes on as it is
        except Exception as error:
            logging.getLogger(__name__).warning("decoding goes on without numba: %s", error)
        self._unpacked = None

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
