"""Notes to train a writer on: phrases of its target among others that are as true of the prompt.

At work a writer reads notes of `bp_core.text.concepts`, some of which suit the picture. A target
that was written without them says the same things in other words, so a few of its own phrases are
put among the notes: the writer learns to take up what suits and to leave the rest.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from bp_core.text.concepts import Concepts
from bp_core.text.dialect import PROSE
from bp_core.text.words import STOPWORDS
from train.data.written import Written

MOST = 14
_NONE = 0.06  # share of examples without a note: a prompt may name nothing that is known
_STRANGE = 0.06  # share whose target has none of its phrases among them
_OWN = (2, 6)  # phrases of the target
_LONGEST = 4  # words of a phrase cut out of a sentence


def phrases(row: Written) -> list[str]:
    """The phrases of a target; of a sentence, its runs of two words and more between stop words."""
    if row.dialect != PROSE:
        parts = re.split(r"[,;.]\s|[,;.]$", row.text)
        return [part.strip().replace("_", " ") for part in parts if part.strip()]
    runs, run = [], []
    for word in [*re.findall(r"[A-Za-z'\-]+|[^\sA-Za-z]", row.text), "."]:
        if word[0].isalpha() and word.lower() not in STOPWORDS:
            run.append(word.lower())
            continue
        if len(run) > 1:
            runs.append(" ".join(run[-_LONGEST:]))
        run = []
    return runs


def notes_for(row: Written, concepts: Concepts, rng: random.Random) -> list[str]:
    """Notes for one example, another choice each time; its own in another order if it has some."""
    if row.notes:
        return rng.sample(row.notes, len(row.notes))
    chance = rng.random()
    if chance < _NONE:
        return []
    own = phrases(row)
    rng.shuffle(own)
    most = 0 if chance < _NONE + _STRANGE else min(rng.randint(*_OWN), max(1, len(own) * 2 // 3))
    own = own[:most]
    known = concepts.notes(row.prompt, row.dialect, rng.randint(10, MOST), rng)
    taken = {phrase.lower() for phrase in own}
    others = [note.text for note in known if note.text.lower() not in taken]
    notes = own + others[: MOST - len(own)]
    rng.shuffle(notes)
    return notes


def with_notes(
    rows: Sequence[Written], concepts: Concepts, copies: int, seed: int
) -> list[tuple[Written, list[str]]]:
    """Each row `copies` times, with other notes each time."""
    rng = random.Random(f"notes {seed}")
    return [(row, notes_for(row, concepts, rng)) for _ in range(copies) for row in rows]
