"""What readers thought of phrases behind prompts, one judgement a row: `train/starter/labels/`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from bp_core.errors import InputError

_LABELS = Path(__file__).resolve().parents[1] / "starter" / "labels"
TASTE_LABELS = _LABELS / "taste_labels.tsv"
FIT_LABELS = _LABELS / "fit_labels.tsv"
GOOD, DOUBTFUL, WRONG = 1.0, 0.5, 0.0
VALUES = {"good": GOOD, "doubtful": DOUBTFUL, "wrong": WRONG, "fits": GOOD, "misfit": WRONG}
COLUMNS = ["prompt", "phrase", "judgement", "reader", "batch"]


class Judgement(NamedTuple):
    """One reader's word on one phrase behind one prompt; `value` is 1, 0.5 or 0."""

    prompt: str
    phrase: str
    value: float


def read_judgements(path: Path) -> list[Judgement]:
    """The rows of a file in their order; raises InputError for a file of another form."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"cannot read judgements from {path} ({error.strerror})") from error
    header, *rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if lines else [[]]
    if header != COLUMNS:
        raise InputError(f"{path}: give the columns {', '.join(COLUMNS)}, separated by tabs")
    for number, row in enumerate(rows, 2):
        if len(row) != len(COLUMNS) or row[2] not in VALUES:
            raise InputError(
                f"{path}, line {number}: give prompt, phrase, a judgement ({', '.join(VALUES)}), "
                "reader and batch, separated by tabs"
            )
    if not rows:
        raise InputError(f"{path} has no judgements: give some")
    return [Judgement(prompt, phrase, VALUES[word]) for prompt, phrase, word, *_ in rows]
