"""Word lists: data files beside the code, each with a comment on top that says what it decides."""

from __future__ import annotations

import gzip
import zlib
from functools import cache
from pathlib import Path

from ..errors import ModelError

_LONGEST = 100_000_000  # bytes of a text beside a model's weights
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


def read_beside(path: Path) -> list[str]:
    """The lines of a text beside a model's weights, without comments and empty lines.

    Args:
        path: packed by gzip where the name says so.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        # Of the unpacked text no more is read than a file may have.
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise ModelError(f"{path} is larger than any such file: copy the model's folder again")
        text = content.decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: {error}; copy the model's folder again") from error
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def read_words(name: str) -> frozenset[str]:
    """The words of a list, however many stand on a line."""
    return frozenset(" ".join(read_lines(name)).split())
