"""The WebUI script: accordion, hooks and callbacks; what they do lies in the other modules."""

from __future__ import annotations

import inspect
import logging
import sys
from dataclasses import replace
from functools import cache
from typing import Any

import gradio as gr
from modules import script_callbacks, scripts, shared
from modules.processing import get_fixed_seed
from modules.ui_components import InputAccordion, ToolButton

from bp_core.errors import InputError
from bp_core.text.styles import NONE, styles

from . import hook, options, xyz
from .app import get_app
from .arguments import CONTROLS, HELP, LABELS
from .auth import users
from .button import Button
from .download import download_controls
from .engine import resident_names
from .records import ORIGINAL
from .tokens import is_sdnext

TITLE = "Beautify"


class BeautifulPromptScript(scripts.Script):
    """Off by default; see `hook` for what happens to a job."""

    def title(self) -> str:
        return TITLE

    def show(self, is_img2img: bool) -> Any:
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list[Any]:
        app = get_app()
        chosen = app.options()
        tab = self._tab(is_img2img)
        # Only somebody who asks for it gets other words than those of the picture.
        start = chosen.defaults if tab == "txt2img" else replace(chosen.defaults, when="Off")
        names = _names()

        def control(name: str, kind: str = "", **particular: Any) -> Any:
            if not kind:
                kind, particular = CONTROLS[name]
            given = {"value": getattr(start, name), "label": LABELS[name], "info": HELP[name]}
            return getattr(gr, kind)(**{**given, **particular}, elem_id=self.elem_id(name))

        switch = InputAccordion(start.when != "Off", label=TITLE, elem_id=self.elem_id("accordion"))
        with switch:
            with gr.Row(elem_classes=["bp-grid"]):
                mode, dialect = control("mode"), control("dialect")
                model = control(
                    "model", "Dropdown", choices=names, value=_selected(chosen.model, names)
                )
                seed = control("seed", "Number", precision=0)
                preset = control("preset", "Dropdown", choices=[NONE, *styles()])
                style = control("style")
                candidates, chunks = control("candidates"), control("chunks")
                order = control("order")
                each = control("each")
                auto = control("auto", "Checkbox", value=start.when == "Auto")
            with gr.Accordion("Get a model", open=False, elem_id=self.elem_id("get_model")):
                download_controls(app, self.elem_id, model, resident_names, _queued())
        controls = [switch, mode, model, candidates, seed, each, order, style, chunks]
        controls += [dialect, preset, auto]
        self._paste(tab, switch)
        _button().connect(tab, controls)
        return controls

    def _tab(self, is_img2img: bool) -> str:
        if getattr(self, "parent", None) == "control":  # SD.Next's
            return "control"
        return "img2img" if is_img2img else "txt2img"

    def after_component(self, component: Any, **kwargs: Any) -> None:
        _button().after_component(component, **kwargs)

    def before_process(self, p: Any, *values: Any) -> None:
        hook.before_process(get_app(), p, values, get_fixed_seed)

    def process(self, p: Any, *values: Any) -> None:
        hook.process(get_app(), p, values)

    def before_process_batch(self, p: Any, *values: Any, **batch: Any) -> None:
        hook.process_batch(get_app(), p, batch.get("prompts") or p.all_prompts)

    def _paste(self, tab: str, switch: Any) -> None:
        """What an infotext sets: off, for its prompt is the rewritten one; and the way back."""
        self.infotext_fields = [(switch, _switched_off)]
        row = _button().rows[tab]
        if row.panel is not None:
            back = (row.panel, lambda fields: _button().pasted(tab, fields))
            self.infotext_fields.append(back)
        self.paste_field_names = []


def register(entry: str) -> None:
    """Hook into the host; called once each time that it loads its scripts.

    Args:
        entry: the script's file, by which the host calls what it registers. Left to find that out
            itself, it looks through every loaded module for each frame of the stack, and takes
            thrice as long as all of our imports.
    """
    _button.cache_clear()
    options.register(shared, gr, _names)
    if not xyz.add_axes(scripts.scripts_data, _names):  # this host loads its own scripts after us
        _on("before_ui", _add_axes, entry)
    _on("app_started", _serve, entry)
    _join_control_tab()


def _on(event: str, callback: Any, entry: str) -> None:
    add = script_callbacks.add_callback
    named = {"name": f"beautifulprompt-{event}", "category": event, "filename": entry}
    known = inspect.signature(add).parameters  # SD.Next's takes the function alone
    add(
        script_callbacks.callback_map[f"callbacks_{event}"],
        callback,
        **{key: value for key, value in named.items() if key in known},
    )


def _join_control_tab() -> None:
    """SD.Next's Control tab runs no script that is not in this list of titles."""
    titles = getattr(sys.modules.get("modules.scripts_manager"), "control_extensions", None)
    if isinstance(titles, list) and TITLE not in titles:
        titles.append(TITLE)


def _add_axes() -> None:
    xyz.add_axes(scripts.scripts_data, _names)


def _serve(_: Any, app: Any) -> None:
    flags = shared.cmd_opts
    if not (getattr(flags, "api", False) or getattr(flags, "nowebui", False)):
        return
    from .api import add_routes

    try:
        known = users(flags)
    except InputError as error:
        logging.getLogger("beautifulprompt").error("Beautify serves no API: %s", error)
        return
    add_routes(app, get_app(), known)


@cache
def _button() -> Button:
    from gradio.context import Context

    return Button(get_app(), gr, ToolButton, lambda: Context.root_block, _queued())


def _switched_off(fields: dict[str, Any]) -> Any:
    """What an infotext does to the switch.

    SD.Next looks up the name of what a plain value is for, and ends at a function; the others'
    API takes plain values.
    """
    if ORIGINAL not in fields:
        return None
    return gr.update(value=False) if is_sdnext() else False


def _queued() -> bool:
    return not getattr(shared.cmd_opts, "no_gradio_queue", False)


def _names() -> list[str]:
    get_app().options()  # the folder of models may have changed
    return resident_names()


def _selected(name: str, names: list[str]) -> str | None:
    return name if name in names else next(iter(names), None)
