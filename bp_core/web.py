"""The local web page: a prompt in, ranked candidates out, added words marked (`bp web`)."""

from __future__ import annotations

import html
from collections.abc import Callable

from .errors import BeautifulPromptError, InputError, ModelError
from .rewriter import Candidate, Result, Rewriter
from .settings import DIALECTS, MODES, Settings

_INSTALL = "the web page needs gradio 6: pip install 'beautifulprompt[web]'"
_MOST_CHARACTERS = 8000  # of a prompt
_MOST_WAITING = 32  # clicks in the queue
_MOST_CANDIDATES = 16
_LABELS = dict(
    zip(
        DIALECTS,
        (
            "What the prompt is",
            "Phrases (SD, SDXL)",
            "Sentences (Flux, SD3, Qwen-Image …)",
            "Danbooru tags (anime models)",
        ),
        strict=True,
    )
)

_STYLE = """
.bp-candidate { border: 1px solid var(--border-color-primary); border-radius: 8px;
                padding: 10px 14px; margin: 8px 0; white-space: pre-wrap; }
.bp-candidate mark { background: color-mix(in srgb, var(--color-accent) 25%, transparent);
                     color: inherit; border-radius: 3px; }
.bp-candidate small { display: block; opacity: 0.7; margin-top: 6px; }
"""


def marked(candidate: Candidate) -> str:
    """A candidate's text as HTML, what the artist did not write in <mark>."""
    text, parts = candidate.text, []
    for phrase in candidate.added:
        before, found, after = text.partition(phrase)
        if not found:
            continue
        parts.append(html.escape(before) + f"<mark>{html.escape(phrase)}</mark>")
        text = after
    return "".join(parts) + html.escape(text)


def candidates_html(result: Result) -> str:
    """All candidates, best first, each with its score, kept words and length."""
    cards = []
    if result.note:
        cards.append(f"<p>{html.escape(result.note)}</p>")
    elif result.candidates:
        cards.append(f"<p>Added: {_LABELS[result.dialect]}</p>")
    for candidate in result.candidates:
        facts = [f"{candidate.kept:.0%} of your words kept", f"{candidate.tokens} tokens"]
        if candidate.score is not None:
            facts.insert(0, f"score {candidate.score:+.2f}")
        cards.append(
            f'<div class="bp-candidate">{marked(candidate)}<small>{" · ".join(facts)}</small></div>'
        )
    return "\n".join(cards)


def _words(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def beautifier(rewriter: Rewriter) -> Callable[..., tuple[str, str]]:
    """What the page's button calls: (best text, candidates as HTML).

    gradio hands over None for a field that was cleared or never touched.
    """
    usual = Settings()

    def beautify(prompt, mode, dialect, n, seed, style, keep, block) -> tuple[str, str]:
        try:
            if len(prompt or "") > _MOST_CHARACTERS:
                raise InputError(f"the prompt is too long: use {_MOST_CHARACTERS} characters")
            result = rewriter(
                prompt or "",
                mode=mode or usual.mode,
                dialect=dialect or usual.dialect,
                n=int(usual.n if n is None else n),
                seed=int(seed or 0),
                style=style or "",
                keep=_words(keep),
                block=_words(block),
            )
        except BeautifulPromptError as error:
            import gradio

            raise gradio.Error(str(error), print_exception=False) from error
        return result.text, candidates_html(result)

    return beautify


def page(rewriter: Rewriter):
    """The page as a gradio Blocks; raises ModelError when gradio 6 is not installed."""
    try:
        import gradio as gr
    except ImportError as error:
        raise ModelError(_INSTALL) from error
    if int(gr.__version__.split(".")[0]) < 6:
        raise ModelError(f"{_INSTALL} (here is {gr.__version__})")
    usual = Settings()
    with gr.Blocks(title="Beautiful Prompt") as blocks:
        gr.HTML(f"<style>{_STYLE}</style><h1>Beautiful Prompt</h1>")
        prompt = gr.Textbox(
            "", label="Prompt", lines=3, placeholder="a lighthouse at dusk",
            max_length=_MOST_CHARACTERS,
        )  # fmt: skip
        with gr.Row():
            mode = gr.Radio(list(MODES), value=usual.mode, label="Mode")
            # A slider that is sent as null ends in an error of gradio's.
            n = gr.Number(
                usual.n, precision=0, minimum=1, maximum=_MOST_CANDIDATES, label="Candidates"
            )
            seed = gr.Number(usual.seed, precision=0, label="Seed")
        choices = [(label, dialect) for dialect, label in _LABELS.items()]
        dialect = gr.Radio(choices, value=usual.dialect, label="Dialect: what is added")
        with gr.Accordion("More", open=False):
            style = gr.Textbox("", label="Style that leads the addition")
            keep = gr.Textbox("", label="Keep (comma-separated)")
            block = gr.Textbox("", label="Block (comma-separated)")
        button = gr.Button("Beautify", variant="primary")
        best = gr.Textbox("", label="Best", lines=3, interactive=False, buttons=["copy"])
        rest = gr.HTML()
        inputs = [prompt, mode, dialect, n, seed, style, keep, block]
        call = beautifier(rewriter)
        gr.on([button.click, prompt.submit], call, inputs, [best, rest], api_name="beautify")
    return blocks.queue(max_size=_MOST_WAITING, default_concurrency_limit=1)


def serve(rewriter: Rewriter, host: str, port: int) -> None:
    """Serve the page until interrupted."""
    import os

    # A local page asks nobody for its version and reports nothing.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    page(rewriter).launch(server_name=host, server_port=port, quiet=True)
