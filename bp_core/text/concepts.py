"""What is known of the things that a prompt names: short notes for a small model to choose from.

A small model cannot know what a fox, a library or a watercolour looks like, nor need it: a file
beside its weights says so, a line a concept, and phrases of the concepts that a prompt names are
read to it before the prompt. Which of the notes suit this picture is what it was taught.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..errors import ModelError
from .dialect import BOORU
from .words import NEGATIONS, STOPWORDS, stem, words

FILE = "concepts.txt"

KINDS = frozenset(
    "creature person plant food thing clothing body vehicle building place nature style action mood"
    .split()
)  # fmt: skip
FIELDS = ("look", "place", "light", "colour", "view", "tags")

_LONGEST = 4  # words of a concept's name
# Kinds that say where the picture is; beside one of them no other place is noted.
_WHERE = frozenset(("place", "nature", "building"))
_SETTINGS = frozenset(("place", "nature", "style"))
_NO_THINGS = frozenset(("style", "mood", "action"))
# How many notes of a field a prompt gets in all. What it looks like matters most.
_SHARES = {"place": 2, "light": 2, "colour": 2, "view": 2}
# Words of one group shut each other out: a prompt that has a word of one gets no note with
# another's. The hour, the season, the weather and the ground of flat design.
_EXCLUSIVE = (
    (
        "night midnight moon moonlit moonlight starry star starlit dark aurora firefly "
        "bioluminescent campfire neon nebula galaxy milky",
        "noon midday daylight daytime sun sunlight sunlit sunny morning dawn sunrise afternoon "
        "sunset dusk evening",
    ),
    ("morning dawn sunrise", "sunset dusk evening afternoon noon midday"),
    ("noon midday", "sunset dusk evening dawn sunrise morning"),
    ("winter snow snowy snowfall frost frosty ice icy", "summer spring autumn fall blossom"),
    ("summer", "winter snow snowy frost frosty autumn"),
    ("autumn fall", "winter snow snowy spring blossom summer"),
    ("spring", "winter snow snowy frost frosty autumn"),
    (
        "cave cavern subway tunnel underground underwater cellar basement dungeon catacomb studio",
        "sun sunlight sunlit sunny sunset dawn",
    ),
    ("rain rainy storm stormy fog foggy mist misty overcast cloudy", "sunny cloudless clear"),
)
_COLOURS = frozenset(
    "red orange yellow green blue purple violet pink brown black white grey gray gold silver "
    "crimson scarlet amber turquoise teal cyan magenta beige cream ivory navy maroon copper bronze "
    "rust russet emerald olive lavender lilac tan chestnut golden".split()
)

# Things whose names are colours before another thing: an orange cat has no rind.
_LENT = frozenset(
    "orange olive chestnut lavender lilac cream peach plum mint salmon rose rust tan coral lemon "
    "lime cherry pumpkin raspberry apricot navy".split()
)
_WHO = re.compile(
    r"\d\+?(?:girl|boy|other)s?|multiple (?:girls|boys)|(?:fe)?male focus|solo|child|no humans"
)


@dataclass(frozen=True)
class Concept:
    """One line of the file: `fields` holds the phrases of each of FIELDS, commonest first."""

    name: str
    kind: str
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, line: str) -> Concept:
        """A line as `name | kind | look: phrase; phrase | … | tags: tag, tag`.

        Raises:
            ValueError: the line is none of a concept; the message says why.
        """
        name, kind, *rest = (part.strip() for part in line.split("|"))
        if kind not in KINDS:
            raise ValueError(f"'{kind}' is no kind of concept")
        phrases = {}
        for part in rest:
            key, _, text = part.partition(":")
            if key.strip() not in FIELDS:
                raise ValueError(f"'{key.strip()}' is no field of a concept")
            mark = "," if key.strip() == "tags" else ";"
            phrases[key.strip()] = tuple(filter(None, map(str.strip, text.split(mark))))
        return cls(name, kind, phrases)


class Concepts:
    """The concepts of a file, found by the words of a prompt.

    Args:
        lines: as of `Concept.read`; they are read when a prompt names them.
    """

    def __init__(self, lines: list[str], path: Path | None = None) -> None:
        self.path = path
        # By the very words, and by their stems: "bowling" is no bowl, but "bowls" are.
        self._lines: dict[tuple[str, ...], str] = {}
        self._stemmed: dict[tuple[str, ...], tuple[str, ...]] = {}
        for line in lines:
            name = _name(line)
            if not name or self._lines.setdefault(name, line) is not line:
                continue
            stems = tuple(map(stem, name))
            if stems == name or stems not in self._stemmed:
                self._stemmed[stems] = name

    @classmethod
    def load(cls, folder: Path) -> Concepts | None:
        """Those of a model folder; None where it has no such file.

        Raises:
            ModelError: the file cannot be read.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: {error}; copy the model's folder again") from error
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        return cls(lines, path)

    def __len__(self) -> int:
        return len(self._lines)

    def named(self, prompt: str) -> list[Concept]:
        """The concepts that a prompt names, in its order, each once; longer names first.

        Raises:
            ModelError: a line of the file is damaged.
        """
        return list({key: self._read(key) for key in self._keys(prompt)}.values())

    def _keys(self, prompt: str) -> Iterator[tuple[str, ...]]:
        spoken = words(prompt)
        at = 0
        while at < len(spoken):
            for length in range(min(_LONGEST, len(spoken) - at), 0, -1):
                name = tuple(spoken[at : at + length])
                if name not in self._lines:
                    name = self._stemmed.get(tuple(map(stem, name)), ())
                if name and not (length == 1 and _says_little(spoken[at : at + 2])):
                    if at == 0 or spoken[at - 1] not in NEGATIONS:
                        yield name
                    at += length
                    break
            else:
                at += 1

    def _read(self, key: tuple[str, ...]) -> Concept:
        line = self._lines[key]
        try:
            return Concept.read(line)
        except ValueError as error:
            where = self.path or "concepts"
            raise ModelError(f"{where}: {error} in the line of '{line[:40]}'") from error

    def notes(self, prompt: str, dialect: str, n: int, rng: random.Random) -> list[str]:
        """Up to `n` phrases about what a prompt names, in random order.

        Phrases that the prompt's own colours, hour or weather shut out are not among them, nor
        places where it has one.
        """
        concepts = self.named(prompt)
        if dialect == BOORU:
            picked = _deal([list(concept.fields.get("tags", ())) for concept in concepts], n, rng)
        else:
            picked = _about(concepts, n, rng)
        asked = {stem(word) for word in words(prompt)}
        shut = _shut_out(asked)
        coloured = _COLOURS.intersection(asked)
        kept = []
        for phrase in picked:
            if dialect == BOORU and _WHO.fullmatch(phrase):
                continue  # who is there is the artist's to say
            stems = {stem(word) for word in words(phrase)}
            repeats = all(s in asked or s in STOPWORDS for s in stems)
            other_colour = coloured and dialect != BOORU and stems & _COLOURS - coloured
            if not repeats and not other_colour and not stems & shut:
                kept.append(phrase)
        rng.shuffle(kept)
        return kept


