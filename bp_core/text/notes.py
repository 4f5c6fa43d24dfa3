"""Notes: which phrases of the concepts that a prompt names are told to a small model.

Phrases that the prompt's own colours, hour or weather shut out are not among them, nor places where
it has one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from .dialect import BOORU
from .words import NEGATIONS, STOPWORDS, stem, words

KINDS = frozenset(
    "creature person plant food thing clothing body vehicle building place nature style action mood"
    .split()
)  # fmt: skip
GRADES, _MIDDLE = "grades", 5
FIELDS = ("look", "place", "light", "colour", "view", "tags")

# What a concept is to a picture: the first thing that is named, the second, a further one, or a
# style, a mood or an action.
ROLES = MAIN, SECOND, FURTHER, QUALITY = ("main", "second", "further", "quality")

# Kinds that say where the picture is; beside one of them no other place is noted.
_WHERE = frozenset(("place", "nature", "building"))
_SETTINGS = frozenset(("place", "nature", "style"))
_NO_THINGS = frozenset(("style", "mood", "action"))
# Each of these fields gets this share of a prompt's notes. What it looks like matters most.
_OTHERS, _SHARE = ("place", "light", "colour", "view"), 0.125
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
    "rust russet emerald olive lavender lilac tan chestnut golden blonde aqua".split()
)

# A prompt that says from where it is seen, or how near, gets no other viewpoint.
_VIEWED = re.compile(
    r"\b(?:seen|viewed|shot|looking|photographed) (?:\w+ )?"
    r"(?:from|up|down|at|across|over|through)\b|"
    r"\b(?:facing|back turned|turned away)\b|"
    r"\b(?:from|directly) (?:above|below|behind|the side)\b|\bview\b|\bclose[- ]?ups?\b|"
    r"\b(?:aerial|overhead|top[- ]down|bird'?s[- ]eye|worm'?s[- ]eye|wide[- ]angle|macro|fisheye|"
    r"full[- ]body|profile|isometric|panorama|cross[- ]section|cutaway)\b",
    re.IGNORECASE,
)
_COLOURLESS = frozenset(map(stem, ("monochrome", "grayscale", "greyscale", "colourless")))
_GREYS = frozenset(("black", "white", "grey", "gray"))
_ARTICLES = frozenset(("a", "an", "any", "the"))
# A picture has one of each: its viewpoint, how much of somebody it shows, where they look, how they
# stand, how long and of what colour the hair is, the eyes, the mouth. Danbooru's tags, parted by
# commas.
_ONE_OF = tuple(
    frozenset(tags.split(", "))
    for tags in (
        "from side, from above, from below, from behind, straight-on, profile",
        "upper body, full body, lower body, portrait, close-up, cowboy shot, wide shot, head only",
        "looking at viewer, looking away, looking back, looking at another, looking up, "
        "looking down, looking to the side, facing away, closed eyes, blindfold, covered eyes",
        "standing, sitting, kneeling, lying, on back, on stomach, on side, squatting, crouching, "
        "running, walking, jumping, seiza, wariza, all fours, swimming, flying, falling",
        "short hair, long hair, medium hair, very long hair, very short hair, bald",
        "black hair, brown hair, blonde hair, red hair, orange hair, pink hair, purple hair, "
        "blue hair, aqua hair, green hair, white hair, silver hair, grey hair, multicolored hair, "
        "two-tone hair, gradient hair, bald",
        "ponytail, high ponytail, low ponytail, side ponytail, twintails, low twintails, "
        "short twintails, braid, single braid, twin braids, side braid, hair bun, single hair bun, "
        "double bun, bob cut, pixie cut, afro, dreadlocks, mohawk, hime cut, short hair, "
        "very short hair, bald",
        "black eyes, brown eyes, blue eyes, aqua eyes, green eyes, yellow eyes, orange eyes, "
        "red eyes, pink eyes, purple eyes, grey eyes, heterochromia, closed eyes, from behind, "
        "facing away, blindfold, faceless",
        "open mouth, closed mouth, parted lips, clenched teeth",
        "indoors, outdoors",
        "day, night, sunset, sunrise, evening, dusk, twilight, dawn",
    )
)
_ALONE, _ONE_PERSON = "solo", (["1girl"], ["1boy"])
_WHO = re.compile(
    r"\d\+?(?:girl|boy|other)s?|multiple (?:girls|boys)|(?:fe)?male focus|solo|child|no humans"
)


@dataclass(frozen=True)
class Concept:
    """One line of the file.

    Attributes:
        fields: the phrases of each of FIELDS, commonest first.
        grades: a digit for each (see Note).
        leads: in the prompt that names it a word stands directly behind it, which may be the
            thing that is meant: "salt" of "salt crystals".
        follows: one stands directly before it, which may make another thing of it: "frog eggs".
    """

    name: str
    kind: str
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)
    grades: dict[str, tuple[int, ...]] = field(default_factory=dict)
    leads: bool = False
    follows: bool = False

    @classmethod
    def read(cls, line: str) -> Concept:
        """A line as `name | kind | look: phrase; phrase | … | tags: tag, tag | grades: 75 3`, with
        a digit for each phrase; without the last part all are of the same grade.

        Raises:
            ValueError: the line is none of a concept; the message says why.
        """
        name, kind, *rest = (part.strip() for part in line.split("|"))
        if kind not in KINDS:
            raise ValueError(f"'{kind}' is no kind of concept")
        phrases, digits = {}, []
        for part in rest:
            key, _, text = part.partition(":")
            if key.strip() == GRADES:
                digits = text.split()
                continue
            if key.strip() not in FIELDS:
                raise ValueError(f"'{key.strip()}' is no field of a concept")
            mark = "," if key.strip() == "tags" else ";"
            phrases[key.strip()] = tuple(filter(None, map(str.strip, text.split(mark))))
        grades = {key: (_MIDDLE,) * len(texts) for key, texts in phrases.items()}
        # Who changes a line need not grade it anew.
        if [len(each) for each in digits] == [len(texts) for texts in phrases.values()]:
            grades = {key: tuple(map(int, each)) for key, each in zip(phrases, digits, strict=True)}
        return cls(name, kind, phrases, grades)


class Note(NamedTuple):
    """A phrase of one of FIELDS, of a concept of one of ROLES.

    Attributes:
        grade: what readers made of it in other prompts, from 0 (struck out) to 9 (among the best).
        concept: the concept's name.
        leads, follows: as of the concept.
    """

    text: str
    field: str
    role: str
    grade: int
    concept: str = ""
    leads: bool = False
    follows: bool = False


def notes_of(
    prompt: str, concepts: list[Concept], dialect: str, n: int, rng: random.Random
) -> list[Note]:
    """Up to `n` notes of the concepts that a prompt names, in random order."""
    picked = _deal(_tags(concepts), n, rng) if dialect == BOORU else _about(concepts, n, rng)
    said = words(prompt)
    stemmed = [stem(word) for word in said]
    asked = set(stemmed)
    shut = _shut_out(asked)
    coloured = _COLOURS.intersection(asked)
    colourless = bool(asked & _COLOURLESS)
    if colourless:
        coloured = _GREYS
    # What has its colour: to white gloves no black ones are added.
    stated = {
        thing
        for at, colour in enumerate(stemmed)
        if colour in _COLOURS
        for thing in stemmed[at + 1 : at + 3]  # a yellow t-shirt, a red leather coat
    }
    # "without a collar" gets no leather collar either.
    absent = {root for at, root in enumerate(stemmed) if negated(said[max(0, at - 2) : at])}
    tagged = {tag.strip(" ()[]{}").lower() for tag in prompt.replace("_", " ").split(",")}
    kept = []
    for phrase in picked:
        if dialect == BOORU and (_tells_who(phrase, tagged) or one_of(phrase) & tagged):
            continue  # who is there, and how they are seen, is the artist's to say
        if " or " in phrase or "(" in phrase:
            continue  # a picture is one or the other; brackets are a host's syntax
        stems = {stem(word) for word in words(phrase)}
        repeats = all(s in asked or s in STOPWORDS for s in stems)
        other_colour = coloured and stems & _COLOURS - coloured
        if dialect == BOORU and not colourless:
            other_colour = other_colour and stems & stated
        if not repeats and not other_colour and not stems & (shut | absent):
            kept.append(phrase)
    rng.shuffle(kept)
    # "short sleeves" may be a look and a tag.
    told = FIELDS[-1:] if dialect == BOORU else FIELDS[:-1]
    known = origins(concepts, told)
    notes = [known[phrase] for phrase in kept]
    # The artist has chosen the colours who names two, and the viewpoint who names one.
    chosen = {"colour"} if len(coloured) > 1 else set()
    chosen |= {"view"} if _VIEWED.search(prompt) else set()
    return [note for note in notes if note.field not in chosen]


def _tells_who(tag: str, tagged: set[str]) -> bool:
    """Whether a tag says who is there beside the prompt's tags; that who is there is alone, as
    Danbooru tags it, is no news."""
    if tag == _ALONE:
        return [who for who in tagged if _WHO.fullmatch(who)] not in _ONE_PERSON
    return bool(_WHO.fullmatch(tag))


def one_of(tag: str) -> frozenset[str]:
    """The tags of which a picture has one, where `tag` is among them; else none."""
    return frozenset().union(*(group for group in _ONE_OF if tag in group))


def negated(before: Sequence[str]) -> bool:
    """Whether the last of the words before a thing says that it is not there."""
    if before and before[-1] in _ARTICLES:
        before = before[:-1]
    return bool(before) and before[-1] in NEGATIONS


def origins(concepts: Sequence[Concept], told: Sequence[str] = FIELDS) -> dict[str, Note]:
    """The note that each phrase of the fields `told` is; of the first concept that has it."""
    notes: dict[str, Note] = {}
    things = [concept for concept in concepts if concept.kind not in _NO_THINGS]
    for concept in concepts:
        role = QUALITY if concept not in things else ROLES[min(2, things.index(concept))]
        for name, phrases in concept.fields.items():
            if name not in told:
                continue
            for phrase, grade in zip(phrases, concept.grades[name], strict=True):
                joined = concept.leads, concept.follows
                notes.setdefault(phrase, Note(phrase, name, role, grade, concept.name, *joined))
    return notes


def _tags(concepts: Sequence[Concept]) -> list[list[str]]:
    """The tags of each concept. What a thing says goes before what is open of somebody: an old
    man has white hair, though "1boy" has any."""
    hands = [list(concept.fields.get("tags", ())) for concept in concepts]
    somebody = [bool(_WHO.fullmatch(concept.name)) for concept in concepts]
    things = [hand for hand, who in zip(hands, somebody, strict=True) if not who]
    told = {tag for hand in things for each in hand for tag in one_of(each)}
    return [
        [tag for tag in hand if not (who and tag in told)]
        for hand, who in zip(hands, somebody, strict=True)
    ]


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
    for name in _OTHERS:
        if name == "place" and (where or len(things) > 2):
            continue
        givers = main if name == "place" and main else settings
        phrases = [list(giver.fields.get(name, ())) for giver in givers]
        others += _deal(phrases, max(1, round(_SHARE * n)), rng)
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
