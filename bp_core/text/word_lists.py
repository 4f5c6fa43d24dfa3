"""Word lists: data files beside the code, each with a comment on top that says what it decides."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


@cache
def read_lines(name: str) -> tuple[str, ...]:
    """The lines of a list, without comments and empty lines.

    Args:
        name: the package and the list: "rules/artists" is bp_core/rules/lists/artists.txt.
    """
    package, _, file = name.partition("/")
    text = (_PACKAGE / package / "lists" / f"{file}.txt").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def read_words(name: str) -> frozenset[str]:
    """The words of a list, however many stand on a line."""
    return frozenset(" ".join(read_lines(name)).split())
