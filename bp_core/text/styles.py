"""Styles with a name: those of `lists/styles.txt`, and artists' own in `lists/my_styles.txt`.

An update of the project never touches the second file.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..errors import InputError

NONE = "none"
_LISTS = Path(__file__).parent / "lists"
_FILES = _LISTS / "styles.txt", _LISTS / "my_styles.txt"


def styles(files: Iterable[Path] = _FILES) -> dict[str, str]:
    """Name to text, as the files have them now, the last of a name; a line without both is left
    out."""
    read = []
    for file in files:
        with suppress(OSError):
            read += file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    lines = (line.partition("=") for line in read if not line.startswith("#"))
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
