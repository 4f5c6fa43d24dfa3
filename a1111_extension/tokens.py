"""Length of a prompt in the loaded checkpoint's tokens, as the host's own counter has it.

That leaves out comments and network tags, and takes the longest of all schedule steps and AND
parts: what the image model reads at once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

# A schedule's points that are steps, not shares, are read against this many; the page's default.
_STEPS = 20
# Words and marks: about what CLIP's tokenizer makes of them. Used until a checkpoint is loaded.
_ROUGH_TOKEN = re.compile(r"\w+|[^\w\s]")


def count(prompt: str) -> int:
    """Tokens of `prompt`; an estimate while no checkpoint is loaded, for it never loads one."""
    texts = _read_at_once(prompt)
    try:
        length = _counter()
        return max(length(text) for text in texts)
    except Exception:  # each host raises its own when there is no checkpoint yet
        return max(len(_ROUGH_TOKEN.findall(text)) for text in texts)


def _read_at_once(prompt: str) -> list[str]:
    """What the host's encoder gets of a prompt, each for other steps or another part."""
    text = _without_tags(_uncommented(prompt))
    try:
        parser = import_module("modules.prompt_parser")
        if is_sdnext():  # SD.Next, where only one of its parsers knows schedules
            return [text]
        _, flat, _ = parser.get_multicond_prompt_list([text])
        schedules = parser.get_learned_conditioning_prompt_schedules(flat, _STEPS)
        return [part for schedule in schedules for _, part in schedule] or [text]
    except Exception:  # half-typed syntax, as for the host's counter; or another host's parser
        return [text]


def _uncommented(prompt: str) -> str:
    """The prompt as extensions of the host let its counter see it: comments go this way."""
    try:
        callbacks = import_module("modules.script_callbacks")
        seen = callbacks.BeforeTokenCounterParams(prompt, _STEPS, [], is_positive=True)
        callbacks.before_token_counter_callback(seen)
    except (ImportError, AttributeError, TypeError):
        return prompt
    return seen.prompt


def _without_tags(prompt: str) -> str:
    try:
        return import_module("modules.extra_networks").parse_prompt(prompt)[0]
    except Exception:  # as before
        return re.sub(r"<[^<>]*:[^<>]*>", "", prompt)


def _counter() -> Callable[[str], int]:
    """The host's function from a text to its tokens."""
    model = import_module("modules.sd_models").model_data.sd_model
    if is_sdnext():
        return _diffusers_counter(model.tokenizer)
    if hasattr(model, "get_prompt_lengths_on_ui"):  # Forge, Forge Neo
        return lambda text: int(model.get_prompt_lengths_on_ui(text)[0])
    hijack = import_module("modules.sd_hijack").model_hijack
    stage = getattr(model, "cond_stage_model", None)
    if "cond_stage_model" in hijack.get_prompt_lengths.__code__.co_varnames:  # reForge
        return lambda text: int(hijack.get_prompt_lengths(text, stage)[0])
    return lambda text: int(hijack.get_prompt_lengths(text)[0])


def is_sdnext() -> bool:
    """Whether this is SD.Next, whose counter adds up the parts between BREAKs."""
    return hasattr(sys.modules.get("modules.ui_common"), "tokens_summary")


def _diffusers_counter(tokenizer: Any) -> Callable[[str], int]:
    tokenizer = getattr(tokenizer, "tokenizer", None) or tokenizer
    marks = sum(getattr(tokenizer, f"{name}_token_id", None) is not None for name in ("bos", "eos"))

    def length(text: str) -> int:
        shared = import_module("modules.shared")
        parts = [text]
        if shared.opts.prompt_attention == "native":
            parts = re.split(r"\bBREAK\b", text)
        return sum(max(0, len(tokenizer(part).input_ids) - marks) for part in parts)

    return length
