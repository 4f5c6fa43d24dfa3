"""Pairs of a short prompt and a better one, as `train/collect.py` and others write them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bp_core.errors import InputError

_OPTIONAL = {"mode": "rewrite", "dialect": "tags", "notes": "", "source": ""}


def read_pairs(path: str | Path) -> list[dict[str, str]]:
    """Rows with raw_prompt, prompt, mode, dialect, notes ("; " between them) and source.

    Where there is no such column, the mode is "rewrite", the dialect "tags", and no note is read.
    """
    frame = _read(path)
    for column, value in _OPTIONAL.items():
        if column not in frame.columns:
            frame[column] = value
    return frame[["raw_prompt", "prompt", *_OPTIONAL]].to_dict("records")


def distinct_pairs(path: str | Path) -> pd.DataFrame:
    """Distinct (raw_prompt, prompt) rows in their order; none of them may be empty."""
    frame = _read(path)[["raw_prompt", "prompt"]].drop_duplicates(ignore_index=True)
    for column in frame.columns:
        empty = frame[column].isna() | (frame[column].astype(str).str.strip() == "")
        if empty.any():
            raise InputError(f"{path}: row {int(empty.idxmax())} has an empty {column}: drop it")
    return frame


def _read(path: str | Path) -> pd.DataFrame:
    """A Parquet or CSV file; raises InputError where it is no file of pairs."""
    try:
        frame = pd.read_csv(path) if str(path).endswith(".csv") else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read pairs from {path} ({error}): make them with train/collect.py"
        ) from error
    missing = {"raw_prompt", "prompt"} - set(frame.columns)
    if missing:
        raise InputError(f"{path} lacks the column(s) {', '.join(sorted(missing))}")
    if frame.empty:
        raise InputError(f"{path} has no rows: make pairs with train/collect.py")
    return frame
