"""Linear layers over FBGEMM, which PyTorch carries for x86: half precision or 8-bit weights.

Decoding reads every weight for every token, so bytes decide. float32 activations are multiplied by
weights packed in half precision or 8 bits; each row is treated by itself, so a candidate does not
depend on those decoded beside it. A packed network is for inference and cannot be moved.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..generate import Cache
from ..kept import KeptPrompts
from ..layers import View
from ..transformer import Engine, KVCache, Transformer
from .packing import replace_products
from .rounding import Nibbles, Rounded

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


class Int8Linear(nn.Module):
    """y = x Wᵀ + b with W in 8 bits, one scale an output; activations keep about 13 bits.

    Each row of x goes in twice, as its leading 7 bits and as the 7 bits that those leave over;
    the product of integers is exact, so the weights' rounding is the only error that counts. Every
    operation around the product costs as much as reading 150 KB of weights, for the caches are
    full of these: there are as few as possible.
    """

    operation = "linear_with_input_q_dq_qweight_dq_output_fp32"

    def __init__(self, weight: Tensor | Rounded | Nibbles, bias: Tensor | None) -> None:
        super().__init__()
        self._multiply = getattr(torch.ops.quantized, self.operation).default
        rounded = Rounded.of(weight) if isinstance(weight, Tensor) else weight
        no_offset = torch.zeros(len(rounded), dtype=torch.long)
        with warnings.catch_warnings():
            # PyTorch means to drop quantised tensors one day; `has` asks what it still has.
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


_LAYERS = {"float16": HalfLinear, "int8": Int8Linear}


def has(kind: str) -> bool:
    """Whether this PyTorch has FBGEMM, and in it the product for weights of a kind."""
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return False
    return hasattr(torch.ops.quantized, _LAYERS[kind].operation)


class FbgemmNetwork(Engine):
    """A network whose products are FBGEMM's.

    Python's part of a step of a small network is as long as the arithmetic. A TorchScript trace
    drops it and gives the same numbers; making one takes as long as it saves in about a hundred
    steps, so a network that writes a single prompt never pays for it.
    """

    loop = None  # `generate` decodes it by its own
    traced_after = 128  # steps

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
        before = torch.backends.quantized.engine
        # The "x86" engine would hand some processors to oneDNN, which lacks these products.
        torch.backends.quantized.engine = "fbgemm"
        try:
            replace_products(network, _LAYERS[kind], rounded or {})
        finally:
            torch.backends.quantized.engine = before
        self.model, self.kind = network, kind
        self._kept = KeptPrompts()
        self._steps = 0
        self._traced: nn.Module | None = None

    def prefill(self, prompts: Sequence[Sequence[int]], room: int) -> tuple[Tensor, Cache]:
        """See `generate.Network.prefill`; the last prompts are kept."""
        return self._kept.prefill(self.model, prompts, room, self.model.prefill)

    def step(self, ids: Tensor, cache: KVCache) -> Tensor:
        """See `generate.Network.step`."""
        self._steps += 1
        if self._steps == self.traced_after:
            self._trace()
        if self._traced is None:
            return self.model.step(ids, cache)
        kv = cache.grow(1)
        return self._traced(ids[:, None], kv, *_tensors(self.model.next_view(cache)))

    def _trace(self) -> None:
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, cache = self.model.prefill([[0]], room=1)
            kv = cache.grow(1)
            view = self.model.next_view(cache)
            inputs = torch.zeros(1, 1, dtype=torch.long), kv, *_tensors(view)
            # A network that cannot be traced, for whatever a host has patched, stays as it is.
            with contextlib.suppress(Exception):
                self._traced = torch.jit.trace(_Step(self.model, view), inputs, check_trace=False)


def _tensors(view: View) -> list[Tensor]:
    places = [] if view.positions is None else [view.positions]
    return [view.bias, *places, *(view.rotation or ())]


class _Step(nn.Module):
    """A step as a module, which is what can be traced with its packed weights."""

    def __init__(self, network: Transformer, view: View) -> None:
        super().__init__()
        self.network = network
        self._rotates, self._places = view.rotation is not None, view.positions is not None

    def forward(self, ids: Tensor, kv: Tensor, bias: Tensor, *rest: Tensor) -> Tensor:
        positions = rest[0] if self._places else None
        rotation = (rest[0], rest[1]) if self._rotates else None
        return self.network.logits(self.network.advance(ids, View(bias, positions, rotation), kv))
