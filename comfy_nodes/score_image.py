"""Score Image: PickScore, the LAION aesthetic predictor or HPS v2 on pictures."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from comfy_api.v0_0_2 import io

from ..bp_core.errors import ModelError
from . import folders
from .memory import Weights
from .pick import one_each

PICKSCORE, AESTHETIC, HPS = "PickScore", "aesthetic", "HPS v2"
CLIP_FILE = "ViT-L-14.pt"


class ScoreImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BeautifulPromptScoreImage",
            display_name="Score Image",
            category="Beautiful Prompt",
            description=(
                "Scores pictures: PickScore and HPS v2 tell how well one fits its prompt and "
                "pleases, the LAION predictor how beautiful it is. Needs these models' weights "
                "and `pip install transformers open_clip_torch`."
            ),
            search_aliases=["PickScore", "HPS", "aesthetic score", "beautifulprompt"],
            is_input_list=True,
            is_output_node=True,
            inputs=[
                io.Image.Input("images", tooltip="A batch, or a list as from several prompts."),
                io.String.Input(
                    "text", force_input=True,
                    tooltip="The prompt: one a picture, or one for all pictures of that prompt.",
                ),
                io.Combo.Input(
                    "scorer", options=[PICKSCORE, AESTHETIC, HPS], default=PICKSCORE,
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
    def execute(
        cls, images: list, text: list[str], scorer: list[str], download: list[bool]
    ) -> io.NodeOutput:
        from comfy import model_management

        texts = one_each(text, sum(map(len, images)), "texts")
        judge, patcher = _load(scorer[0], download[0])
        model_management.load_models_gpu([patcher], force_full_load=True)
        judge.device = patcher.load_device
        scores: list[float] = []
        for batch in images:
            model_management.throw_exception_if_processing_interrupted()
            prompts = texts[len(scores) : len(scores) + len(batch)]
            scores += judge.score(batch[..., :3].float().cpu(), prompts).tolist()
        report = "\n".join(
            f"{score:.3f}\t{text}" for score, text in zip(scores, texts, strict=True)
        )
        return io.NodeOutput(scores, report, ui={"text": [report]})


@lru_cache(maxsize=1)
def _load(name: str, download: bool):
    """A scorer and its patcher; only the last one stays in memory."""
    from comfy import model_management as mm
    from comfy.model_patcher import ModelPatcher

    run_on, rest_on = mm.text_encoder_device(), mm.text_encoder_offload_device()
    half = {"dtype": torch.float32 if run_on.type == "cpu" else torch.float16}
    judge = _scorer(name, download, {"device": str(rest_on), **half})
    networks = [getattr(judge, part) for part in ("model", "clip", "head") if hasattr(judge, part)]
    weights = Weights(*networks)
    return judge, ModelPatcher(weights, load_device=run_on, offload_device=rest_on)


def _scorer(name: str, download: bool, options: dict):
    """Load a scorer from models/beautifulprompt, or from the hub where that is allowed."""
    from ..bp_core import image_score

    if name == PICKSCORE:
        return image_score.PickScore.load(
            _here("PickScore_v1", download) or image_score.PICKSCORE, **options
        )
    if name == HPS:
        return image_score.HpsScore.load(_here(image_score.HPS[1], download), **options)
    return image_score.AestheticScore.load(
        _here(image_score.AESTHETIC_HEAD, False),
        clip=_here(CLIP_FILE, download) or "openai",
        **options,
    )


def _here(name: str, download: bool) -> Path | None:
    """A file or folder of models/beautifulprompt; None when it may be downloaded instead."""
    found = next((root / name for root in folders.roots() if (root / name).exists()), None)
    if found is None and not download:
        wish = "" if name.endswith(".pth") else " or turn on 'download'"
        raise ModelError(f"{name} is not in {folders.roots()[0]}: put it there{wish}")
    return found
