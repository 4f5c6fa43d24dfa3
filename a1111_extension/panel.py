"""The panel under the prompt as HTML: candidates with their facts, added words marked.

Words that a host may translate stand in elements of their own: hosts translate whole text nodes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from bp_core.text import remarks
from bp_core.text.image_model import CHUNK, room

from .records import Record

if TYPE_CHECKING:
    from bp_core import Candidate, Result

# A comparison of longer texts would keep the artist waiting.
_MOST_WORDS = 600

#: Buttons in the panel's head: class, sign, text, help. The page's script says when they show.
_RESTORE = ("bp-restore", "↩", "Restore original", "Your prompt as you first wrote it")
_OWN = ("bp-own", "↩", "Your edited words", "Your prompt as it was last rewritten")
_SAVE = ("bp-save", "↓", "Save to a file", "One candidate a line, for Prompts from file")
#: Shown while the page's script is missing.
NO_SCRIPT = (
    "The extension's script did not reach this page, so that clicks in here do nothing: "
    "reload the page with Ctrl+F5, and see whether the browser or the host blocks its files"
)


def marked(original: str, text: str) -> str:
    """`text` as HTML, with `<mark>` around what `original` does not have."""
    old, new = _words(original), _words(text)
    if len(old) + len(new) > 2 * _MOST_WORDS:
        return escape(text)
    parts = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, _, _, start, end in matcher.get_opcodes():
        piece = escape("".join(new[start:end]))
        parts.append(piece if kind == "equal" or not piece else f"<mark>{piece}</mark>")
    return "".join(parts)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", text)


def facts(candidate: Candidate, dialect: str) -> list[tuple[str, str]]:
    """Score, kept words and length of a candidate, each with its name.

    Sentences are for encoders that read more than CLIP's chunks: theirs are not counted in these.
    """
    facts = []
    if candidate.score is not None:
        facts.append(("score", f"{round(candidate.score, 2) + 0.0:+.2f}"))  # never "-0.00"
    facts.append(("keeps", f"{candidate.kept:.0%}"))
    if candidate.lost:
        facts.append(("lost", ", ".join(candidate.lost)))
    limit = ""
    if room(CHUNK, dialect) is not None:
        limit = f"/{max(1, -(-candidate.tokens // CHUNK)) * CHUNK}"
    facts.append(("tokens", f"{candidate.tokens}{limit}"))
    return facts


def candidates_panel(tab: str, result: Result, record: Record) -> str:
    """All candidates of a click, best first; a click on one takes it."""
    cards = "".join(_card(result, candidate) for candidate in result.candidates)
    note = f'<p class="bp-note">{_remark(result.note)}</p>' if result.note else ""
    title = [("", "Beautify"), ("", record.model), ("", record.mode), ("", result.dialect)]
    title.append(("seed", str(record.seed)))
    buttons = [_RESTORE, _OWN, *([_SAVE] if result.candidates else [])]
    return _frame(tab, title, note + cards, buttons, record.original)


def original_panel(tab: str, record: Record, written: str) -> str:
    """For a prompt that came back from a picture: the way to what the artist typed."""
    text = f'<p class="bp-note"><span>Beautified from:</span> {escape(record.original)}</p>'
    return _frame(tab, [("", "Beautify")], text, [_RESTORE], record.original, written)


def progress_panel(tab: str, step: int, total: int, texts: Sequence[str]) -> str:
    """What a slow model has written so far."""
    cards = "".join(f'<p class="bp-note">… {escape(text)}</p>' for text in texts)
    return _frame(tab, [("", "Beautify"), ("token", f"{step}/{total}")], cards)


def message_panel(tab: str, message: str) -> str:
    """One line in place of candidates."""
    note = f'<p class="bp-note bp-error">{_remark(message)}</p>'
    return _frame(tab, [("", "Beautify")], note)


def _card(result: Result, candidate: Candidate) -> str:
    line = _pairs(facts(candidate, result.dialect))
    return (
        f'<button type="button" class="bp-candidate" data-text="{_attribute(candidate.text)}">'
        f'<span class="bp-text">{marked(result.prompt, candidate.text)}</span>'
        f'<span class="bp-facts">{line}</span></button>'
    )


def _remark(text: str) -> str:
    return "".join(f"<span>{escape(part)}</span>" for part in remarks.parts(text))


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    named = (
        f"<span>{escape(name)}</span> <b>{escape(value)}</b>"
        if name
        else f"<span>{escape(value)}</span>"
        for name, value in pairs
    )
    return " · ".join(named)


def _frame(
    tab: str,
    title: Sequence[tuple[str, str]],
    body: str,
    buttons: Sequence[tuple[str, str, str, str]] = (),
    original: str = "",
    written: str = "",
) -> str:
    """
    Args:
        written: what the prompt box holds, where a picture and no click filled it.
    """
    row = "".join(
        f'<button type="button" class="{name}" title="{help_}"'
        f"{' hidden' if name == 'bp-own' else ''}>{sign} <span>{text}</span></button>"
        for name, sign, text, help_ in buttons
    )
    return (
        f'<div class="bp-panel" data-tab="{tab}" data-original="{_attribute(original)}"'
        f' data-written="{_attribute(written)}">'
        f'<div class="bp-head"><span class="bp-title">{_pairs(title)}</span>{row}'
        '<button type="button" class="bp-close" title="Close">✕</button></div>'
        f'<p class="bp-note bp-error bp-no-script">{NO_SCRIPT}</p>{body}</div>'
    )


def _attribute(text: str) -> str:
    # A line break in an attribute must come back as one, whatever parser reads it.
    return escape(text, quote=True).replace("\n", "&#10;")
