"""Composition: which notes make an addition, and in what order.

What a thing looks like comes first, then where it is, what light falls on it, in what colours, and
from where it is seen: one of each, and of no thing more than its share.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .dialect import BOORU
from .notes import FIELDS, ROLES, Note, one_of
from .words import content_stems

# Candidates but the first forget this share of the notes, so that they tell of different things.
_FORGOTTEN = 0.6
_ENOUGH = 3  # with fewer notes left nothing is forgotten
# What several tags say something of; `one_of` sees to it that they agree.
_SHARED = frozenset(("hair", "eye"))
_NOISE = 0.5  # a temperature of 1 for words is much for notes


@dataclass(frozen=True)
class Form:
    """How many notes an addition has.

    Attributes:
        most: in all.
        fields: of each field at most so many; none of a field that is not named.
        least: a note by which an addition gains less (`Verdict.gain`) is left out.
    """

    most: int
    fields: Mapping[str, int]
    least: float = -1.0


PHRASES = Form(10, {"look": 8, "place": 1, "light": 1, "colour": 1, "view": 1})
TAGS = Form(14, {"tags": 14}, least=0.2)


def form_of(dialect: str) -> Form:
    """The form of an addition in a dialect."""
    return TAGS if dialect == BOORU else PHRASES


def compose(
    notes: Sequence[Note],
    worth: Mapping[str, float],
    form: Form,
    rng: random.Random,
    temperature: float = 0.0,
    first: bool = True,
) -> list[Note]:
    """The notes of one addition, in order.

    Drawn without replacement with probabilities that are a softmax of the worth (Gumbel's top k,
    Kool et al. 2019), as far as the form has room.

    Args:
        worth: of each note's text, see `models.suitability.Verdict`.
        temperature: 0 takes those that are worth most.
        first: of several candidates the first, which forgets none.
    """
    keys, remembered = {}, []
    for note in notes:
        # The same numbers are drawn whatever is forgotten.
        noise, forgets = -math.log(-math.log(rng.random() or 0.5)), rng.random() < _FORGOTTEN
        keys[note.text] = worth[note.text] + _NOISE * temperature * noise
        if first or not temperature or not forgets:
            remembered.append(note)
    if len(remembered) >= _ENOUGH:
        notes = remembered
    room = Counter(form.fields)
    share = _share(notes, form)
    taken: list[Note] = []
    texts: set[str] = set()
    said: set[str] = set()
    by_concept: Counter[str] = Counter()
    for note in sorted(notes, key=lambda note: -keys[note.text]):
        # A palette may name the colour of a coat, and hair is long and black.
        stems = set() if note.field == "colour" else set(content_stems(note.text)) - _SHARED
        crowded = note.field in ("look", "tags") and by_concept[note.concept] >= share
        if not room[note.field] or crowded or said & stems or one_of(note.text) & texts:
            continue
        taken.append(note)
        texts.add(note.text)
        room[note.field] -= 1
        by_concept[note.concept] += note.field in ("look", "tags")
        said |= stems
        if len(taken) == form.most:
            break
    return sorted(taken, key=_place)


def _share(notes: Sequence[Note], form: Form) -> int:
    """Looks or tags that one concept may give where there are several."""
    most = max(form.fields.values())
    givers = {note.concept for note in notes if note.field in ("look", "tags")}
    return most if len(givers) < 2 or "tags" in form.fields else max(1, most // 2)


def _place(note: Note) -> tuple[int, int, int]:
    """Where a note stands: by its field, then by what its concept is to the picture. Of tags those
    that readers like best come first: "solo", then the hair."""
    liked = -note.grade if note.field == "tags" else 0
    return FIELDS.index(note.field), ROLES.index(note.role), liked
