"""The extension object that ComfyUI's loader works with: nodes, model folder, queue listener."""

from __future__ import annotations

from comfy_api.v0_0_2 import ComfyExtension, io

from . import folders, metadata
from .beautify import BeautifyPrompt
from .load import LoadBeautifulPrompt
from .pick import PickBest
from .score import ScorePrompt
from .score_image import ScoreImage
from .writers import ServerAsWriter, TextEncoderAsWriter


class BeautifulPromptExtension(ComfyExtension):
    async def on_load(self) -> None:
        from server import PromptServer

        folders.register()
        PromptServer.instance.add_on_prompt_handler(metadata.on_prompt)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            LoadBeautifulPrompt, TextEncoderAsWriter, ServerAsWriter,
            BeautifyPrompt, ScorePrompt, ScoreImage, PickBest,
        ]  # fmt: skip
