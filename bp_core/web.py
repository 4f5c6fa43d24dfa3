"""The local web page: a prompt in, ranked candidates out, added words marked (`bp web`)."""

from __future__ import annotations

import html
import os
import socket
import sys
import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable
from threading import Event, Lock

from .errors import BeautifulPromptError, Cancelled, InputError, ModelError
from .rewriter import Candidate, Progress, Result, Rewriter
from .settings import DIALECTS, MODES, Settings

_INSTALL = "the web page needs gradio 6: pip install 'beautifulprompt[web]'"
_MOST_CHARACTERS = 8000  # of a prompt, and of any other text field
_MOST_WAITING = 32  # clicks in the queue
_MOST_CLICKS = 30  # a minute, from one address
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
.bp-candidate small { display: block; opacity: 0.8; margin-top: 6px; }
.bp-candidate button { float: right; margin: 0 0 4px 10px; padding: 2px 10px; cursor: pointer;
                       border: 1px solid var(--border-color-primary); border-radius: 6px;
                       background: var(--button-secondary-background-fill); color: inherit; }
"""
# Over plain http from another machine a page has no navigator.clipboard.
_COPY = """
element.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-text]");
    if (!button) return;
    let copied = true;
    try {
        await navigator.clipboard.writeText(button.dataset.text);
    } catch {
        const box = document.createElement("textarea");
        box.value = button.dataset.text;
        document.body.append(box);
        box.select();
        copied = document.execCommand("copy");
        box.remove();
    }
    for (const other of element.querySelectorAll("button[data-text]")) other.textContent = "Copy";
    button.textContent = copied ? "Copied" : "Select the text to copy it";
});
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
        text = html.escape(candidate.text)
        cards.append(
            f'<div class="bp-candidate"><button data-text="{text}">Copy</button>'
            f"{marked(candidate)}<small>{' · '.join(facts)}</small></div>"
        )
    return '<div class="bp-answer">' + "\n".join(cards) + "</div>"


