"""A rewriter whose weights ComfyUI's memory manager moves, evicts and unloads like any model."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from ..bp_core import Rewriter

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
AUTO = "auto"
DEVICES = (AUTO, "cpu")

# Keys and values of one token of one candidate, in bytes: BLOOM-1b1 in float16 takes 144 KiB.
_TOKEN_BYTES = 144 * 1024
# The artist's prompt in tokens, generously.
_PROMPT_TOKENS = 256


class Weights(torch.nn.Module):
    """A plain module around networks: ModelPatcher sets `device` on what it manages, which
    neither `Bloom` nor a PreTrainedModel allows."""

    def __init__(self, *networks: torch.nn.Module) -> None:
        super().__init__()
        self.networks = torch.nn.ModuleList(networks)


class ManagedRewriter:
    """What flows along a REWRITER link.

    Attributes:
        name: of the model, for reports.
        patcher: ComfyUI's handle on the weights.
    """

    def __init__(self, rewriter: Rewriter, load_device, offload_device) -> None:
        from comfy.model_patcher import ModelPatcher

        network = rewriter.model.network
        module = network if isinstance(network, torch.nn.Module) else network.model
        self.name = rewriter.model.name
        self.patcher = ModelPatcher(
            Weights(module), load_device=load_device, offload_device=offload_device
        )
        self._rewriter = rewriter

    @property
    def reward(self):
        """The reward model, or None. It is small and stays in main memory."""
        return self._rewriter.reward

    def ready(self, candidates: int, length: int) -> Rewriter:
        """The rewriter, its weights on the device that it runs on.

        Args:
            candidates, length: rows, and tokens of each, that memory is needed for.
        """
        from comfy import model_management

        # Full: a network without ComfyUI's casting layers cannot run half loaded.
        model_management.load_models_gpu(
            [self.patcher],
            memory_required=candidates * (length + _PROMPT_TOKENS) * _TOKEN_BYTES,
            force_full_load=True,
        )
        return self._rewriter


def load(
    folder: Path, reward: str | Path | None = "starter", device: str = AUTO, precision: str = AUTO
) -> ManagedRewriter:
    """Load a model folder where ComfyUI keeps idle text encoders; raises ModelError.

    Args:
        reward: as for `Rewriter.load`.
        device: "auto" for where ComfyUI runs text encoders, or "cpu".
        precision: a key of PRECISIONS, or "auto": float32 on a CPU, elsewhere float16.
    """
    from comfy import model_management as mm

    from ..bp_core import Rewriter

    cpu = torch.device("cpu")
    run_on = cpu if device == "cpu" else mm.text_encoder_device()
    rest_on = cpu if device == "cpu" else mm.text_encoder_offload_device()
    if precision == AUTO:
        precision = "fp32" if run_on.type == "cpu" else "fp16"
    rewriter = Rewriter.load(
        folder, device=str(rest_on), dtype=PRECISIONS[precision], reward=reward
    )
    return ManagedRewriter(rewriter, run_on, rest_on)


@lru_cache(maxsize=1)
def starter() -> ManagedRewriter:
    """The bundled model, for nodes with nothing connected; loaded on first use."""
    from ..bp_core.models import STARTER

    return load(STARTER)
