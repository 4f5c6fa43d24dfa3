"""What a phrase would change in a picture: who is in it, where it is, how and when it was made.

An artist who asked for a lighthouse wants no face, one who put two dogs on a sofa no lake behind
them, and one who asked for a pencil sketch no photograph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from ..text.word_lists import read_lines, read_words
from ..text.words import stem, words


def _listed(names: str) -> frozenset[str]:
    """Stems of the words of the lists of these names; each list says what it decides."""
    return frozenset(stem(w) for name in names.split() for w in read_words(f"rules/{name}"))


def _stem_all(text: str) -> frozenset[str]:
    return frozenset(stem(w) for w in text.split())


def _opposites() -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """The two sides of each line of the list, capitals replaced by the words that they name."""
    named: dict[str, list[str]] = {}

    def expand(text: str) -> list[str]:
        return [word for name in text.split() for word in named.get(name, [name])]

    for line in read_lines("rules/opposites"):
        name, equals, text = line.partition(" = ")
        if equals:
            named[name] = expand(text)
        else:
            side, _, other = line.partition("|")
            yield frozenset(expand(side)), frozenset(expand(other))


# A phrase about a person, added to a prompt about a lighthouse, turns the picture into a portrait.
_PERSONS = _listed("persons")
_PEOPLE = _listed("persons parts_of_people")
_WELCOMING = _listed("persons parts_of_people roles")
# What somebody must be there for, though a llama may wear glasses.
_TELLTALES = _PEOPLE | _stem_all("wear smile attractive muscular")
# What makes a portrait of any scene: a man who rides a wave is no reason for one.
_FRAMINGS = _stem_all("portrait portraiture selfie headshot")
_FRAMED = _FRAMINGS | _stem_all("face bust closeup")
_FEATURES = _listed("features")
_NEAR_BY = _FRAMED | _listed("features near_by")
# What says that there is more to see: a man holding a surfboard has no perfect lips.
_SCENE = re.compile(
    r"\b(?:in|on|onto|at|near|by|over|under|behind|beside|between|through|next|into|from|while"
    r"|(?!(?:wearing|looking|staring|smiling|painting|drawing|string)\b)\w{2,}ing)\b"
)
_UNDER_A_SKY = _listed("places weather")
_OUTDOORS = _listed("places outdoors")
_OPEN_AIR = _listed("open_air wild_animals")
# Rooms, whatever else the prompt names.
_WITHIN = _stem_all("indoor interior inside")
_INDOORS = _WITHIN | _listed("indoors")
_ANIMALS = _listed("animals wild_animals")
_HUMAN = _listed("human_features")
_SPIRITED = _ANIMALS | _listed("spirited")
_CREATURES = _ANIMALS | _stem_all("creature beast monster werewolf yeti mascot pokemon alien")
# What a phrase says, and what must be there for it.
_NEEDS = (
    (_listed("plants"), _listed("plants grounds wild_animals")),
    (_stem_all("jungle"), _listed("tropical")),
    (_stem_all("cute adorable kawaii chibi"), _SPIRITED - _listed("warriors")),
    (_stem_all("fierce ferocious"), _SPIRITED),
    (_stem_all("fur furry fluffy feather whisker"), _CREATURES | _listed("soft")),
    (_stem_all("claw fang paw hoof snout beak"), _CREATURES | _listed("beasts")),
    (_stem_all("blood bloody"), _listed("grim")),
)
_OPPOSITES = tuple(_opposites())
# Names of several words that the guard of one tail knows as well.
DEPTH_OF_FIELD = re.compile(r"\b(?:shallow )?depth of field\b|\bshallow (?:focus|depth)\b|\bdof\b")
GOLDEN_HOUR = re.compile(r"\bgolden[ -]hour\b")
# Words that name one thing together, joined or with the part that would mislead taken away: a hair
# dryer has no hair, and a clock's face nobody behind it.
_COMPOUNDS = (
    # "A black and white cat" may be in colour.
    (
        re.compile(
            r"\bblack[ -](?:and|&)[ -]white(?=\W+(?:(?:landscape|portrait|street|film|old|vintage"
            r"|nature|wildlife|fashion|studio|documentary)\W+)?(?:photo|picture|image|film|movie"
            r"|drawing|sketch|ink|comic|illustration|art))|\bb&w\b"
        ),
        "monochrome",
    ),
    (re.compile(r"\bclose[ -]up\b"), "closeup"),
    (DEPTH_OF_FIELD, "bokeh"),
    (GOLDEN_HOUR, "golden hour sunset"),
    (re.compile(r"\bdigital[ -](?:art(?:work|s)?|paintings?)\b"), "digitalart"),
    (re.compile(r"\bpixel[ -]?art\b"), "pixelart"),
    (re.compile(r"\blow[ -]poly\b"), "lowpoly"),
    (re.compile(r"\b(?:photo|hyper|ultra)[ -](real\w+)\b"), r"photorealistic \1"),
    (re.compile(r"\b(?:smooth|flawless|perfect)[ -]skin(?:ned)?\b"), "smoothskin skin"),
    (re.compile(r"\bsoft(?:ly)?[ -]focus(?:ed)?\b"), "softfocus"),
    (re.compile(r"\b(?:sharp(?:ly)?|crisp|clear)[ -]focus(?:ed)?\b"), "sharpfocus"),
    (re.compile(r"\boil on (?:canvas|panel|linen|wood)\b"), "oil painting"),
    (re.compile(r"\bmoon(?:['’]s surface| landing)\b|\bon the moon\b(?!['’])"), "lunar"),
    # A wizard's desk and a pirate ship show nobody.
    (re.compile(r"\b(?!(?:he|she|it|who|that|there|what|let)['’])\w+['’]s\b"), " "),
    (
        re.compile(
            r"\b(?:pirate|viking|ghost|phantom|samurai|knight|witch|wizard|astronaut|monk|priest"
            r"|cowboy|soldier|doctor|nurse|student|teacher|model|clown|ninja)[ -]"
            r"((?:long|air|space)?ships?|boats?|trains?|towns?|villages?|houses?|castles?|swords?"
            r"|helmets?|hats?|boots|suits?|armou?r|masks?|robes?|desks?|flags?|temples?)\b"
        ),
        r"\1",
    ),
    (re.compile(r"\bfluffy (?=(?:\w+ )?clouds?\b)"), "fairweather "),
    (re.compile(r"\bfluffy (?=(?:\w+ )?(?:snow|hair)\b)"), ""),
    (
        re.compile(
            r"\b(?:hair|hand|arm|face|eye|neck|lip|model|dress)[ -]?"
            r"(dr[iy]ers?|brush(?:es)?|towels?|bags?|rails?|soaps?|chairs?|masks?"
            r"|glasses|ties?|trains?|planes?|airplanes?|shoes?)\b"
        ),
        r"\1",
    ),
    (re.compile(r"\bclock(?:['’]s)? faces?\b"), "clock"),
    (re.compile(r"\bbod(?:y|ies) of water\b"), "water"),
    (re.compile(r"\b(long|short)[ -]hair(?:ed)?\b"), r"\1hair hair"),
)


@lru_cache(maxsize=256)
def _words_of(text: str) -> frozenset[str]:
    """The words of `text` as they are written, compounds resolved; cached, because those of a
    prompt are asked for with every phrase."""
    text = text.lower()
    for pattern, name in _COMPOUNDS:
        text = pattern.sub(name, text)
    return frozenset(words(text))


@lru_cache(maxsize=256)
def _stems_of(text: str) -> frozenset[str]:
    """The words of `text`, compounds resolved, without inflection."""
    return frozenset(stem(w) for w in _words_of(text))


def has_people(text: str) -> bool:
    """True when `text` speaks of a person, so that a face or a dress may be described."""
    return not _WELCOMING.isdisjoint(_stems_of(text))


def adds_people(clause: str, raw: str = "") -> bool:
    """True when `clause` brings into `raw` a person or a part of one, somebody beside those who
    are there, the face of somebody far off, or makes a portrait of it."""
    added, present = _stems_of(clause), _stems_of(raw)
    if not has_people(raw):
        return not (_TELLTALES - present).isdisjoint(added)
    if not (_PERSONS - present).isdisjoint(added):
        return True
    framed_animal = not _ANIMALS.isdisjoint(present) and present & _WELCOMING <= _FRAMINGS
    if framed_animal and not (_HUMAN - present).isdisjoint(added):
        return True
    far_off = _NEAR_BY.isdisjoint(present) and _SCENE.search(raw.lower())
    if far_off and not (_FEATURES - present).isdisjoint(added):
        return True
    return not _FRAMINGS.isdisjoint(added) and _FRAMED.isdisjoint(present)


def is_outdoors(text: str) -> bool:
    """True when `text` has a sky over it, or something that mostly has and no furniture."""
    stems = _stems_of(text)
    if not _WITHIN.isdisjoint(stems):
        return False
    if not _OUTDOORS.isdisjoint(stems):
        return True
    return not _OPEN_AIR.isdisjoint(stems) and _INDOORS.isdisjoint(stems)


def adds_place(clause: str, raw: str) -> bool:
    """True when `clause` brings a landscape, weather or a time of day into `raw`, which is not
    outdoors."""
    return not _UNDER_A_SKY.isdisjoint(_stems_of(clause)) and not is_outdoors(raw)


def lacks_ground(clause: str, raw: str) -> bool:
    """True when `clause` lets something grow, or be cute or fierce, and nothing in `raw` could."""
    added, present = _stems_of(clause), _stems_of(raw)
    return any(
        not claims.isdisjoint(added) and grounds.isdisjoint(present) for claims, grounds in _NEEDS
    )


def contradicts(clause: str, texts: Iterable[str]) -> bool:
    """True when `clause` says the opposite of what `texts` say: rain after sunshine, a painting
    after a photo. What `texts` say on both sides is no contradiction."""
    added = _words_of(clause)
    known = frozenset().union(*(_words_of(text) for text in texts))
    for sides in _OPPOSITES:
        for side, other in (sides, sides[::-1]):
            if added.isdisjoint(side) or not added.isdisjoint(other):
                continue
            if known.isdisjoint(side) and not known.isdisjoint(other):
                return True
    return False
