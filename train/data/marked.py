"""Marked additions: what readers made of whole additions that a writer composed of its notes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bp_core.text.dialect import PROSE, TAGS
from train.data.json_lines import read_json_lines

_WORST, _BEST = 1, 5


@dataclass(frozen=True)
class Marked:
    """Additions to one prompt.

    Attributes:
        additions: the phrases of each.
        marks: of each, 1 (would be deleted) to 5 (used as it is).
        ranked: their numbers from 0, best first.
        wrong: phrases of any of them with something wrong.
    """

    prompt: str
    dialect: str
    additions: tuple[tuple[str, ...], ...]
    marks: tuple[int, ...]
    ranked: tuple[int, ...]
    wrong: frozenset[str]

    @property
    def phrases(self) -> tuple[str, ...]:
        """All phrases, each once."""
        return tuple(dict.fromkeys(phrase for each in self.additions for phrase in each))

    @property
    def liked(self) -> frozenset[str]:
        """Those of the addition that the reader ranked first, where nothing is wrong with them."""
        return frozenset(self.additions[self.ranked[0]]) - self.wrong

    @property
    def read(self) -> tuple[str, str]:
        """Prompt and dialect as the writer reads them: behind a sentence it puts phrases."""
        if self.dialect != PROSE:
            return self.prompt, self.dialect
        return self.prompt.rstrip(" .!?") or self.prompt, TAGS


def read_marked(path: Path) -> Iterator[Marked]:
    """Rows of `prompt`, `dialect`, `additions` (each with "; " between its phrases), `marks`,
    `ranked` and `wrong` (phrases).

    Raises:
        InputError: a row of another form; the message names its line.
    """
    yield from read_json_lines(path, _marked)


def _marked(row: dict) -> Marked:
    additions = tuple(tuple(each.split("; ")) for each in row["additions"])
    marked = Marked(
        row["prompt"],
        row["dialect"],
        additions,
        tuple(row["marks"]),
        tuple(row["ranked"]),
        frozenset(row["wrong"]),
    )
    if sorted(marked.ranked) != list(range(len(additions))):
        raise ValueError(f"'ranked' does not name each of {len(additions)} additions once")
    if len(marked.marks) != len(additions) or not all(
        _WORST <= mark <= _BEST for mark in marked.marks
    ):
        raise ValueError(f"'marks' are not {len(additions)} of {_WORST} to {_BEST}")
    if strange := marked.wrong - set(marked.phrases):
        raise ValueError(f"'{min(strange)}' is wrong, but of no addition")
    return marked
