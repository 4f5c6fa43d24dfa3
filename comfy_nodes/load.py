"""Load Beautiful Prompt: a model by name, and where and how it runs."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..bp_core.errors import ModelError
from . import folders
from .checks import verdict
from .memory import AUTO, DEVICES, PRECISIONS, load

REWRITER = io.Custom("BEAUTIFULPROMPT_REWRITER")


class LoadBeautifulPrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BeautifulPromptLoad",
            display_name="Load Beautiful Prompt",
            category="Beautiful Prompt",
            description=(
                "Loads a model that rewrites prompts: the bundled starter, a folder in "
                "models/beautifulprompt, or a published one. ComfyUI moves and unloads it like "
                "any other model."
            ),
            search_aliases=["prompt enhancer", "improve prompt", "beautifulprompt", "LLM"],
            inputs=[
                io.Combo.Input(
                    "model",
                    options=folders.rewriters(),
                    default=folders.STARTER,
                    tooltip="The starter comes with this pack; others lie in "
                    "models/beautifulprompt, one folder each, or are downloaded on request.",
                ),
                io.Boolean.Input(
                    "download",
                    default=False,
                    tooltip="Fetch a published model that is not here yet into "
                    "models/beautifulprompt. Nothing is downloaded while this is off.",
                ),
                io.Combo.Input(
                    "device",
                    options=list(DEVICES),
                    default=AUTO,
                    tooltip="auto: where ComfyUI runs text encoders. cpu: never takes VRAM.",
                ),
                io.Combo.Input(
                    "precision",
                    options=[AUTO, *PRECISIONS],
                    default=AUTO,
                    tooltip="auto: the fastest on a CPU, fp16 elsewhere.",
                ),
                io.Combo.Input(
                    "reward",
                    options=folders.rewards(),
                    default=folders.STARTER,
                    tooltip="Ranks the candidates. Without one they are ordered by the words "
                    "they keep and by likelihood.",
                ),
            ],
            outputs=[REWRITER.Output("rewriter", tooltip="For Beautify Prompt and Score Prompt.")],
        )

    @classmethod
    def validate_inputs(
        cls, model: str | None = None, download: bool | None = None, reward: str | None = None
    ) -> bool | str:
        """Refuse names that mean nothing here; None is an input that another node feeds."""

        def check() -> None:
            if reward not in (None, folders.NO_REWARD):
                folders.find_reward(reward)
            if model is not None and folders.find_rewriter(model) is None and download is False:
                raise ModelError(folders.missing(model))

        return verdict(check)

    @classmethod
    def execute(
        cls, model: str, download: bool, device: str, precision: str, reward: str
    ) -> io.NodeOutput:
        folder = folders.find_rewriter(model)
        if folder is None:
            if not download:
                raise ModelError(folders.missing(model))
            folder = folders.download(model, _DownloadBar())
        ranked_by = reward
        if reward == folders.NO_REWARD:
            ranked_by = None
        elif reward != folders.STARTER:
            ranked_by = folders.find_reward(reward)
        return io.NodeOutput(load(folder, ranked_by, device, precision))


class _DownloadBar:
    """Shows a download on the node, and stops it when the user cancels."""

    def __init__(self) -> None:
        from comfy.utils import ProgressBar

        self.bar = ProgressBar(1)

    def __call__(self, name: str, done: int, size: int) -> None:
        from comfy.model_management import throw_exception_if_processing_interrupted

        throw_exception_if_processing_interrupted()
        self.bar.update_absolute(done, max(size, 1))
