"""Models whose weights ComfyUI's memory manager moves, evicts and unloads like any model."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

    from ..bp_core import Rewriter
    from ..bp_core.score.text_reward import Reward, TextReward
    from ..bp_core.writers.rewriter import WriterRewriter
    from ..bp_core.writers.writer import Writer

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
AUTO = "auto"
DEVICES = (AUTO, "cpu")

# Keys and values of one token of one candidate, in bytes: BLOOM-1b1 in float16 takes 144 KiB.
_TOKEN_BYTES = 144 * 1024
# The artist's prompt in tokens, generously.
_PROMPT_TOKENS = 256


class Weights(torch.nn.Module):
    """A plain module around networks: ModelPatcher sets `device` on what it manages, which
    neither `Transformer` nor a PreTrainedModel allows."""

    def __init__(self, *networks: torch.nn.Module) -> None:
        super().__init__()
        self.networks = torch.nn.ModuleList(networks)


def devices(device: str = AUTO) -> tuple[torch.device, torch.device]:
    """Where a model runs and where it rests: as ComfyUI's text encoders do, or on the CPU."""
    from comfy import model_management as mm

    if device == "cpu":
        return torch.device("cpu"), torch.device("cpu")
    return mm.text_encoder_device(), mm.text_encoder_offload_device()


def patcher(
    networks: list[torch.nn.Module], run_on: torch.device, rest_on: torch.device
) -> ModelPatcher:
    """ComfyUI's handle on networks that it moves together."""
    from comfy.model_patcher import ModelPatcher

    return ModelPatcher(Weights(*networks), load_device=run_on, offload_device=rest_on)


def fetch(patchers: list[ModelPatcher], tokens: int = 0) -> None:
    """Move weights to the device they run on; others leave it where there is no room.

    Args:
        tokens: of all rows together, that memory is needed for beside the weights.
    """
    from comfy import model_management

    # Full: a network without ComfyUI's casting layers cannot run half loaded.
    model_management.load_models_gpu(
        patchers, memory_required=tokens * _TOKEN_BYTES, force_full_load=True
    )


class ManagedReward:
    """A reward model on ComfyUI's books; `patcher` is ComfyUI's handle on its weights."""

    def __init__(self, reward: Reward, run_on: torch.device, rest_on: torch.device) -> None:
        models = [model for model in (reward.aesthetic, reward.relevance) if model is not None]
        networks = [part for model in models for part in (model.trunk, _head(model))]
        self.patcher = patcher(networks, run_on, rest_on)
        self.reward = reward

    def ready(self, texts: int) -> Reward:
        """The reward, its weights on the device that it runs on; `texts` will be scored."""
        fetch([self.patcher], texts * _PROMPT_TOKENS)
        return self.reward


class ManagedRewriter:
    """What flows along a REWRITER link.

    Attributes:
        name: of the model, for reports.
        patcher: ComfyUI's handle on the weights.
        reward: what ranks the candidates, or None.
    """

    def __init__(self, rewriter: Rewriter, run_on: torch.device, rest_on: torch.device) -> None:
        network = rewriter.model.network
        module = network if isinstance(network, torch.nn.Module) else network.model
        self.name = rewriter.model.name
        self.patcher = patcher([module], run_on, rest_on)
        self.reward = rewriter.reward and ManagedReward(rewriter.reward, run_on, rest_on)
        self._rewriter = rewriter

    def ready(self, candidates: int, length: int) -> Rewriter:
        """The rewriter, its weights on the device that it runs on.

        Args:
            candidates, length: rows, and tokens of each, that memory is needed for.
        """
        # In one call: asked for one after the other, the second could evict the first.
        patchers = [self.patcher] + ([self.reward.patcher] if self.reward else [])
        fetch(patchers, candidates * (length + _PROMPT_TOKENS))
        return self._rewriter


class ManagedWriter:
    """A writer that is no model of ours, as it flows along a REWRITER link.

    Attributes:
        reward: what ranks the candidates, or None.
    """

    def __init__(self, writer: Writer, reward: ManagedReward | None, folder: Path | None) -> None:
        from ..bp_core.score.taste import load_taste
        from ..bp_core.writers.rewriter import WriterRewriter

        self.reward = reward
        judge = reward and reward.reward
        taste = judge and load_taste(folder, judge.aesthetic)
        self._rewriter = WriterRewriter(writer, judge, taste)

    @property
    def name(self) -> str:
        return self._rewriter.writer.name

    def ready(self, candidates: int, length: int) -> WriterRewriter:
        """As of `ManagedRewriter`; the writer's own memory is none of ours."""
        if self.reward is not None:
            self.reward.ready(candidates)
        return self._rewriter


def load(
    folder: Path, reward: str | Path | None = "starter", device: str = AUTO, precision: str = AUTO
) -> ManagedRewriter:
    """Load a model folder where ComfyUI keeps idle text encoders; raises ModelError.

    Args:
        reward: as for `Rewriter.load`.
        device: as for `devices`.
        precision: a key of PRECISIONS, or "auto": packed for the processor on a CPU, where
            nothing moves, elsewhere float16.
    """
    from ..bp_core import Rewriter

    run_on, rest_on = devices(device)
    if precision == AUTO:
        dtype = None if run_on.type == "cpu" else "float16"
    else:
        dtype = PRECISIONS[precision]
    # ComfyUI moves weights as it likes, in parts at times: no graphs over them.
    rewriter = Rewriter.load(folder, device=str(rest_on), dtype=dtype, reward=reward, graph=False)
    return ManagedRewriter(rewriter, run_on, rest_on)


@lru_cache(maxsize=1)
def load_reward(folder: Path | None) -> ManagedReward:
    """A reward folder, or the bundled one, without a rewriter; the last one stays in memory.

    Raises:
        ModelError: it is missing, damaged or of another kind.
    """
    from ..bp_core.score.text_reward import load_reward as load

    run_on, rest_on = devices()
    return ManagedReward(load(folder, device=rest_on), run_on, rest_on)


@lru_cache(maxsize=1)
def starter() -> ManagedRewriter:
    """The bundled model, for nodes with nothing connected; loaded on first use."""
    from ..bp_core.models.folder import BUNDLED

    return load(BUNDLED)


def _head(model: TextReward) -> torch.nn.Module:
    """The head of a reward model as a layer, so that it moves with the trunk."""
    layer = torch.nn.Linear(model.head.shape[1], 1, bias=False, device="meta")
    layer.weight = torch.nn.Parameter(model.head, requires_grad=False)
    model.head = layer.weight
    return layer
