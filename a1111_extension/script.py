"""The WebUI script: accordion, hooks and callbacks; what they do lies in the other modules."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import gradio as gr
from modules import script_callbacks, scripts, shared
from modules.processing import get_fixed_seed
from modules.ui_components import ToolButton

from bp_core.text.styles import NONE, styles

from . import hook, options, xyz
from .app import get_app
from .arguments import CONTROLS, LABELS
from .button import Button
from .download import download_controls
from .engine import resident_names
from .records import ORIGINAL

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
        # Only somebody who asks for it gets other words than those of the picture.
        start = replace(chosen.defaults, when="Off") if is_img2img else chosen.defaults
        names = _names()

        def control(name: str) -> Any:
            kind, particular = CONTROLS[name]
            return getattr(gr, kind)(
                value=getattr(start, name),
                label=LABELS[name],
                elem_id=self.elem_id(name),
                **particular,
            )

        with gr.Accordion(TITLE, open=False, elem_id=self.elem_id("accordion")):
            with gr.Row():
                when, mode = control("when"), control("mode")
            with gr.Row():
                model = gr.Dropdown(
                    names,
                    value=_selected(chosen.model, names),
                    label=LABELS["model"],
                    elem_id=self.elem_id("model"),
                )
                candidates = control("candidates")
                seed = gr.Number(
                    value=-1,
                    precision=0,
                    label=LABELS["seed"],
                    elem_id=self.elem_id("seed"),
                )
            with gr.Row():
                each, order = control("each"), control("order")
            with gr.Row():
                style, chunks = control("style"), control("chunks")
            with gr.Row():
                dialect = control("dialect")
                preset = gr.Dropdown(
                    [NONE, *styles()],
                    value=NONE,
                    label=LABELS["preset"],
                    elem_id=self.elem_id("preset"),
                )
            download_controls(app, self.elem_id, model, resident_names, _queued())
        controls = [when, mode, model, candidates, seed, each, order, style, chunks]
        controls += [dialect, preset]
        self._paste(is_img2img, when)
        _button().connect("img2img" if is_img2img else "txt2img", controls)
        return controls

    def after_component(self, component: Any, **kwargs: Any) -> None:
        _button().after_component(component, **kwargs)

    def before_process(self, p: Any, *values: Any) -> None:
        hook.before_process(get_app(), p, values, get_fixed_seed)

    def process(self, p: Any, *values: Any) -> None:
        hook.process(get_app(), p, values)

    def _paste(self, is_img2img: bool, when: Any) -> None:
        """What an infotext sets: off, for its prompt is the rewritten one; and the way back."""
        tab = "img2img" if is_img2img else "txt2img"
        self.infotext_fields = [(when, lambda fields: "Off" if ORIGINAL in fields else None)]
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
        script_callbacks.on_before_ui(_add_axes, name="beautifulprompt-xyz")
    script_callbacks.add_callback(
        script_callbacks.callback_map["callbacks_app_started"],
        _serve,
        name="beautifulprompt-api",
        category="app_started",
        filename=entry,
    )


def _add_axes() -> None:
    xyz.add_axes(scripts.scripts_data, _names)


def _serve(_: Any, app: Any) -> None:
    flags = shared.cmd_opts
    if getattr(flags, "api", False) or getattr(flags, "nowebui", False):
        from .api import add_routes

        add_routes(app, get_app(), getattr(flags, "api_auth", None))


@cache
def _button() -> Button:
    from gradio.context import Context

    return Button(get_app(), gr, ToolButton, lambda: Context.root_block, _queued())


def _queued() -> bool:
    return not getattr(shared.cmd_opts, "no_gradio_queue", False)


def _names() -> list[str]:
    get_app().options()  # the folder of models may have changed
    return resident_names()


def _selected(name: str, names: list[str]) -> str | None:
    return name if name in names else next(iter(names), None)
