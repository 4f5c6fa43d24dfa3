"""The script's arguments: what the accordion, the API and the X/Y/Z axes may choose for a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from bp_core.errors import InputError
from bp_core.settings import DIALECTS
from bp_core.text.styles import NONE, leading

WHEN = ("Off", "Auto", "Always")
MODES = ("expand", "rewrite")
ORDER = ("After other extensions", "Before other extensions")
MOST_CANDIDATES = 16
MOST_CHUNKS = 8

#: Labels of the controls, in the order of the fields.
LABELS = {
    "when": "Beautify before sampling",
    "mode": "Mode",
    "model": "Model",
    "candidates": "Candidates",
    "seed": "Rewriting seed",
    "each": "Each image its own rewrite",
    "order": "Order",
    "style": "Style",
    "chunks": "Longest prompt",
    "dialect": "Dialect",
    "preset": "Style by name",
    "auto": "Leave good prompts alone",
}

#: One line of help for each control.
HELP = {
    "when": "Auto leaves a prompt alone that no rewrite clearly beats",
    "mode": "expand writes on behind your text, rewrite words it anew",
    "model": "what writes, unless Settings name a server; starter is bundled",
    "candidates": "rewrites to take the best of",
    "seed": "-1: from each image's own seed",
    "each": "off: the whole batch gets that of the first image",
    "order": "of wildcards and styles: they are filled in before us or after us",
    "style": "leads what is added",
    "chunks": "in chunks of 75 tokens; 0: no limit",
    "dialect": "phrases, sentences or Danbooru tags; auto: what suits the checkpoint",
    "preset": "put before Style",
    "auto": "a prompt that no rewrite clearly beats stays as it is",
}

_CHOICES = {"when": WHEN, "mode": MODES, "order": ORDER, "dialect": DIALECTS}

#: Kind of control, and what is particular to it: on the accordion and on the settings page alike.
CONTROLS: dict[str, tuple[str, dict[str, Any]]] = {
    "when": ("Radio", {"choices": list(WHEN)}),
    "mode": ("Radio", {"choices": list(MODES)}),
    "candidates": ("Slider", {"minimum": 1, "maximum": MOST_CANDIDATES, "step": 1}),
    "each": ("Checkbox", {}),
    "order": ("Radio", {"choices": list(ORDER)}),
    "style": ("Textbox", {"placeholder": "for example: watercolor"}),
    "chunks": ("Slider", {"minimum": 0, "maximum": MOST_CHUNKS, "step": 1}),
    "dialect": ("Radio", {"choices": list(DIALECTS)}),
}
for _name, (_, _particular) in CONTROLS.items():
    _particular["info"] = HELP[_name]


@dataclass(frozen=True)
class Arguments:
    """One job's wishes; the order of the fields is the order of the API's `args`.

    Attributes:
        when: "Off", "Auto" (leave good prompts alone) or "Always". From a switch, True stands for
            "Always", or "Auto" if `auto` is on.
        mode: "expand" writes on behind the artist's words, "rewrite" words them anew.
        model: a name that `/beautifulprompt/v1/models` lists; "" for the one of the settings.
        candidates: rewrites to choose the best of, 1 to 16.
        seed: of the rewriting; -1 takes the image's own.
        each: every image of a batch its own rewrite, or one for all.
        order: after wildcards and styles, or before them.
        style: free text that leads what is added.
        chunks: longest whole prompt, in CLIP's chunks of 75 tokens; 0 for no limit. One chunk is
            none for sentences: their image models read more.
        dialect: what is added: "tags", "prose", "booru", or "auto", what suits the checkpoint.
        preset: name of a style, put before `style`; "none" for none.
        auto: what a `when` of True means; without effect on one that is a word.

    Raises:
        InputError: a value of the wrong kind or out of range.
    """

    when: str = "Off"
    mode: str = "expand"
    model: str = ""
    candidates: int = 4
    seed: int = -1
    each: bool = True
    order: str = ORDER[0]
    style: str = ""
    chunks: int = 1
    dialect: str = "auto"
    preset: str = NONE
    auto: bool = False

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{LABELS[name]} is {getattr(self, name)!r}: use one of {', '.join(allowed)}"
                )
        for name, low, high in (("candidates", 1, MOST_CANDIDATES), ("chunks", 0, MOST_CHUNKS)):
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"{LABELS[name]} is {getattr(self, name)}: use a number from {low} to {high}"
                )

    @classmethod
    def parse(
        cls, values: Sequence[Any], defaults: Arguments, overrides: Mapping[str, Any] | None = None
    ) -> Arguments:
        """Arguments from what a host hands over.

        Args:
            values: one a control, in order; fewer, or None, leave the default. A single mapping
                gives them by name, as API users may prefer.
            overrides: by name, over all of that (the X/Y/Z axes).
        """
        names = [field.name for field in fields(cls)]
        if len(values) > len(names):
            raise InputError(f"{len(values)} arguments: there are {len(names)}")
        if values and isinstance(values[0], Mapping):
            given = dict(values[0])
        else:
            given = dict(zip(names, values))  # noqa: B905 (fewer values than names)
        given.update(overrides or {})
        if unknown := sorted(set(given) - set(names)):
            raise InputError(f"no argument '{unknown[0]}': there are {', '.join(names)}")
        kinds = {field.name: type(field.default) for field in fields(cls)}
        cast = {n: _cast(n, v, kinds[n]) for n, v in given.items() if v is not None}
        if given.get("when") is True and cast.get("auto"):
            cast["when"] = "Auto"
        return replace(defaults, **cast)

    @property
    def lead(self) -> str:
        """What leads an addition; raises InputError for a style that there is not."""
        return leading(self.preset, self.style)

    @property
    def before(self) -> bool:
        """Whether to rewrite before wildcards and styles are filled in."""
        return self.order == ORDER[1]


def _cast(name: str, value: Any, kind: type) -> Any:
    """`value` as its field's type; hosts send numbers as floats and axes everything as text."""
    if name == "when" and isinstance(value, bool):
        return "Always" if value else "Off"
    if kind is bool and isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower(), value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and not isinstance(value, bool):
        try:
            if int(value) == float(value):
                return int(value)
        except (TypeError, ValueError, OverflowError):
            pass
    if kind is str and isinstance(value, str):
        return _choice(name, value)
    raise InputError(f"{LABELS[name]} is {value!r}: it must be a {_KINDS[kind]}")


def _choice(name: str, text: str) -> str:
    """The allowed value that `text` means, whatever its case; other text as it is."""
    return next((a for a in _CHOICES.get(name, ()) if a.lower() == text.strip().lower()), text)


_KINDS = {str: "text", int: "whole number", bool: "true or false"}