def _says_little(pair: list[str]) -> bool:
    """Whether the first of two words (or the only one) names no thing by itself."""
    word, *following = pair
    return word in STOPWORDS or (word in _LENT and bool(set(following) - STOPWORDS))


def _name(line: str) -> tuple[str, ...]:
    """The words of a line's name."""
    name = line.partition("|")[0]
    # Of plain letters, as most are, these are what `words` finds, in a third of its time.
    plain = name.isascii() and name.islower() and name.replace(" ", "").isalpha()
    return tuple(name.split() if plain else words(name))


def _about(concepts: list[Concept], n: int, rng: random.Random) -> list[str]:
    """Phrases of every field but the tags: mostly looks, a few of the others.

    Where a picture is, what light falls on it and from where it is seen is told by its main thing,
    its place and its style: a coat in it would hang on a hanger, an eye be seen from close by.
    """
    where = any(concept.kind in _WHERE for concept in concepts)
    things = [concept for concept in concepts if concept.kind not in _NO_THINGS]
    main = things[:1]
    if main and main[0].kind != "body":
        concepts = [concept for concept in concepts if concept.kind != "body"]
    settings = main + [c for c in concepts if c.kind in _SETTINGS and c not in main]
    others: list[str] = []
    for name, share in _SHARES.items():
        if name == "place" and (where or len(things) > 2):
            continue
        givers = main if name in ("place", "view") and main else settings
        others += _deal([list(giver.fields.get(name, ())) for giver in givers], share, rng)
    looks = [list(concept.fields.get("look", ())) for concept in concepts]
    rng.shuffle(others)
    picked = _deal(looks, n - min(len(others), n // 2), rng)
    return picked + others[: n - len(picked)]


def _deal(hands: list[list[str]], n: int, rng: random.Random) -> list[str]:
    """`n` phrases, one after another from each hand; those in front of a hand are likelier."""
    order = [sorted(hand, key=lambda p, h=hand: h.index(p) / 4 + rng.random()) for hand in hands]
    order = [hand for hand in order if hand]
    rng.shuffle(order)
    dealt: list[str] = []
    while order and len(dealt) < n:
        for hand in list(order):
            phrase = hand.pop(0)
            if phrase not in dealt:
                dealt.append(phrase)
            if not hand:
                order.remove(hand)
    return dealt[:n]


def _shut_out(asked: set[str]) -> set[str]:
    """Stems that no note may have beside those of the prompt."""
    shut: set[str] = set()
    for first, second in _exclusive():
        if asked & first:
            shut |= second - asked
        if asked & second:
            shut |= first - asked
    return shut


@cache
def _exclusive() -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
    """The stems of each pair of _EXCLUSIVE."""
    return tuple(tuple(frozenset(map(stem, side.split())) for side in pair) for pair in _EXCLUSIVE)
