"""Writers other than our models: the text encoder that is loaded anyway, or a server's model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from comfy_api.v0_0_2 import io

from ..bp_core.writers.chat import chat
from ..bp_core.writers.endpoint import Endpoint
from ..bp_core.writers.writer import Answer, Check, Request
from . import folders
from .checks import verdict
from .image_model import text_encoders
from .load import REWRITER
from .memory import ManagedReward, ManagedWriter, load_reward

if TYPE_CHECKING:
    from ..bp_core.writers.writer import Writer

_CANNOT = (
    "this text encoder cannot write: connect one that is a language model, such as the Qwen3 of "
    "Z-Image, Flux 2 Klein or Qwen-Image, or a Gemma; T5 and CLIP only read"
)


class EncoderWriter:
    """A text encoder that ComfyUI has loaded, as `Writer`; ComfyUI keeps its memory.

    Args:
        clip: ComfyUI's CLIP object.
    """

    def __init__(self, clip) -> None:
        self.clip = clip
        stage = getattr(clip, "cond_stage_model", None)
        self.name = getattr(stage, "clip_name", "") or "text encoder"

    def write(self, requests: Sequence[Request], check: Check) -> list[Answer]:
        """One after the other, as ComfyUI's own node would; Cancel works within a token."""
        if not _can_write(self.clip):
            return [Answer(fault=_CANNOT, gone=True)] * len(requests)
        answers = []
        for request in requests:
            check(len(answers))
            try:
                answers.append(self._answer(request))
            except torch.cuda.OutOfMemoryError:
                raise  # ComfyUI frees memory, and tells what it knows of it
            except Exception as error:
                logging.warning("a text encoder could not write", exc_info=True)
                said = f"{type(error).__name__}: {error}".split("\n")[0][:200]
                fault = f"this text encoder fails to write, choose another writer ({said})"
                return [Answer(fault=fault, gone=True)] * len(requests)
        check(len(answers))
        return answers

    def _answer(self, request: Request) -> Answer:
        text = chat(request.messages, _vocabulary(self.clip), "qwen3" in self.name)
        # The text has its template already. Round brackets would be read as weights.
        text = text.replace("(", " ").replace(")", " ")
        tokens = self.clip.tokenize(
            text, skip_template=True, llama_template="{}", min_length=1, thinking=False
        )
        ids = self.clip.generate(
            tokens,
            do_sample=request.temperature > 0,
            max_length=request.longest,
            temperature=request.temperature,
            top_k=request.top_k,
            top_p=request.top_p,
            min_p=0.0,
            repetition_penalty=request.repetition_penalty,
            seed=request.seed % 2**64,
        )
        return Answer(self.clip.decode(ids), len(ids) < request.longest)


def _can_write(clip) -> bool:
    """Whether ComfyUI can have this encoder generate."""
    stage = getattr(clip, "cond_stage_model", None)
    if not (hasattr(clip, "generate") and hasattr(stage, "generate")):
        return False
    return any(hasattr(part.transformer, "generate") for _, part in text_encoders(clip))


def _vocabulary(clip) -> frozenset[str]:
    """The control tokens that a text encoder's tokenizer knows."""
    # Both name it; some stages and some tokenizers do not say which of theirs it is.
    named = (getattr(part, "clip", "") for part in (clip.cond_stage_model, clip.tokenizer))
    inner = next((part for n in named if (part := getattr(clip.tokenizer, n, None))), None)
    return frozenset(getattr(inner or clip.tokenizer, "inv_vocab", {}).values())


class TextEncoderAsWriter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BeautifulPromptEncoderWriter",
            display_name="Text Encoder as Writer",
            category="Beautiful Prompt",
            description=(
                "Has the image model's own text encoder write your prompts, where that is a "
                "language model (Qwen, Gemma, Ministral): nothing is downloaded, and no memory is "
                "taken beyond what the picture needs. Your words and syntax stay as they are."
            ),
            search_aliases=["prompt enhancer", "LLM", "qwen", "gemma", "beautifulprompt"],
            inputs=[
                io.Clip.Input("clip", tooltip="Of Z-Image, Qwen-Image, Flux 2 Klein, Lumina …"),
                _reward(),
            ],
            outputs=[REWRITER.Output("rewriter", tooltip="For Beautify Prompt.")],
        )

    @classmethod
    def execute(cls, clip, reward: str = folders.STARTER) -> io.NodeOutput:
        return io.NodeOutput(managed(EncoderWriter(clip), reward))


class ServerAsWriter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BeautifulPromptServerWriter",
            display_name="Language Model Server as Writer",
            category="Beautiful Prompt",
            description=(
                "Has a language model on a server of yours write your prompts: Ollama, LM Studio, "
                "llama.cpp, vLLM or any other with OpenAI's interface. Your words and syntax stay "
                "as they are. A key is read from the environment only; see the help."
            ),
            search_aliases=["prompt enhancer", "LLM", "ollama", "openai", "beautifulprompt"],
            inputs=[
                io.String.Input(
                    "address", default="http://127.0.0.1:11434/v1",
                    tooltip="Ollama: port 11434. LM Studio: 1234. llama.cpp and vLLM: 8080, 8000.",
                ),
                io.String.Input(
                    "model", default="",
                    tooltip="Its name on the server, as qwen3:8b; empty if there is only one.",
                ),
                _reward(),
            ],
            outputs=[REWRITER.Output("rewriter", tooltip="For Beautify Prompt.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, address: str | None = None) -> bool | str:
        """Refuse an address that is none, or another machine's that nobody named."""
        return address is None or verdict(lambda: Endpoint(address, local=True))

    @classmethod
    def execute(cls, address: str, model: str, reward: str = folders.STARTER) -> io.NodeOutput:
        return io.NodeOutput(managed(Endpoint(address, model, local=True), reward))


def _reward():
    return io.Combo.Input(
        "reward", options=folders.rewards(), default=folders.STARTER, advanced=True,
        tooltip="Ranks the drafts. Without one they are ordered by the words they keep.",
    )  # fmt: skip


def managed(writer: Writer, reward: str) -> ManagedWriter:
    """A writer with a reward by name, as it flows along a link; raises ModelError."""
    judge: ManagedReward | None = None
    folder: Path | None = None
    if reward != folders.NO_REWARD:
        folder = folders.find_reward(reward)
        judge = load_reward(folder)
    return ManagedWriter(writer, judge, folder)
