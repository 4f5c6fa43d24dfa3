"""Prompts as their hosts read them, by the hosts' own parsers: what `host_syntax.py` compares.

A reader takes a prompt and returns what is rendered of it: a list of (text, weight, section, step).
Each host's source is read from its folder; compel and dynamicprompts are imported where they are
installed.
"""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

_STEPS = 20


class Row(NamedTuple):
    """A stretch of text that is rendered: how strongly, in which section, up to which step."""

    text: str
    weight: float
    section: object = 0
    step: int = 0


Reading = list[Row]
Reader = Callable[[str], Reading]


def _module(path: Path, names: list[str] | None = None, **given) -> types.ModuleType:
    """A module made of a host's file, or of the functions and patterns of it that are named."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if names is not None:
        tree.body = [
            node
            for node in tree.body
            if getattr(node, "name", None) in names
            or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in names)
        ]
    module = types.ModuleType(path.stem)
    module.__dict__.update(given)
    exec(compile(tree, str(path), "exec"), module.__dict__)
    return module


def webui(folder: Path) -> Reader:
    """AUTOMATIC1111: comments, network tags, AND parts, schedules, then weights."""
    import lark

    parser = _module(
        folder / "modules/prompt_parser.py",
        "schedule_parser get_learned_conditioning_prompt_schedules SdConditioning re_AND re_weight"
        " get_multicond_prompt_list re_attention re_break parse_prompt_attention".split(),
        re=re,
        lark=lark,
    )
    comments = _module(folder / "modules/processing_scripts/comments.py", ["strip_comments"], re=re)
    networks = re.compile(r"<(\w+):([^>]+)>")

    def read(prompt: str) -> Reading:
        text = networks.sub("", comments.strip_comments(prompt))
        composed, flat, _ = parser.get_multicond_prompt_list([text])
        return [
            Row(part, round(w, 6), (number, index, weight), end)
            for number, (index, weight) in enumerate(composed[0])
            for end, step in parser.get_learned_conditioning_prompt_schedules(
                [flat[index]], _STEPS
            )[0]
            for part, w in parser.parse_prompt_attention(step)
        ]

    return read


def sdnext(folder: Path, attention: str = "native") -> Reader:
    """SD.Next, as its diffusers pipelines call it: schedules, encoders' parts, then weights.

    Args:
        attention: its setting of that name: "native" or "compel".
    """
    import lark

    names = (
        "schedule_parser get_learned_conditioning_prompt_schedules "
        "round_bracket_multiplier square_bracket_multiplier re_clean re_whitespace re_break "
        "re_attention_v1 re_attention_v2 parse_prompt_attention"
    )
    silent = lambda *_: None  # noqa: E731
    given = {
        "re": re,
        "lark": lark,
        "opts": types.SimpleNamespace(prompt_attention=attention, sd_textencder_linebreak=False),
        "debug": silent,
        "log": types.SimpleNamespace(error=silent, warning=silent, debug=silent, trace=silent),
    }
    if attention == "compel":
        given["Compel"] = types.SimpleNamespace(parse_prompt_string=_compel().parse_conjunction)
    parser = _module(folder / "modules/prompt_parser.py", names.split(), **given)
    pipelines = _module(
        folder / "modules/prompt_parser_diffusers.py",
        ["get_prompt_schedule", "split_prompts"],
        prompt_parser=parser,
    )
    networks = re.compile(r"<(\w+):([^>]+)>")

    def read(prompt: str) -> Reading:
        steps, _ = pipelines.get_prompt_schedule(networks.sub("", prompt), _STEPS)
        reading: Reading = []
        last = None
        for step, text in enumerate(steps):
            if text == last:
                continue
            last = text
            parts = pipelines.split_prompts(None, text)
            alike = parts[0].strip() == parts[1].strip()
            for number, part in enumerate(parts[: 1 if alike else 2]):
                rows = parser.parse_prompt_attention(part)
                reading += [Row(t, round(float(w), 6), number, step) for t, w in rows]
        return reading

    return read


def comfyui(folder: Path) -> Reader:
    """ComfyUI's weights of an encoder's text, with comments and as its page queues it."""
    names = ["parse_parentheses", "token_weights", "escape_important", "unescape_important"]
    parser = _module(folder / "comfy/sd1_clip.py", names)
    # The pattern of its frontend 1.49.6 (formatUtil.processDynamicPrompt).
    comments = re.compile(r"/\*[\s\S]*?\*/|//.*")

    def read(prompt: str) -> Reading:
        reading = []
        for way, text in enumerate((prompt, comments.sub("", prompt))):
            rows = parser.token_weights(parser.escape_important(text), 1.0)
            reading += [Row(parser.unescape_important(t), round(w, 6), way) for t, w in rows]
        return reading

    return read


def _compel():
    """compel's parser; its package would load transformers."""
    import pyparsing

    pyparsing.ParserElement.enable_packrat(None)  # the same results, sooner
    [folder] = find_spec("compel").submodule_search_locations
    module = types.ModuleType("compel_prompt_parser")
    sys.modules[module.__name__] = module  # its dataclasses look there
    source = Path(folder, "prompt_parser.py").read_text(encoding="utf-8")
    exec(compile(source, "prompt_parser.py", "exec"), module.__dict__)
    return module.PromptParser()


def invoke() -> Reader:
    """compel's parser, as InvokeAI calls it."""
    parser = _compel()

    def fragments(node) -> Reading:
        if hasattr(node, "children") and not hasattr(node, "text"):
            return [row for child in node.children for row in fragments(child)]
        return [Row(getattr(node, "text", repr(node)), round(getattr(node, "weight", 1.0), 6))]

    def read(prompt: str) -> Reading:
        conjunction = parser.parse_conjunction(prompt)
        return [row for part in conjunction.prompts for row in fragments(part)]

    return read


def wildcards() -> Reader:
    """dynamicprompts: the commands that it takes a prompt apart into; literals have weight 1."""
    from dynamicprompts.commands import LiteralCommand
    from dynamicprompts.parser.parse import parse as take_apart

    def read(prompt: str) -> Reading:
        command = take_apart(prompt)
        return [
            Row(t.literal, 1.0) if isinstance(t, LiteralCommand) else Row(repr(t), 0.0)
            for t in getattr(command, "tokens", [command])
        ]

    return read
