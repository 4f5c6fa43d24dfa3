"""Which phrases a model may add to a prompt: the same rule cleans training data and rewrites."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

from .words import clauses, content_stems, stem, words

# A person, and what only a person has. A phrase with one of these is a subject of its own: added
# to a prompt about a lighthouse it turns the picture into a portrait.
_PEOPLE = frozenset(
    "portrait portraiture selfie headshot face facial person people human humanoid man woman "
    "boy girl guy lady gentleman male female child kid baby teenager adult model actor actress "
    "he she his her him he's she's himself herself body torso skin hair haired hairstyle eye "
    "eyed eyebrow eyelash lip mouth cheek freckle nose chin neck shoulder arm hand finger leg "
    "waist hip beard mustache makeup dress clothes clothing outfit costume pose posing".split()
)
# What makes a portrait of any scene: a man who rides a wave is no reason for one.
_FRAMINGS = frozenset(stem(w) for w in "portrait portraiture selfie headshot".split())
_FRAMED = _FRAMINGS | frozenset(stem(w) for w in "face bust closeup".split())
# A time of day, or a landscape, needs a sky: no sunset in a bathroom or behind a cup.
_SKIES = frozenset(stem(w) for w in "sunset sunrise dusk dawn hour landscape scenery".split())
_OUTDOORS = _SKIES | frozenset(
    stem(w)
    for w in "sky cloud sun moon star horizon view sea ocean beach coast shore bay island harbor "
    "lake river pond waterfall valley canyon mountain hill cliff desert forest jungle wood tree "
    "meadow field farm garden park road street highway bridge city town village skyline building "
    "tower castle palace temple church cathedral ruin lighthouse windmill pyramid volcano planet "
    "boat ship sailboat surfer kite airplane plane train camel elephant giraffe zebra horse cow "
    "sheep bear bird outdoor outside night day evening morning".split()
)
# Words of an input that make such phrases welcome, beyond those above.
_ROLES = frozenset(
    "king queen prince princess knight warrior soldier wizard witch mage sorcerer sorceress elf "
    "vampire angel demon god goddess fairy mermaid samurai ninja pirate cowboy viking monk nun "
    "priest doctor nurse chef teacher student astronaut pilot dancer singer player hero heroine "
    "superhero villain character mother father brother sister grandmother grandfather friend "
    "family couple crowd worker farmer hunter fisherman detective cyborg android robot zombie "
    "ghost clown bride groom emperor empress lord druid shaman surfer skier rider".split()
)
_PEOPLE_STEMS = frozenset(stem(w) for w in _PEOPLE)
_WELCOMING = _PEOPLE_STEMS | frozenset(stem(w) for w in _ROLES)


@lru_cache(maxsize=256)
def _told(text: str) -> frozenset[str]:
    """Stems of the words of `text`; of a prompt they are asked for with every phrase."""
    return frozenset(stem(w) for w in words(text.lower().replace("close-up", "closeup")))


def has_people(text: str) -> bool:
    """True when `text` speaks of a person, so that a face or a dress may be described."""
    return not _WELCOMING.isdisjoint(_told(text))


def adds_people(clause: str, raw: str = "") -> bool:
    """True when `clause` brings into `raw` a person or a part of one, or makes a portrait of it."""
    if not has_people(raw):
        return not _PEOPLE_STEMS.isdisjoint(_told(clause))
    return not _FRAMINGS.isdisjoint(_told(clause)) and _FRAMED.isdisjoint(_told(raw))


def adds_sky(clause: str, raw: str) -> bool:
    """True when `clause` brings a time of day or a landscape into `raw`, which is not outdoors."""
    return not _SKIES.isdisjoint(_told(clause)) and _OUTDOORS.isdisjoint(_told(raw))


def unasked(clause: str, raw: str) -> bool:
    """True when `clause` changes what `raw` is a picture of."""
    return adds_people(clause, raw) or adds_sky(clause, raw)


def admissible(tail: str, raw: str, blocked: Callable[[str], bool] | None = None) -> list[str]:
    """The phrases of `tail` that may follow `raw`, in order.

    Left out: phrases that `blocked` refuses, that repeat a content word of `raw` or one of their
    own, that say only what an earlier phrase said, or three words of it in a row, that bring in a
    person or a sky where there is none, and fragments without a content word.
    """
    taken = frozenset(content_stems(raw))
    said: set[str] = set()
    runs: set[tuple[str, ...]] = set()
    kept = []
    for clause in clauses(tail):
        stems = content_stems(clause)
        if not stems or taken.intersection(stems) or said.issuperset(stems):
            continue
        if stammers(clause):
            continue
        if unasked(clause, raw):
            continue
        if blocked is not None and blocked(clause):
            continue
        own_runs = three_word_runs(clause)
        if runs.intersection(own_runs) or len(set(own_runs)) < len(own_runs):
            continue
        said.update(stems)
        runs.update(own_runs)
        kept.append(clause)
    return kept


def stammers(phrase: str) -> bool:
    """True when `phrase` has a content word twice, or any word twice in a row."""
    stems, run = content_stems(phrase), words(phrase)
    return len(set(stems)) < len(stems) or any(a == b for a, b in pairwise(run))


def three_word_runs(text: str) -> list[tuple[str, ...]]:
    """Every three words in a row of `text`: two phrases that share one sound like an echo."""
    run = words(text)
    return [tuple(run[i : i + 3]) for i in range(len(run) - 2)]
