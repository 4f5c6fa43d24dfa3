"""Additions made of judged notes: the best in the order of an addition, read among others.

Readers' judgements (`train/data/judged.py`) say which notes they would put behind a prompt. Joined,
these are targets that no one had to write.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from bp_core.text.concepts import Concepts
from bp_core.text.dialect import BOORU
from bp_core.text.notes import FIELDS
from train.data.judged import Judged
from train.data.written import Written

_LEAST, _MOST = 4, 9  # best notes of a prompt that make an addition
_PHRASES = 7  # of an addition that is no list of tags
_ENDING = 2  # of which so many come from its end: light, palette, view
_WORDS = 25  # longer prompts need little
_READ = 12  # notes


def composed(
    rows: Sequence[Judged], concepts: Concepts, count: int, seed: int = 0
) -> list[Written]:
    """Additions to at most `count` of the judged prompts, chosen by `seed`, with notes to read."""
    rng = random.Random(f"composed {seed}")
    made = (_compose(row, concepts, rng) for row in rng.sample(rows, min(count, len(rows))))
    return [row for row in made if row is not None]


def _compose(row: Judged, concepts: Concepts, rng: random.Random) -> Written | None:
    if row.best is None or not _LEAST <= len(row.best) <= _MOST:
        return None
    if len(row.prompt.split()) > _WORDS:
        return None
    places: dict[str, tuple[int, int]] = {}
    for rank, concept in enumerate(concepts.named(row.prompt)):
        for name, phrases in concept.fields.items():
            for phrase in phrases:
                places.setdefault(phrase, (FIELDS.index(name), rank))
    last = (len(FIELDS), 0)
    best = [row.phrases[number] for number in sorted(row.best)]
    best = sorted(rng.sample(best, len(best)), key=lambda phrase: places.get(phrase, last))
    if row.dialect != BOORU and len(best) > _PHRASES:
        best = best[: _PHRASES - _ENDING] + best[-_ENDING:]
    others = [p for i, p in enumerate(row.phrases) if i not in row.best | row.wrong]
    wrong = [row.phrases[number] for number in sorted(row.wrong)]
    # Notes come chosen, but not without a mistake.
    notes = best + rng.sample(others, min(len(others), rng.randint(0, 3)))
    notes += rng.sample(wrong, min(len(wrong), rng.choice((0, 0, 1))))
    notes = notes[:_READ]
    return Written(
        row.prompt, row.dialect, "expand", ", ".join(best), tuple(rng.sample(notes, len(notes)))
    )


def without_wrong(rows: Iterable[Written], judged: Iterable[Judged]) -> list[Written]:
    """Rows whose notes are without those that a reader struck out and the text does not use."""
    struck = {
        (row.prompt, row.dialect): {row.phrases[number].lower() for number in row.wrong}
        for row in judged
    }

    def cleaned(row: Written) -> Written:
        wrong, text = struck.get((row.prompt, row.dialect), set()), row.text.lower()
        kept = [n for n in row.notes if n.lower() not in wrong or n.lower() in text]
        return row._replace(notes=tuple(kept))

    return [cleaned(row) for row in rows]
