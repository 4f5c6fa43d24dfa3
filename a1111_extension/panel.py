"""The panel under the prompt as HTML: candidates with their facts, added words marked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from .records import Record

if TYPE_CHECKING:
    from bp_core import Candidate, Result

_CHUNK = 75
# A comparison of longer texts would keep the artist waiting.
_MOST_WORDS = 600


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


def facts(candidate: Candidate) -> str:
    """Score, kept words and length of a candidate in one line."""
    facts = []
    if candidate.score is not None:
        facts.append(f"score {round(candidate.score, 2) + 0.0:+.2f}")  # never "-0.00"
    facts.append(f"keeps {candidate.kept:.0%}")
    if candidate.lost:
        facts.append(f"lost: {', '.join(candidate.lost)}")
    chunks = max(1, -(-candidate.tokens // _CHUNK))
    facts.append(f"{candidate.tokens}/{chunks * _CHUNK} tokens")
    return " · ".join(facts)


def candidates_panel(tab: str, result: Result, record: Record) -> str:
    """All candidates of a click, best first; a click on one takes it."""
    cards = "".join(_card(result.prompt, candidate) for candidate in result.candidates)
    note = f'<p class="bp-note">{escape(result.note)}</p>' if result.note else ""
    title = " · ".join(
        ("Beautify", record.model, record.mode, result.dialect, f"seed {record.seed}")
    )
    return _frame(tab, record.original, title, note + cards)


def original_panel(tab: str, record: Record) -> str:
    """For a prompt that came back from a picture: the way to what the artist typed."""
    text = f'<p class="bp-note">Beautified from: {escape(record.original)}</p>'
    return _frame(tab, record.original, "Beautify", text)


def progress_panel(tab: str, original: str, step: int, total: int, texts: Sequence[str]) -> str:
    """What a slow model has written so far."""
    cards = "".join(f'<p class="bp-note">… {escape(text)}</p>' for text in texts)
    return _frame(tab, original, f"Beautify · token {step} of {total}", cards)


def message_panel(tab: str, message: str) -> str:
    """One line in place of candidates."""
    note = f'<p class="bp-note bp-error">{escape(message)}</p>'
    return _frame(tab, "", "Beautify", note)


def _card(original: str, candidate: Candidate) -> str:
    return (
        f'<button type="button" class="bp-candidate" data-text="{_attribute(candidate.text)}">'
        f'<span class="bp-text">{marked(original, candidate.text)}</span>'
        f'<span class="bp-facts">{escape(facts(candidate))}</span></button>'
    )


def _frame(tab: str, original: str, heading: str, body: str) -> str:
    restore = (
        '<button type="button" class="bp-restore">↩ Restore original</button>' if original else ""
    )
    return (
        f'<div class="bp-panel" data-tab="{tab}" data-original="{_attribute(original)}">'
        f'<div class="bp-head"><span>{escape(heading)}</span>{restore}'
        '<button type="button" class="bp-close" title="Close">✕</button></div>'
        f"{body}</div>"
    )


def _attribute(text: str) -> str:
    # A line break in an attribute must come back as one, whatever parser reads it.
    return escape(text, quote=True).replace("\n", "&#10;")
