"""Architectures that are not ours, through `transformers` where it is installed.

The adapter speaks the same protocol as `Transformer`, so `generate`, its seeds and its sampler are
the same for every model.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError


class _Cache:
    """transformers' cache, and which places of it are padding: `mask` (n, T)."""

    def __init__(self, past: Any, mask: Tensor) -> None:
        self.past = past
        self.mask = mask

    def select(self, rows: Tensor) -> _Cache:
        """The cache of the given rows; this one is used up."""
        if isinstance(self.past, tuple):  # transformers before 4.36
            past = tuple(tuple(t.index_select(0, rows) for t in layer) for layer in self.past)
        else:
            past = self.past
            past.reorder_cache(rows)
        return _Cache(past, self.mask[rows])


class HFNetwork:
    """A causal language model of `transformers` as `generate` wants it."""

    loop = None  # `generate` decodes it by its own

    def __init__(self, model: Any) -> None:
        self.model = model
        self.vocab_size: int = model.config.vocab_size
        # Models with ALiBi take no positions: they derive them from the mask.
        self._positions = "position_ids" in inspect.signature(model.forward).parameters

    @property
    def device(self) -> torch.device:
        return self.model.device

    def prefill(self, prompts: Sequence[Sequence[int]], room: int) -> tuple[Tensor, _Cache]:
        """See `generate.Network.prefill`; the cache grows as needed."""
        length = max(map(len, prompts))
        ids = [[0] * (length - len(p)) + list(p) for p in prompts]
        mask = [[0] * (length - len(p)) + [1] * len(p) for p in prompts]
        cache = _Cache(None, torch.tensor(mask, device=self.device))
        return self._forward(torch.tensor(ids, device=self.device), cache), cache

    def step(self, ids: Tensor, cache: _Cache) -> Tensor:
        """See `generate.Network.step`."""
        cache.mask = torch.cat((cache.mask, torch.ones_like(ids)[:, None]), 1)
        return self._forward(ids[:, None], cache)

    def _forward(self, ids: Tensor, cache: _Cache) -> Tensor:
        inputs = {"attention_mask": cache.mask, "past_key_values": cache.past, "use_cache": True}
        if self._positions:
            positions = (cache.mask.cumsum(1) - 1).clamp(min=0)
            inputs["position_ids"] = positions[:, -ids.shape[1] :]
        out = self.model(ids, **inputs)
        cache.past = out.past_key_values
        return out.logits[:, -1]


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> HFNetwork:
    """Load a causal LM folder with transformers; raises ModelError where that is impossible."""
    try:
        import transformers
    except ImportError as error:
        raise ModelError(
            f"{folder} is of a kind that we do not build: install transformers to run it"
        ) from error
    version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
    kind = {"dtype" if version >= (4, 56) else "torch_dtype": dtype}
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **kind
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"transformers {transformers.__version__} cannot load {folder} ({line}): "
            "choose another model"
        ) from error
    return HFNetwork(model.eval().to(device))
