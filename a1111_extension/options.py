"""The settings page: what it offers, and what is chosen there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bp_core.errors import InputError

from .arguments import CONTROLS, LABELS, Arguments
from .engine import DEVICES

SECTION = ("beautifulprompt", "Beautify")
_PREFIX = "beautifulprompt_"
# What the page says beyond the control's label.
_MORE = {"when": " (txt2img)"}


@dataclass(frozen=True)
class Options:
    """What the settings page holds.

    Attributes:
        model: for jobs that name none; "" or "starter" is the bundled one.
        folder: of further models; "" for the host's.
        device: one of `engine.DEVICES`.
        block, keep: words that must not be added; words that must survive.
        defaults: what the accordion starts with.
        writer: a language model server that writes in place of our model, as "address model"; ""
            for none.
        into_english: in mode "rewrite" that server turns other languages into English.
    """

    model: str = ""
    folder: str = ""
    device: str = DEVICES[0]
    block: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    defaults: Arguments = field(default_factory=Arguments)
    writer: str = ""
    into_english: bool = False


def read(opts: Any) -> Options:
    """The host's options; a value from another version of ours falls back to its default."""

    def get(name: str, fallback: Any) -> Any:
        value = getattr(opts, _PREFIX + name, None)
        return fallback if value is None else value

    default = Arguments()
    with suppress(InputError):
        default = Arguments.parse([{name: get(name, None) for name in CONTROLS}], default)
    device = get("device", DEVICES[0])
    return Options(
        model=str(get("model", "")),
        folder=str(get("folder", "")).strip(),
        device=device if device in DEVICES else DEVICES[0],
        block=lines(get("block", "")),
        keep=lines(get("keep", "")),
        defaults=default,
        writer=str(get("writer", "")).strip(),
        into_english=bool(get("into_english", False)),
    )


def lines(text: str) -> tuple[str, ...]:
    """One entry a line; a line of plain words may hold several, parted by commas."""
    entries: list[str] = []
    for line in str(text).splitlines():
        line = line.strip()
        # A regular expression may hold commas of its own.
        entries += [line] if line.startswith("/") else line.split(",")
    return tuple(dict.fromkeys(entry.strip() for entry in entries if entry.strip()))


def register(shared: Any, gr: Any, models: Callable[[], list[str]]) -> None:
    """Add the page to the host's settings."""

    def add(name: str, default: Any, label: str, component: Any = None, args: Any = None) -> None:
        info = shared.OptionInfo(default, label, component, args, section=SECTION)
        shared.opts.add_option(_PREFIX + name, info)

    start = Arguments()
    add("model", "starter", "Model", gr.Dropdown, lambda: {"choices": models()})
    add("folder", "", "Folder of further models (empty: models/beautifulprompt)", gr.Textbox)
    add("device", DEVICES[0], "Device", gr.Radio, {"choices": list(DEVICES)})
    box = {"lines": 3, "placeholder": "one a line; /regular expressions/ too"}
    add("block", "", "Words that must never be added", gr.Textbox, box)
    box = {"lines": 3, "placeholder": "one a line; trigger words of LoRAs are kept anyway"}
    add("keep", "", "Words that must survive", gr.Textbox, box)
    example = "(http://127.0.0.1:11434/v1 qwen3:8b)"
    add("writer", "", f"Writer: language model server, and a model there {example}", gr.Textbox)
    label = "Writer: mode rewrite turns other languages into English"
    add("into_english", False, label, gr.Checkbox)
    for name, (kind, particular) in CONTROLS.items():
        more = _MORE.get(name, "")
        add(name, getattr(start, name), LABELS[name] + more, getattr(gr, kind), particular)
