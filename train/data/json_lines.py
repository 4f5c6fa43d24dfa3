"""Rows of the project's own JSON-lines files, a fault named with its file and line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from bp_core.errors import InputError

Row = TypeVar("Row")


def read_json_lines(path: Path, make: Callable[[dict], Row]) -> Iterator[Row]:
    """What `make` makes of each line; its ValueError, say, is an InputError that names the line."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = make(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        yield row
