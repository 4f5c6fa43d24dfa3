"""What image generators mean by the text in their pictures: the positive prompt alone.

Read as these versions write it: A1111 1.10 and Forge (sd-dynamic-prompts 2.17 beside them), ComfyUI
0.3 to 0.11, Fooocus 2.5 (both of its schemes), InvokeAI 2.3 to 6, SwarmUI 0.9, NovelAI's V3 and V4,
Draw Things 1.2025. Published readers do not serve: sd-parsers 0.6 lets a value inside a quoted one
count as the picture's, and takes ConditioningZeroOut's prompt for the negative one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from train.data.pictures.comfyui import prompt_of_graph
from train.data.pictures.containers import json_in

# As A1111 itself reads its parameters, quoted values whole.
_PARAMETER = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_ORIGINAL = "Beautify original"
_NEGATIVE = "Negative prompt:"
# What follows in a SwarmUI prompt is of a part of the picture, or of another stage.
_SWARM_PART = re.compile(r"<(?:segment|region|object|refiner|base|video\w*|edit|extend)\b[^<>]*>")
_NOVELAI_WEIGHT = re.compile(r"-?\d*\.?\d+::(.*?)(?:::|$)", re.S)
_INVOKE_WEIGHT = re.compile(r"(?<=[\w)])(?:\++|-{2,})(?=[\s,.)]|$)|(?<=\))-?\d+(?:\.\d+)?")
_INVOKE_CALL = re.compile(r"\.(?:and|blend|swap)\([^()]*\)")


@dataclass(frozen=True)
class Found:
    """What a picture was made from.

    Attributes:
        tool: the program that wrote it.
        prompt: the positive prompt that the picture was drawn from, wildcards resolved.
        original: what the artist had typed, where a rewriter of ours was at work; else "".
    """

    tool: str
    prompt: str
    original: str = ""


def prompt_in(texts: Mapping[str, str]) -> Found | None:
    """The prompt in a picture's texts (see `containers.texts_of`); None where there is none."""
    for read in (_comfyui, _invoke, _swarm, _fooocus, _draw_things, _novelai, _a1111):
        found = read(texts)
        if found is not None and any(c.isalnum() for c in found.prompt):
            return found
    return None


def _comments(texts: Mapping[str, str]) -> list[str]:
    """Texts that several programs use, each for its own form."""
    keys = ("parameters", "UserComment", "xmp UserComment", "hidden")
    return [texts[key] for key in keys if texts.get(key)]


def _comfyui(texts: Mapping[str, str]) -> Found | None:
    graph = json_in(texts.get("prompt", ""))
    if not graph:
        return None
    prompt, original = prompt_of_graph(graph, json_in(texts.get("beautifulprompt", "")))
    return Found("ComfyUI", prompt, original)


def _invoke(texts: Mapping[str, str]) -> Found | None:
    prompt = json_in(texts.get("invokeai_metadata", "")).get("positive_prompt")
    if prompt is None:  # before 3.0
        image = json_in(texts.get("sd-metadata", "")).get("image")
        prompt = image.get("prompt") if isinstance(image, dict) else None
        if isinstance(prompt, list):  # parts with weights
            prompt = ", ".join(str(p.get("prompt", "")) for p in prompt if isinstance(p, dict))
        if isinstance(prompt, str):  # its negative one stands in brackets
            prompt = re.sub(r"\[[^\[\]]*\]", " ", prompt)
    if not isinstance(prompt, str):
        return None
    return Found("InvokeAI", _INVOKE_WEIGHT.sub("", _INVOKE_CALL.sub("", prompt)).strip())


def _swarm(texts: Mapping[str, str]) -> Found | None:
    for text in _comments(texts):
        fields = json_in(text).get("sui_image_params")
        if isinstance(fields, dict) and isinstance(fields.get("prompt"), str):
            return Found("SwarmUI", _SWARM_PART.split(fields["prompt"])[0].strip())
    return None


def _fooocus(texts: Mapping[str, str]) -> Found | None:
    for text in _comments(texts):
        fields = json_in(text)
        prompt = fields.get("prompt", fields.get("Prompt"))
        known = {"full_prompt", "fooocus_v2_expansion", "metadata_scheme", "Fooocus V2 Expansion"}
        if isinstance(prompt, str) and known & set(fields):
            # `full_prompt` is a list, of what the styles made of it.
            return Found("Fooocus", prompt)
    return None


def _draw_things(texts: Mapping[str, str]) -> Found | None:
    for text in _comments(texts):
        fields = json_in(text)
        if isinstance(fields.get("c"), str) and {"uc", "sampler", "model"} & set(fields):
            return Found("Draw Things", fields["c"])
    return None


def _novelai(texts: Mapping[str, str]) -> Found | None:
    hidden = json_in(texts.get("hidden", ""))
    # The pixels still know what was taken out of the file.
    source = hidden if "Description" in hidden or "Comment" in hidden else texts
    comment = source.get("Comment", "")
    fields = comment if isinstance(comment, dict) else json_in(str(comment))
    if source is texts and texts.get("Software") != "NovelAI" and "uc" not in fields:
        return None
    prompt = fields.get("prompt") or source.get("Description") or ""
    caption = (fields.get("v4_prompt") or {}).get("caption") or {}
    if isinstance(caption, dict) and caption.get("base_caption"):
        people = [c.get("char_caption", "") for c in caption.get("char_captions") or []]
        prompt = ", ".join(part for part in [caption["base_caption"], *people] if part)
    if not isinstance(prompt, str):
        return None
    return Found("NovelAI", _NOVELAI_WEIGHT.sub(r"\1", prompt).strip())


def _a1111(texts: Mapping[str, str]) -> Found | None:
    for key in ("parameters", "UserComment", "hidden"):
        text = texts.get(key, "")
        if not text or json_in(text):
            continue
        prompt, parameters, is_infotext = split_infotext(text)
        # Cameras and programs of all kinds leave comments.
        if key == "parameters" or is_infotext:
            scheme = texts.get("fooocus_scheme") or parameters.get("Version", "").startswith("Fooo")
            original = parameters.get(_ORIGINAL, "")
            # A batch's records together, where a host has one infotext for all.
            original = "" if " | " in original else original
            return Found("Fooocus" if scheme else "A1111", prompt, original)
    return None


def split_infotext(text: str) -> tuple[str, dict[str, str], bool]:
    """(positive prompt, parameters, whether it has any) of A1111's infotext.

    The parameters begin with the last line that starts as they do: what a prompt quotes is none.
    """
    lines = text.strip().splitlines()
    at = len(lines)
    starts = [i for i, line in enumerate(lines) if _begins_parameters(line)]
    if starts:
        at = starts[-1]
    elif lines and not lines[-1].startswith(_NEGATIVE) and len(_PARAMETER.findall(lines[-1])) >= 3:
        at = len(lines) - 1
    head, tail = lines[:at], lines[at:]
    negative = next((i for i, line in enumerate(head) if line.startswith(_NEGATIVE)), len(head))
    parameters = {key: _unquoted(value) for key, value in _PARAMETER.findall("\n".join(tail))}
    positive = "\n".join(head[:negative]).strip()
    return positive, parameters, bool(tail) or negative < len(head)


def _begins_parameters(line: str) -> bool:
    return line.startswith("Steps: ") and len(_PARAMETER.findall(line)) >= 3


def _unquoted(value: str) -> str:
    value = value.strip()
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        content = json.loads(value)
    except ValueError:
        return value
    # A1111 quotes what has one of these; quotes around anything else are the artist's own.
    return content if isinstance(content, str) and set(content) & set(",:\n") else value
