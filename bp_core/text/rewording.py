"""Rewording: what is known of a thing said where the prompt names it, as an artist would.

"a fox in the snow" and the note "rust-red fur" make "a fox with rust-red fur in the snow". Nothing
of the artist's is moved or left out, and where no place is safe nothing is woven in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from .concepts import Concepts
from .dialect import BOORU, PROSE
from .literals import QUOTED
from .looks import Look, look_of
from .notes import Note
from .places import Place, place_of
from .prompt import Prompt, parse
from .words import CLAUSE_END, content_stems, stem, words

_THINGS, _LOOKS = 3, 2  # that more is said of, and how much of one
_LIGHTS = frozenset(
    "light sun sunlight glow haze mist dusk dawn daylight lamplight candlelight moonlight sunset "
    "sunrise fog overcast firelight twilight gloom afternoon starlight".split()
)

_Insertion = tuple[int, str]  # offset in the prompt, text


class Rewording:
    """A prompt, and where more can be said of what it names.

    Args:
        dialect: of BOORU a tag stands behind the one that it belongs to.
        keep: phrases of the prompt in which nothing may be put; nor is it into a quotation.
    """

    def __init__(
        self, parsed: Prompt, concepts: Concepts, dialect: str, keep: Sequence[str] = ()
    ) -> None:
        self.parsed, self.concepts, self.dialect = parsed, concepts, dialect
        self.text = str(parsed)
        self._made: dict[tuple[_Insertion, ...], Prompt] = {(): parsed}
        low = self.text.lower()
        self._kept = [match.span() for match in QUOTED.finditer(self.text)]
        self._kept += [
            match.span()
            for phrase in keep
            if phrase.strip()
            for match in re.finditer(re.escape(phrase.strip().lower()), low)
        ]

    def weave(self, notes: Sequence[Note]) -> tuple[Prompt, list[Note]]:
        """The prompt with those of the notes in it that it has room for, and the others."""
        insertions, left = (self._tags if self.dialect == BOORU else self._phrases)(notes)
        woven = self._with(tuple(sorted(insertions, reverse=True)))
        if woven.items != self.parsed.items:  # a host would read it otherwise
            return self.parsed, list(notes)
        return woven, left

    def _with(self, insertions: tuple[_Insertion, ...]) -> Prompt:
        """The prompt with texts put in, from the last one on; each lot is read once."""
        if insertions not in self._made:
            text = self.text
            for at, new in insertions:
                text = text[:at] + new + text[at:]
            self._made[insertions] = parse(text, self.parsed.syntax)
        return self._made[insertions]

    def _phrases(self, notes: Sequence[Note]) -> tuple[list[_Insertion], list[Note]]:
        """Looks behind the things that have them; of sentences a light before the last stop."""
        chosen: dict[Place, list[Look]] = {}
        left: list[Note] = []
        for note in notes:
            look = look_of(note.text) if note.field == "look" else None
            place = self._places.get(note.concept) if look else None
            repeats = place and self._said.intersection(content_stems(note.text))
            if place is None or repeats or not _has_room(chosen, place, look):
                left.append(note)
            else:
                chosen.setdefault(place, []).append(look)
        insertions = [(place.at, self._joined(place, looks)) for place, looks in chosen.items()]
        if self._last_stop is not None:
            light = next((note for note in left if note.field == "light"), None)
            look = look_of(light.text) if light else None
            if look and look.head in _LIGHTS:
                left.remove(light)
                insertions.append((self._last_stop, f", in {look.text}"))
        return insertions, left

    def _joined(self, place: Place, looks: list[Look]) -> str:
        # What hangs on the first noun would hang on both: "steam from woks and tarpaulin roofs".
        text = " and ".join(look.text for look in sorted(looks, key=lambda look: bool(look.trail)))
        if place.joint != "and":
            return f" with {text}" + "," * place.joint.endswith(",")
        clause = CLAUSE_END.split(self.text[place.at :], maxsplit=1)[0]
        return f" {text}," if " and " in clause else f" {text} and"

    def _tags(self, notes: Sequence[Note]) -> tuple[list[_Insertion], list[Note]]:
        """Tags behind those of the concept that they belong to."""
        ends: dict[str, int] = {}
        for start, end in self.parsed.words_alone:
            for mention in self.concepts.mentions(self.text[start:end]):
                comma = self.text.find(",", start + mention.end, end)
                if comma >= 0 and not self._is_kept(comma):
                    ends[mention.name] = comma
        insertions: dict[int, str] = {}
        left = []
        for note in notes:
            at = ends.get(note.concept)
            if at is None:
                left.append(note)
            else:
                insertions[at] = f"{insertions.get(at, '')}, {note.text}"
        return list(insertions.items()), left

    def _is_kept(self, at: int) -> bool:
        """Whether a place is inside a phrase that must stay as it is."""
        return any(start < at < end for start, end in self._kept)

    @cached_property
    def _said(self) -> frozenset[str]:
        return frozenset(map(stem, words(self.text)))

    @cached_property
    def _places(self) -> dict[str, Place]:
        """Of each concept that the prompt names once, where its looks may go."""
        places: dict[str, Place] = {}
        named: list[str] = []
        for number, (start, end) in enumerate(self.parsed.free_clauses):
            text = self.text[start:end]
            for mention in self.concepts.mentions(text):
                named.append(mention.name)
                place = place_of(text, mention, self.text[end : end + 1])
                if place is not None and not self._is_kept(start + place.at):
                    reach = (number, *place.reach)
                    places[mention.name] = place._replace(at=start + place.at, reach=reach)
        return {name: place for name, place in places.items() if named.count(name) == 1}

    @cached_property
    def _last_stop(self) -> int | None:
        """Offset of the full stop that ends a prompt of sentences; None where light is told of."""
        if self.dialect != PROSE or not self.parsed.free_clauses or self._said & _LIGHTS:
            return None
        start, end = self.parsed.free_clauses[-1]
        sentence = self.text[start:end].rstrip()
        if self.text[end:].strip() or not re.search(r"\w\.$", sentence):
            return None
        at = start + len(sentence) - 1
        return None if self._is_kept(at) else at


def _has_room(chosen: dict[Place, list[Look]], place: Place, look: Look) -> bool:
    """Whether a look may join those that a place has already."""
    runs_on = look.trail == "clause" if place.follows == "verb" else look.trail not in ("", "of")
    if (look.single and place.several) or (place.follows and runs_on):
        return False
    looks = chosen.get(place, [])
    if looks:
        return len(looks) < _LOOKS and place.joint != "and" and not (looks[-1].joins or look.joins)
    if len(chosen) == _THINGS or (place.joint == "and" and look.joins):
        return False
    return all(other.reach != place.reach for other in chosen)
