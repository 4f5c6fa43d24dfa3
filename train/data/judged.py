"""Judged phrases: which notes of a prompt readers would strike out, and which they liked best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from train.data.json_lines import read_json_lines


@dataclass(frozen=True)
class Judged:
    """Phrases behind one prompt, and the numbers of those that are wrong and that are best.

    `best` is None where readers only marked what was wrong.
    """

    prompt: str
    dialect: str
    phrases: tuple[str, ...]
    wrong: frozenset[int]
    best: frozenset[int] | None


def read_judged(path: Path) -> Iterator[Judged]:
    """Rows of `prompt`, `dialect`, `phrases` (with "; " between them), `wrong` and, if any, `best`
    (lists of numbers from 0).

    Raises:
        InputError: a row of another form; the message names its line.
    """
    yield from read_json_lines(path, _judged)


def _judged(row: dict) -> Judged:
    phrases = tuple(row["phrases"].split("; "))
    wrong, best = frozenset(row["wrong"]), row.get("best")
    best = None if best is None else frozenset(best)
    if any(not 0 <= number < len(phrases) for number in wrong | (best or frozenset())):
        raise ValueError(f"there are {len(phrases)} phrases, numbered from 0")
    return Judged(row["prompt"], row["dialect"], phrases, wrong, best)
