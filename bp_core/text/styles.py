"""Styles with a name, from `lists/styles.txt`, which artists may edit."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError

NONE = "none"
_FILE = Path(__file__).parent / "lists" / "styles.txt"


def styles(file: Path = _FILE) -> dict[str, str]:
    """Name to text, as the file has them now; a line without both is left out."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return {}
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    named = {name.strip(): style.strip() for name, _, style in lines}
    return {name: style for name, style in named.items() if name and style and name != NONE}


def leading(name: str, style: str) -> str:
    """What leads an addition: the text of a named style, and the artist's own behind it.

    Raises:
        InputError: there is no style of that name.
    """
    known = {NONE: "", "": "", **styles()}
    if name not in known:
        raise InputError(f"no style '{name}': use one of {', '.join(filter(None, known))}")
    return ", ".join(filter(None, (known[name], style.strip())))
