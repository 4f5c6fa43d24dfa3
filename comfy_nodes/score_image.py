"""Score Image: PickScore, the LAION aesthetic predictor or HPS v2 on pictures."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from comfy_api.v0_0_2 import io

from ..bp_core.errors import InputError, ModelError
from ..bp_core.score import image as image_score
from . import folders
from .checks import SHOWN, verdict
from .memory import devices, fetch, patcher
from .pick import one_each

PICKSCORE, AESTHETIC, HPS = "PickScore", "aesthetic", "HPS v2"


@dataclass(frozen=True)
class Needs:
    """What a scorer wants of the machine.

    Attributes:
        package: its name for pip; `module` the one for Python.
        weights: file or folder in models/beautifulprompt, which can be downloaded.
        by_hand: a file there that cannot be, and where it is published.
    """

    package: str
    module: str
    weights: str
    by_hand: tuple[str, str] | None = None


SCORERS = {
    PICKSCORE: Needs("transformers", "transformers", image_score.PICKSCORE.rpartition("/")[2]),
    AESTHETIC: Needs(
        "open_clip_torch",
        "open_clip",
        "ViT-L-14.pt",
        (image_score.AESTHETIC_HEAD, "github.com/christophschuhmann/improved-aesthetic-predictor"),
    ),
    HPS: Needs("open_clip_torch", "open_clip", image_score.HPS[1]),
}


class ScoreImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BeautifulPromptScoreImage",
            display_name="Score Image",
            category="Beautiful Prompt",
            description=(
                "Scores pictures: PickScore and HPS v2 tell how well one fits its prompt and "
                "pleases, the LAION predictor how beautiful it is. Needs these models' weights; "
                "says how to get what is missing."
            ),
            search_aliases=["PickScore", "HPS", "aesthetic score", "rate image", "beautifulprompt"],
            is_input_list=True,
            **SHOWN,
            inputs=[
                io.Image.Input("images", tooltip="A batch, or a list as from several prompts."),
                io.String.Input(
                    "text", force_input=True,
                    tooltip="The prompt: one a picture, or one for all pictures of that prompt.",
                ),
                io.Combo.Input(
                    "scorer", options=list(SCORERS), default=PICKSCORE,
                    tooltip="PickScore: about 18 to 23. aesthetic: about 4 to 7. HPS v2: about "
                    "0.2 to 0.3.",
                ),
                io.Boolean.Input(
                    "download", default=False,
                    tooltip="Fetch weights that are not here yet. Nothing is downloaded while "
                    "this is off.",
                ),
            ],
            outputs=[
                io.Float.Output("scores", is_output_list=True, tooltip="One a picture."),
                io.String.Output("report", tooltip="All of it as text."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(
        cls, scorer: list[str | None] | None = None, download: list[bool | None] | None = None
    ) -> bool | str:
        """Refuse before a picture is rendered; None is an input that another node feeds."""
        if not scorer or not download or None in (scorer[0], download[0]):
            return True
        return verdict(lambda: _require(scorer[0], download[0]))

    @classmethod
    def execute(
        cls, images: list, text: list[str], scorer: list[str], download: list[bool]
    ) -> io.NodeOutput:
        from comfy import model_management

        texts = one_each(text, sum(map(len, images)), "texts")
        _require(scorer[0], download[0])
        judge, weights = _load(scorer[0])
        fetch([weights])
        judge.device = weights.load_device
        scores: list[float] = []
        for batch in images:
            model_management.throw_exception_if_processing_interrupted()
            prompts = texts[len(scores) : len(scores) + len(batch)]
            scores += judge.score(batch[..., :3].float().cpu(), prompts).tolist()
        report = "\n".join(
            f"{score:.3f}\t{text}" for score, text in zip(scores, texts, strict=True)
        )
        return io.NodeOutput(scores, report, ui={"text": [report]})


def _require(scorer: str, download: bool) -> None:
    """Raise InputError or ModelError, with the remedy, for what a scorer lacks on this machine."""
    if scorer not in SCORERS:
        raise InputError(f"no scorer '{scorer}': use one of {', '.join(SCORERS)}")
    needs, folder = SCORERS[scorer], folders.roots()[0]
    if importlib.util.find_spec(needs.module) is None:
        raise ModelError(
            f"{scorer} needs the package {needs.package}: run "
            f'"{sys.executable}" -m pip install {needs.package} and restart ComfyUI'
        )
    if needs.by_hand is not None and _here(needs.by_hand[0]) is None:
        name, publisher = needs.by_hand
        raise ModelError(f"{name} is not in {folder}: get it from {publisher} and put it there")
    if not download and _here(needs.weights) is None:
        raise ModelError(f"{needs.weights} is not in {folder}: put it there or turn on 'download'")


@lru_cache(maxsize=1)
def _load(scorer: str):
    """A scorer and ComfyUI's handle on its weights; only the last one stays in memory."""
    run_on, rest_on = devices()
    judge = _scorer(scorer, str(rest_on), torch.float32 if run_on.type == "cpu" else torch.float16)
    networks = [getattr(judge, part) for part in ("model", "clip", "head") if hasattr(judge, part)]
    return judge, patcher(networks, run_on, rest_on)


def _scorer(scorer: str, device: str, dtype: torch.dtype):
    """Load a scorer from models/beautifulprompt, or from the hub."""
    needs, options = SCORERS[scorer], {"device": device, "dtype": dtype}
    weights = _here(needs.weights)
    if scorer == PICKSCORE:
        return image_score.PickScore.load(weights or image_score.PICKSCORE, **options)
    if scorer == HPS:
        return image_score.HpsScore.load(weights, **options)
    head = _here(needs.by_hand[0])
    return image_score.AestheticScore.load(head, clip=weights or "openai", **options)


def _here(name: str) -> Path | None:
    """A file or folder of models/beautifulprompt."""
    return next((root / name for root in folders.roots() if (root / name).exists()), None)
