"""Prompts from any folder or file of txt, csv, tsv, json, jsonl and parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bp_core.errors import InputError

# Columns by their usual names, in the order in which they are asked.
_HIGH = ("prompt", "text", "caption", "positive_prompt", "prompts", "high")
_LOW = ("raw_prompt", "raw", "original", "low", "short", "input")
_READERS = {
    ".txt": lambda path: pd.DataFrame({"prompt": path.read_text(encoding="utf-8").splitlines()}),
    ".csv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False),
    ".tsv": lambda path: pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False),
    ".json": lambda path: pd.read_json(path),
    ".jsonl": lambda path: pd.read_json(path, lines=True),
    ".parquet": lambda path: pd.read_parquet(path),
}


class Row(NamedTuple):
    """A prompt and what is known of it.

    Attributes:
        raw: the short one that it was made from, "" where nobody knows.
        caption: what its picture shows, "" where nobody looked.
    """

    raw: str
    prompt: str
    source: str
    caption: str = ""


def read_any(path: Path, column: str = "") -> list[Row]:
    """The prompts of a file, or of all files of a folder and those in it.

    Of pairs that `train/collect.py` wrote, the whole prompts; additions alone are none.

    Args:
        column: that holds them; "" for the first of the usual names (prompt, text, caption, …).

    Raises:
        InputError: nothing there, a file that cannot be read, or none of these columns.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    files = [file for file in files if file.suffix.lower() in _READERS]
    if not files:
        raise InputError(f"no {', '.join(_READERS)} file at {path}: give a file or folder of them")
    return [row for file in files for row in _rows(file, column)]


def _rows(file: Path, column: str) -> Iterator[Row]:
    try:
        frame = _READERS[file.suffix.lower()](file)
    except (OSError, ValueError) as error:
        line = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"cannot read {file} ({line}): mend it, or take it away") from error
    if list(frame.columns) == [0]:  # a JSON list of texts
        frame.columns = ["prompt"]
    named = {str(name).lower(): name for name in frame.columns}
    if column and column.lower() not in named:
        raise InputError(f"{file} has no column {column}: it has {', '.join(map(str, named))}")
    high = named[column.lower()] if column else _first(named, _HIGH)
    if high is None:
        raise InputError(
            f"{file} has none of the columns {', '.join(_HIGH)}, but {', '.join(map(str, named))}: "
            "name one with --column"
        )
    if "mode" in frame.columns:
        frame = frame[~frame["mode"].isin(["expand", "text"])]
    low = _first(named, _LOW)
    lows = frame[low] if low is not None and low != high else [""] * len(frame)
    for raw, prompt in zip(lows, frame[high], strict=True):
        if isinstance(prompt, str) and prompt.strip():
            yield Row(raw if isinstance(raw, str) else "", prompt, file.stem)


def _first(named: dict, wanted: tuple[str, ...]):
    return next((named[name] for name in wanted if name in named), None)
