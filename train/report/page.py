"""Pages of reports: one file that needs nothing else, written whole or not at all."""

from __future__ import annotations

import html
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bp_core.text.words import WORD, content_stems

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root{color-scheme:light dark;--page:#fff;--ink:#222;--dim:#666;--line:#ddd;--raised:#fafafa;
--link:#0b57a4;--flag:#b00020;--new:#dcf1dc}
@media (prefers-color-scheme:dark){:root{--page:#17181a;--ink:#e3e3e3;--dim:#a0a0a0;--line:#3b3e42;
--raised:#202225;--link:#7fb5ee;--flag:#ff8a80;--new:#1f4427}}
body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;
color:var(--ink);background:var(--page)}
h2{margin-top:2.5rem} a{color:var(--link)}
svg{max-width:100%;height:auto;background:#fff;border-radius:.3rem}
table{border-collapse:collapse;width:100%}
th{text-align:left;vertical-align:bottom;padding:.4rem;background:var(--page)}
td{border-top:1px solid var(--line);padding:.4rem;vertical-align:top}
.flag{color:var(--flag);font-weight:600} [hidden]{display:none!important}
mark{background:var(--new);color:inherit} small{color:var(--dim)}
"""
# No date, so that equal figures make equal files, and no links to vocabularies.
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def write_page(path: Path, title: str, body: Sequence[str], style: str = "") -> None:
    """Write an HTML page with `title` as its heading; `style` is added to what all pages have."""
    title = html.escape(title)
    lines = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}{style}</style></head><body>",
        f"<h1>{title}</h1>",
        *body,
        "</body></html>",
    ]
    write_whole(path, "\n".join(lines) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a text file; whoever reads it sees the old one or the new one."""
    draft = path.with_name(f".{path.name}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def svg(figure: Figure, label: str) -> str:
    """A figure as an SVG element; `label` says to those who cannot see it what it shows."""
    import matplotlib

    text = io.StringIO()
    # Letters stay letters: smaller, and they can be searched and copied. The reader's machine has
    # the fonts for those that matplotlib's own lacks.
    with matplotlib.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(text, format="svg", metadata=_NO_METADATA)
    element = text.getvalue().partition("<svg")[2]
    return f'<svg role="img" aria-label="{html.escape(label)}"{element}'


def marked(prompt: str, text: str) -> str:
    """A rewrite as HTML, what it adds to the prompt marked: the tail, or words of a new wording."""
    if text.startswith(prompt):
        spans = [(len(prompt), len(text))]
    else:
        spans = list(_new_words(prompt, text))
    parts, end = [], 0
    for start, stop in spans:
        if start < stop:
            parts += [html.escape(text[end:start]), f"<mark>{html.escape(text[start:stop])}</mark>"]
            end = stop
    return "".join(parts) + html.escape(text[end:])


def _new_words(prompt: str, text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of the runs of words in `text` whose stems the prompt lacks; stop words neither
    begin nor end a run."""
    known = set(content_stems(prompt))
    start = end = 0
    for word in WORD.finditer(text):
        stems = set(content_stems(word[0]))
        if stems - known:
            if start == end:
                start = word.start()
            end = word.end()
        elif stems:
            yield start, end
            start = end = word.end()
    yield start, end