def _words(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


class Visitors:
    """Who clicked when, and whose rewrite is to stop; many threads may use it.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, Lock()
        self._clicks: dict[str, deque[float]] = defaultdict(deque)
        self._running: dict[str, Event] = {}

    def begin(self, address: str, tab: str) -> Event:
        """Count a click; what it returns is set once that tab's rewrite is to stop.

        Raises:
            InputError: too many clicks from this address in the last minute.
        """
        with self._lock:
            now = self._clock()
            for key, times in list(self._clicks.items()):
                while times and now - times[0] >= 60:
                    times.popleft()
                if not times:
                    del self._clicks[key]
            times = self._clicks[address]
            if len(times) >= _MOST_CLICKS:
                raise InputError(
                    f"over {_MOST_CLICKS} rewrites in a minute: "
                    f"try again in {60 - (now - times[0]):.0f} seconds"
                )
            times.append(now)
            stop = self._running[tab] = Event()
            return stop

    def end(self, tab: str) -> None:
        """That tab's rewrite is over."""
        with self._lock:
            self._running.pop(tab, None)

    def stop(self, tab: str) -> bool:
        """Stop that tab's rewrite; False when it has none."""
        with self._lock:
            stop = self._running.get(tab)
            if stop is not None:
                stop.set()
            return stop is not None


def _checked(texts: dict[str, str | None], n: float | None) -> None:
    """Raises InputError for what is too much for a page that others may reach."""
    for name, text in texts.items():
        if len(text or "") > _MOST_CHARACTERS:
            raise InputError(
                f"the {name} has {len(text)} characters: use {_MOST_CHARACTERS} or fewer"
            )
    if n is not None and not 1 <= n <= _MOST_CANDIDATES:
        raise InputError(f"{n} candidates: ask for 1 to {_MOST_CANDIDATES}")


def beautifier(
    rewriter: Rewriter, visitors: Visitors | None = None
) -> Callable[..., tuple[str, str]]:
    """What the page's button calls: (best text, candidates as HTML).

    gradio hands over None for a field that was cleared or never touched. Whatever fails is told
    in a line over the page, and what the page shows stays.
    """
    usual = Settings()
    visitors = visitors or Visitors()

    def rewrite(prompt, mode, dialect, n, seed, style, keep, block, stop: Event) -> Result:
        texts = {"prompt": prompt, "style": style, "list to keep": keep, "list to block": block}
        _checked(texts, n)

        def on_progress(_: Progress) -> None:
            if stop.is_set():
                raise Cancelled("cancelled")

        return rewriter(
            prompt or "",
            on_progress=on_progress,
            mode=mode or usual.mode,
            dialect=dialect or usual.dialect,
            n=int(usual.n if n is None else n),
            seed=int(seed or 0),
            style=style or "",
            keep=_words(keep),
            block=_words(block),
        )

    def beautify(prompt, mode, dialect, n, seed, style, keep, block, request=None):
        tab = _tab(request)
        try:
            stop = visitors.begin(request.client.host if request else "", tab)
            try:
                result = rewrite(prompt, mode, dialect, n, seed, style, keep, block, stop)
            finally:
                visitors.end(tab)
        except Cancelled:
            import gradio

            return gradio.skip(), gradio.skip()
        except BeautifulPromptError as error:
            return _told(str(error))
        except Exception:
            traceback.print_exc()
            line = "the rewrite failed; the terminal that runs bp web says why: try another seed"
            return _told(line)
        return result.text, candidates_html(result)

    return beautify


def _tab(request) -> str:
    """The name of a visitor's tab; "" outside of a page."""
    return str(getattr(request, "session_hash", None) or "")


def _told(line: str) -> tuple:
    """Show one line over the page, whose results stay: gradio.Error would cover them."""
    import gradio

    gradio.Warning(html.escape(line, quote=False))  # it takes HTML
    return gradio.skip(), gradio.skip()


def _gradio():
    """The module; raises ModelError when gradio 6 is not installed."""
    # A local page asks nobody for its version, reports nothing and keeps no history.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("GRADIO_RUN_HISTORY", "False")
    try:
        import gradio
    except ImportError as error:
        raise ModelError(_INSTALL) from error
    if int(gradio.__version__.split(".")[0]) < 6:
        raise ModelError(f"{_INSTALL} (here is {gradio.__version__})")
    return gradio


def page(rewriter: Rewriter):
    """The page as a gradio Blocks; raises ModelError when gradio 6 is not installed."""
    gr = _gradio()
    usual, visitors = Settings(), Visitors()
    call = beautifier(rewriter, visitors)

    def stop(request) -> None:
        visitors.stop(_tab(request))

    # gradio goes by the annotation; this module must not import it.
    for function in (call, stop):
        function.__annotations__ = {"request": gr.Request}
    with gr.Blocks(title="Beautiful Prompt") as blocks:
        gr.HTML(f"<style>{_STYLE}</style><h1>Beautiful Prompt</h1>")
        prompt = gr.Textbox("", label="Prompt", lines=3, placeholder="a lighthouse at dusk")
        with gr.Row():
            mode = gr.Radio(list(MODES), value=usual.mode, label="Mode")
            # A slider that is sent as null ends in an error of gradio's; so does a bound.
            n = gr.Number(usual.n, precision=0, label=f"Candidates (1 to {_MOST_CANDIDATES})")
            seed = gr.Number(usual.seed, precision=0, label="Seed")
        choices = [(label, dialect) for dialect, label in _LABELS.items()]
        dialect = gr.Radio(choices, value=usual.dialect, label="Dialect: what is added")
        with gr.Accordion("More", open=False):
            style = gr.Textbox("", label="Style that leads the addition")
            keep = gr.Textbox("", label="Keep (comma-separated)")
            block = gr.Textbox("", label="Block (comma-separated)")
        with gr.Row():
            button = gr.Button("Beautify", variant="primary", scale=4)
            cancel = gr.Button("Cancel", scale=1)
        best = gr.Textbox(
            "", label="Best", lines=3, interactive=False, buttons=["copy"], elem_id="bp-best"
        )
        rest = gr.HTML(js_on_load=_COPY)
        inputs = [prompt, mode, dialect, n, seed, style, keep, block]
        running = gr.on(
            [button.click, prompt.submit], call, inputs, [best, rest],
            api_name="beautify", trigger_mode="once",
        )  # fmt: skip
        # One that waits in the queue is dropped; one that runs is stopped at its next token.
        cancel.click(stop, cancels=[running], queue=False, api_visibility="private")
        blocks.unload(stop)
    return blocks.queue(max_size=_MOST_WAITING, default_concurrency_limit=1)


def ready(host: str, port: int) -> None:
    """See that the page can be served, before a model is loaded.

    Raises:
        ModelError: gradio 6 is not installed.
        InputError: nothing can listen there.
    """
    _gradio()
    if not 1 <= port <= 65535:
        raise InputError(f"port {port}: use 1 to 65535")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise InputError(
            f"cannot listen on {host}:{port} ({reason}): choose another --host or --port"
        ) from error


def serve(rewriter: Rewriter, host: str, port: int, *, wait: bool = True):
    """Serve the page until interrupted, or, without `wait`, until the Blocks returned is closed."""
    gr = _gradio()
    # Fonts of the visitor's system: the page fetches nothing from elsewhere.
    theme = gr.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    blocks = page(rewriter)
    blocks.launch(
        server_name=host, server_port=port, quiet=True, theme=theme, prevent_thread_lock=True,
        footer_links=["api", "settings"],
    )  # fmt: skip
    if wait:
        print(f"bp: the page is at {blocks.local_url} (Ctrl-C ends it)", file=sys.stderr)
        blocks.block_thread()
    return blocks
