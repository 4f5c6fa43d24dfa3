"""Estimates: how often each note of a concept is right, and what it is worth, told beforehand.

Readers judged notes behind prompts; a note that is in few of these is not known by that. Of each
phrase of a concept a reader also told two digits, without a prompt: in how many of ten varied
prompts that name the concept it would be right, and how much better it makes the picture where it
is (`estimates/RULES.md`). What such digits come to is learned from the notes that have both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bp_core.errors import InputError
from bp_core.text.notes import FIELDS, Concept

Place = tuple[str, str, str]  # concept, field and phrase
Digits = tuple[int, int]
_STRENGTH = 1.0  # of the ridge
_UNKNOWN = "-"
_PAIR = re.compile(r"[0-9]{2}|--")


def read_estimates(path: Path, concepts: Mapping[str, Concept]) -> dict[Place, Digits]:
    """The digits of each phrase, of lines as `fox | 77 -- / 46`: a pair for each phrase of a field,
    fields in the order of the concept's line; `--` for one that nobody estimated. Who changes a
    concept's line need not estimate anew: lines that no longer fit are passed over.

    Raises:
        InputError: a line is no estimate.
    """
    digits: dict[Place, Digits] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, bar, rest = line.partition(" | ")
        fields = [part.split() for part in rest.split("/")]
        if not bar or not all(_PAIR.fullmatch(pair) for part in fields for pair in part):
            raise InputError(f"{path}:{number}: no estimate: write 'name | 77 46 / 55'")
        concept = concepts.get(name)
        if concept is None or [*map(len, fields)] != [*map(len, concept.fields.values())]:
            continue
        for (field, phrases), pairs in zip(concept.fields.items(), fields, strict=True):
            for phrase, (true, good) in zip(phrases, pairs, strict=True):
                if true != _UNKNOWN:
                    digits[name, field, phrase] = int(true), int(good)
    return digits


class Expected:
    """The mean mark (-1 wrong, 0, 1 best) that readers give a phrase of such digits.

    Args:
        digits: of each place that is estimated.
        marks: (judgements, sum of marks) of each place that was judged.
    """

    def __init__(
        self, digits: Mapping[Place, Digits], marks: Mapping[Place, tuple[int, int]]
    ) -> None:
        self.digits = digits
        both = [place for place in digits if marks.get(place, (0, 0))[0]]
        self.weights: np.ndarray | None = None
        if len(both) >= 2 * _row((0, 0), FIELDS[0]).size:
            x = np.array([_row(digits[place], place[1]) for place in both])
            count, total = np.array([marks[place] for place in both], float).T
            gram = (x * count[:, None]).T @ x + _STRENGTH * np.eye(x.shape[1])
            self.weights = np.linalg.solve(gram, x.T @ total)

    def of(self, place: Place) -> float | None:
        """None where it was not estimated, or nothing is known of such digits."""
        if self.weights is None or place not in self.digits:
            return None
        return float(_row(self.digits[place], place[1]) @ self.weights)


def _row(digits: Digits, field: str) -> np.ndarray:
    true, good = (digit / 9 for digit in digits)
    own = np.array([field == name for name in FIELDS], float)
    both = np.array([true, good, true * good, true**2, good**2])
    return np.concatenate((both, own, true * own, good * own))
