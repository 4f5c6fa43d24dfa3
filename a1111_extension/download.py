"""Downloads on request: a line in the accordion, with progress while the file comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from .app import App
from .streaming import handler, stream


def download_controls(
    app: App, elem_id: Callable[[str], str], model: Any, names: Callable, queued: bool
) -> None:
    """Components that fetch a model from the hub and then offer it in the dropdown `model`."""
    import gradio as gr

    from bp_core.models.template import KNOWN_MODELS

    with gr.Row():
        wanted = gr.Dropdown(
            list(KNOWN_MODELS),
            value=next(iter(KNOWN_MODELS)),
            allow_custom_value=True,
            label="Model to download",
            elem_id=elem_id("download_name"),
        )
        start = gr.Button("Download", elem_id=elem_id("download"), size="sm")
        refresh = gr.Button("Refresh models", elem_id=elem_id("refresh"), size="sm")
    progress = gr.HTML("", label="Download progress", elem_id=elem_id("download_progress"))

    def choices() -> Any:
        app.options()  # the folder may have changed
        return gr.update(choices=names())

    def run(name: str) -> Iterator[tuple[Any, Any]]:
        for line in download(app, name):
            yield f"<p>{escape(line)}</p>", gr.update()
        yield gr.update(), choices()

    start.click(
        fn=handler(run, queued), inputs=[wanted], outputs=[progress, model], show_progress="hidden"
    )
    refresh.click(fn=choices, inputs=[], outputs=[model], show_progress="hidden")


def download(app: App, name: str) -> Iterator[str]:
    """Fetch a hub model; yields what to show, last where it is or why not."""

    def work(tell: Callable[[str], None]) -> str:
        from bp_core.models import hub

        app.options()
        folder = hub.download(name, lambda file, have, size: tell(_line(file, have, size)))
        return f"{name} is in {folder}"

    name = str(name).strip()
    yield f"Asking the hub for {name} …"
    yield from stream(work, app.why)


def _line(file: str, have: int, size: int) -> str:
    share = f"{have / size:.0%} of {size / 2**20:.0f} MiB" if size else f"{have / 2**20:.0f} MiB"
    return f"{file}: {share}"
