"""The Beautify button beside the prompt: a click rewrites the box and lists the candidates."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bp_core.errors import InputError
from bp_core.text import remarks

from . import panel
from .app import App, with_defaults
from .arguments import Arguments
from .records import pasted
from .streaming import handler, stream

TABS = ("txt2img", "img2img", "control")  # the last is SD.Next's
#: Not the upscaler's sparkles beside the pictures.
GLYPH = "🪄"
# Without the page's script the click still rewrites the box; the panel says what is missing.
_START = "(...v) => window.beautifulPrompt ? beautifulPrompt.start('%s', v) : v"
_FINISH = """(text) => {
    if (window.beautifulPrompt) { beautifulPrompt.finish('%s', text); return; }
    const box = document.querySelector('#%s_prompt textarea');
    if (!text || !box) return;
    box.value = text;
    box.dispatchEvent(new Event('input', { bubbles: true }));
}"""
#: Longest prompt that a click or the API takes, in characters.
MOST_CHARACTERS = 8000


@dataclass
class Row:
    """The components of one tab's prompt row, as they are made."""

    root: Any = None
    prompt: Any = None
    panel: Any = None
    button: Any = None
    chosen: Any = None


class Button:
    """Puts the button and its panel into the host's prompt rows while the page is built."""

    def __init__(self, app: App, gr: Any, tool_button: Any, root: Any, queued: bool) -> None:
        """
        Args:
            gr: gradio.
            tool_button: the host's small button.
            root: function that gives the page being built.
            queued: whether the page may stream.
        """
        self._app, self._gr, self._tool_button, self._root = app, gr, tool_button, root
        self._queued = queued
        self.rows = {tab: Row() for tab in TABS}

    def after_component(self, component: Any, **kwargs: Any) -> None:
        """The host calls this for each component that it has just made."""
        elem_id = kwargs.get("elem_id") or getattr(component, "elem_id", None) or ""
        for tab in TABS:
            if elem_id == f"{tab}_prompt":
                self._beside_prompt(tab, component)
            elif elem_id in (f"{tab}_style_apply", f"{tab}_styles_apply"):
                self._beside_styles(tab)

    def connect(self, tab: str, controls: list[Any]) -> None:
        """Let the button use the accordion's `controls`; once they exist on the same page.

        The host builds the accordion a second time on a page that it throws away.
        """
        row = self.rows[tab]
        if row.button is None or row.panel is None or row.root is not self._root():
            return
        js = "_js" if self._gr.__version__.startswith("3.") else "js"
        click = row.button.click(
            fn=handler(self._click(tab), self._queued),
            inputs=[row.prompt, *controls],
            outputs=[row.panel, row.chosen],
            show_progress="hidden",
            **{js: _START % tab},
        )
        take = _FINISH.replace("%s", tab)
        click.then(fn=None, inputs=[row.chosen], outputs=[], **{js: take})
        row.button = None  # connected

    def click(self, tab: str, prompt: str, values: tuple) -> Iterator[tuple[Any, Any]]:
        """Yield (panel, text for the box): first progress, last the candidates."""
        updates = stream(
            lambda tell: self._rewrite(tab, prompt, values, tell),
            lambda error: (panel.message_panel(tab, self._app.why(error)), ""),
        )
        for html, text in updates:
            yield self._gr.update(value=html, visible=True), text

    def _click(self, tab: str) -> Callable:
        # gradio looks whether the function itself is a generator.
        def click(prompt: str, *values: Any) -> Iterator:
            yield from self.click(tab, prompt, values)

        return click

    def pasted(self, tab: str, parameters: dict) -> Any:
        """Update of the panel after an infotext was read: offers its original."""
        record = pasted(parameters)
        if record is None:
            return self._gr.update(value="", visible=False)
        text = parameters.get("Prompt")
        if isinstance(text, str):
            self._app.records.put(text, record)
        shown = panel.original_panel(tab, record, text if isinstance(text, str) else "")
        return self._gr.update(value=shown, visible=True)

    def _beside_prompt(self, tab: str, prompt: Any) -> None:
        gr = self._gr
        box = gr.HTML("", elem_id=f"{tab}_beautify_panel", visible=False, label="Beautify")
        self.rows[tab] = Row(root=self._root(), prompt=prompt, panel=box)

    def _beside_styles(self, tab: str) -> None:
        row = self.rows[tab]
        row.button = self._tool_button(
            value=GLYPH,
            elem_id=f"{tab}_beautify",
            tooltip="Beautify: rewrite the prompt; click again for other candidates",
        )
        row.chosen = self._gr.Textbox(
            "", elem_id=f"{tab}_beautify_text", visible=False, label="Beautified prompt"
        )

    def _rewrite(self, tab: str, prompt: str, values: tuple, tell: Callable) -> tuple[str, str]:
        """The final panel and the text for the box; `tell` gets the same of each moment before."""
        if len(prompt) > MOST_CHARACTERS:
            raise InputError(remarks.TOO_LONG.format(f"{len(prompt):,}", f"{MOST_CHARACTERS:,}"))
        arguments = self._arguments(values)
        # A second click on what we wrote asks for other candidates, not for more of the same.
        known = self._app.records.get(prompt)
        original = known.original if known else prompt
        seed = arguments.seed if arguments.seed >= 0 else random.randrange(2**32)

        def show(progress: Any) -> None:
            if progress.step % 8 == 0:
                texts = progress.texts()[: arguments.candidates]
                state = (progress.step, progress.total, texts)
                tell((panel.progress_panel(tab, *state), ""))

        results, model = self._app.rewrite(
            [original], [seed], arguments, exclusive=False, on_progress=show
        )
        result = results[0]
        record = self._app.remember(result, model, arguments.mode, seed, original)
        shown = panel.candidates_panel(tab, result, record)
        return shown, result.text if result.text != original else ""

    def _arguments(self, values: tuple) -> Arguments:
        arguments = with_defaults(values, self._app.options(), None)
        # The click itself says that something is wanted: "Auto" is for whole batches.
        return with_defaults([{**vars(arguments), "when": "Always"}], self._app.options(), None)
