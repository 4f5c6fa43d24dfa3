"""Beautify Prompt: a short prompt in, the best of several richer ones out, all of them at hand."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.v0_0_2 import io

from ..bp_core.settings import ACCEPT, DIALECTS, MODES, MOST_CANDIDATES, Settings
from ..bp_core.text.image_model import dialect_for, room
from ..bp_core.text.styles import NONE, leading, styles
from . import metadata
from .checks import verdict
from .dynamic import resolve
from .image_model import image_model
from .live import Live
from .load import REWRITER
from .memory import ManagedRewriter, ManagedWriter, starter
from .plain import clip_tokens, dialect_line, phrases, report

_MOST_SEED = 0xFFFFFFFFFFFFFFFF


class BeautifyPrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        usual = Settings()
        return io.Schema(
            node_id=metadata.BEAUTIFY_ID,
            display_name="Beautify Prompt",
            category="Beautiful Prompt",
            description=(
                "Writes a short prompt on into one that makes a more beautiful picture. Your "
                "words, LoRA tags, weights and wildcards stay as they are."
            ),
            search_aliases=[
                "improve prompt", "prompt enhancer", "expand prompt", "prompt expansion",
                "prompt upsampler", "prompt generator", "magic prompt", "beautifulprompt", "LLM",
            ],
            is_output_node=True,  # so that it can be run alone, to read before rendering
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                io.String.Input(
                    "text", multiline=True, default="", dynamic_prompts=False,
                    placeholder="a lighthouse at dusk",
                    tooltip="Your prompt. A list of texts gives a list of prompts.",
                ),
                io.Combo.Input(
                    "mode", options=list(MODES), default=usual.mode,
                    tooltip="expand: your text stays word for word and is continued. "
                    "rewrite: the sentence is written anew around your words.",
                ),
                io.Int.Input(
                    "seed", default=usual.seed, min=0, max=_MOST_SEED, control_after_generate=True,
                    tooltip="Same seed, same text.",
                ),
                io.Int.Input(
                    "candidates", default=usual.n, min=1, max=MOST_CANDIDATES,
                    tooltip="How many versions are written and ranked.",
                ),
                io.Int.Input(
                    "length", default=usual.max_new_tokens, min=4, max=512, advanced=True,
                    tooltip="Longest addition, in the language model's tokens.",
                ),
                io.Int.Input(
                    "token_budget", default=0, min=0, max=4096, advanced=True,
                    tooltip="Longest whole prompt in tokens, 0 for no limit; 75 fills one CLIP "
                    "window, and is no limit for prose. Counted by the CLIP that is connected, "
                    "else by the language model. The addition is cut between phrases; your "
                    "words never are.",
                ),
                io.String.Input(
                    "style", default="", tooltip="Leads the addition, as in: watercolor",
                ),
                io.String.Input(
                    "keep", default="", advanced=True,
                    tooltip="Phrases of your prompt that must survive as they are in rewrite mode, "
                    "such as trigger words; separated by commas.",
                ),
                io.String.Input(
                    "block", default="", advanced=True,
                    tooltip="Words and phrases that must not be added, separated by commas; /…/ is "
                    "a regular expression.",
                ),
                io.Combo.Input(
                    "accept", options=list(ACCEPT), default=usual.accept, advanced=True,
                    tooltip="auto: leave a prompt alone when no version scores well enough.",
                ),
                io.Float.Input(
                    "temperature", default=usual.temperature, min=0.0, max=10.0, step=0.05,
                    advanced=True, tooltip="Higher is bolder; 0 always takes the likeliest word.",
                ),
                io.Int.Input(
                    "top_k", default=usual.top_k, min=0, max=1000, advanced=True,
                    tooltip="Draw from this many likeliest tokens; 0 for all.",
                ),
                io.Float.Input(
                    "top_p", default=usual.top_p, min=0.01, max=1.0, step=0.01, advanced=True,
                    tooltip="Draw from the likeliest tokens that reach this probability.",
                ),
                io.Float.Input(
                    "repetition_penalty", default=usual.repetition_penalty, min=0.1, max=10.0,
                    step=0.05, advanced=True, tooltip="Above 1 discourages repeated words.",
                ),
                REWRITER.Input(
                    "rewriter", optional=True,
                    tooltip="From Load Beautiful Prompt or a writer; the bundled starter when "
                    "unconnected.",
                ),
                io.Clip.Input(
                    "clip", optional=True,
                    tooltip="The image model's text encoder: tells which dialect to write, and "
                    "counts token_budget.",
                ),
                io.Combo.Input(
                    "dialect", options=list(DIALECTS), default=usual.dialect, optional=True,
                    tooltip="What is added. tags: phrases, for SD and SDXL. prose: sentences, for "
                    "Flux, SD3, Qwen-Image, Wan and other models with a language model as text "
                    "encoder. booru: Danbooru tags, for anime models. auto: what suits the clip "
                    "that is connected, else what your prompt is.",
                ),
                io.Combo.Input(
                    "style_preset", options=[NONE, *styles()], default=NONE, optional=True,
                    tooltip="A style by name, before your own. The names and their texts are lines "
                    "of bp_core/text/lists/styles.txt; your own go into my_styles.txt beside it.",
                ),
                io.Boolean.Input(
                    "dynamic_prompts", default=True, optional=True, advanced=True,
                    tooltip="Resolve {a|b} and comments at the end, by the seed, as ComfyUI's own "
                    "text boxes do. Off: they pass untouched, for another node to resolve.",
                ),
                io.Boolean.Input(
                    "frozen", default=False, optional=True,
                    tooltip="Keep the written text: it stays whatever the seed is, is saved with "
                    "the workflow, and can be edited. For one prompt, not for a list.",
                ),
                io.String.Input(
                    "written", multiline=True, default="", optional=True, dynamic_prompts=False,
                    tooltip="The text that was written; used instead of a new one while frozen.",
                ),
                io.Boolean.Input(
                    "into_english", default=usual.into_english, optional=True, advanced=True,
                    tooltip="With a writer that reads your language, mode rewrite turns the "
                    "prompt into English. The bundled starter reads English only.",
                ),
            ],
            outputs=[
                io.String.Output("prompt", tooltip="The best prompt."),
                io.String.Output(
                    "candidates", is_output_list=True,
                    tooltip="All versions, best first: one image each.",
                ),
                io.Float.Output(
                    "scores", is_output_list=True,
                    tooltip="What each gains over your prompt, as the model judges. With another "
                    "writer or a reward of your own: in standard deviations.",
                ),
                io.String.Output("report", tooltip="Every version with its scores, as text."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, block: str | None = None) -> bool | str:
        """Refuse what can be refused before anything runs: a regular expression with a flaw."""
        from ..bp_core.rules.blocklist import Blocklist

        return verdict(lambda: Blocklist(phrases(block or "")))

    @classmethod
    def execute(
        cls,
        text: str,
        mode: str,
        seed: int,
        candidates: int,
        length: int,
        token_budget: int,
        style: str,
        keep: str,
        block: str,
        accept: str,
        temperature: float,
        top_k: int,
        top_p: float,
        repetition_penalty: float,
        rewriter: ManagedRewriter | ManagedWriter | None = None,
        clip=None,
        dialect: str = "auto",
        style_preset: str = NONE,
        dynamic_prompts: bool = True,
        frozen: bool = False,
        written: str = "",
        into_english: bool = False,
    ) -> io.NodeOutput:
        from ..bp_core.text.prompt import parse

        def final(prompt: str, by: int = seed) -> str:
            return resolve(prompt, by) if dynamic_prompts else prompt

        shown = {"before": final(text), "seed": seed, "note": "", "dialect": ""}
        entry = {"text": text, "mode": mode, "seed": seed}
        if frozen and written.strip():
            kept = final(written, by=0)  # the same of what braces offer, whatever the seed is
            shown |= {"after": kept, "frozen": True, "candidates": []}
            cls._record({**entry, "prompt": kept, "frozen": True})
            return _output(kept, [kept], [0.0], "frozen", shown)

        managed = rewriter or starter()
        model = image_model(clip, cls.hidden.prompt, cls.hidden.unique_id)
        wanted = dialect_for(text, model) if dialect == "auto" else dialect
        added = parse(text, "comfyui").expand if mode == "expand" else str
        live = Live(cls.hidden.unique_id, added)
        result = managed.ready(candidates, length)(
            text,
            on_progress=live,
            mode=mode,
            syntax="comfyui",
            dialect=wanted,
            n=candidates,
            seed=seed,
            max_new_tokens=length,
            token_budget=room(token_budget, wanted),
            count_tokens=None if clip is None else lambda prompt: clip_tokens(clip, prompt),
            style=leading(style_preset, style),
            keep=phrases(keep),
            block=phrases(block),
            accept=accept,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            repetition_penalty=repetition_penalty,
            into_english=into_english,
        )
        versions = [replace(found, text=final(found.text)) for found in result.candidates]
        result = replace(result, text=final(result.text), candidates=tuple(versions))
        live.finish(result.text)
        # An empty list would leave the nodes behind without anything to work on.
        texts = [version.text for version in versions] or [result.text]
        scores = [version.score or 0.0 for version in versions] or [0.0]
        entry |= {"prompt": result.text, "candidates": texts, "scores": scores}
        cls._record({**entry, "model": managed.name, "dialect": result.dialect})
        line = dialect_line(result.dialect, wanted, model if dialect == "auto" else None)
        shown |= {"after": result.text, "note": result.note, "dialect": line}
        shown["candidates"] = [{"text": found.text, "score": found.score} for found in versions]
        told = f"dialect: {line}\n{report(result)}"
        if frozen:
            told = f"frozen, but nothing was written yet: written now\n{told}"
        return _output(result.text, texts, scores, told, shown)

    @classmethod
    def _record(cls, entry: dict) -> None:
        """Note for the picture's metadata what this node wrote."""
        from comfy_execution.utils import get_executing_context

        context = get_executing_context()
        metadata.record(cls.hidden, context.list_index if context else None, entry)


def _output(
    text: str, candidates: list[str], scores: list[float], report: str, shown: dict
) -> io.NodeOutput:
    """The node's outputs, and what its display on the page is made from."""
    ui = {"text": [text], "beautifulprompt": [shown]}
    return io.NodeOutput(text, candidates, scores, report, ui=ui)
