"""Notes of what a thing looks like, as they read behind "with": which are noun phrases, and their
article.

No parser: the words of a note are told by lists, and of what cannot be told nothing is made.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

from .word_lists import read_words
from .words import stem

# Small words behind which a noun is no head of its phrase any more.
PREPOSITIONS = frozenset(
    "of in at on under from through over along between behind across by for above below into "
    "against inside outside near beneath around down up off out onto beside among within towards "
    "toward past beyond underneath like after before without during next throughout amid amidst "
    "atop".split()
)
NUMBERS = frozenset("two three four five six seven eight nine ten eleven twelve".split())
_QUANTIFIERS = NUMBERS | frozenset("one many several few some both various no countless".split())
ARTICLES = frozenset(("a", "an"))
_LONGEST = 7  # words
# Ends of phrases that say where a noun is; without another noun behind them half is missing.
_PARTICLES = frozenset("up down off out around over through in on behind above below".split())
# A thing's whole form or stuff is no part that it has: "a cheesecake with a smooth wedge".
_FORMS = frozenset(
    "dome tower hill peak summit wedge globe ball box block slab mound heap pile stack lump oval "
    "cube cylinder sphere cone disc pyramid mass clump bunch bundle cluster column liquid paste "
    "dough porcelain clay cloth".split()
)
_IRREGULAR = frozenset(
    "clothes trousers teeth feet hooves antennae vertebrae people men women children geese mice "
    "sheep".split()
)
_SINGULAR = re.compile(r"(?:ss|us|is|canvas|gas|lens|moss)$")
# Participles that may stand behind the noun they tell of: "ears laid back", "hair tied in a bun".
PARTICIPLES = frozenset(
    "tied torn worn drawn thrown cut set bent held hung laid swept spread wound bound flung lit "
    "seen made built grown overgrown shown caught kept left put sewn woven written sunk split "
    "strung slung stuck hidden frozen broken blown".split()
)
# What a style must be called to be a thing that has something.
_ART = re.compile(
    r"(?:painting|drawing|photo|photograph|print|illustration|sketch|render|rendering|poster|"
    r"engraving|etching|watercolou?r|gouache|collage|mosaic|woodcut|linocut|lithograph|fresco|mural|"
    r"doodle|logo|icon|cartoon|comic|sticker|tapestry|embroidery|art|sculpture|diorama)s?$"
)
_VOWEL = re.compile(
    r"(?!one\b|u-|uni|use|eu)[aeiou]|hour|honest|8|11\b|18\b|[fhlmnrsx]-", re.IGNORECASE
)


_LIKE_PARTICIPLES = frozenset("building ceiling clothing shed sled hundred wedding king".split())


class Look(NamedTuple):
    """A noun phrase as it reads behind "with" or "in".

    Attributes:
        text: with its article, if it has one.
        head: stem of the noun that the rest tells of.
        single: one of a thing, which several things do not have together.
        joins: it is a list already ("red and white bands"), and takes no other look beside it.
        trail: what hangs on its noun: a "phrase" ("steam from woks"), an "of", or a "clause" ("a
            curtain lifted by the breeze"); "" for nothing.
    """

    text: str
    head: str
    single: bool
    joins: bool
    trail: str


@cache
def _nouns() -> tuple[frozenset[str], frozenset[str]]:
    return read_words("text/countable"), read_words("text/uncountable")


def _number(word: str) -> str:
    """Whether a noun is "one" thing, "many" or "much"; "" for what may be no noun."""
    countable, uncountable = _nouns()
    word = word.lower().rsplit("-", 1)[-1]
    if word in uncountable:
        return "much"
    if word in countable:
        return "one"
    if word in _IRREGULAR:
        return "many"
    if not word.endswith("s") or _SINGULAR.search(word):
        return "one" if word != stem(word) and stem(word) in countable and word[-1] == "e" else ""
    singular = stem(word)
    known = singular in countable or word[:-1] in countable or singular in uncountable
    return "many" if known or singular not in read_words("text/verbs") else ""


def is_noun(word: str) -> bool:
    """Whether a word is a noun for sure, though it look like a participle: "painting", "bed"."""
    return is_art(word) or word in _LIKE_PARTICIPLES or any(word in nouns for nouns in _nouns())


def is_art(word: str) -> bool:
    """Whether a word says what a picture is made as, and is a thing: "an etching"."""
    return bool(_ART.search(word))


def _is_participle(word: str) -> bool:
    return word in PARTICIPLES or (word.endswith(("ed", "ing")) and not _number(word))


@lru_cache(maxsize=4096)
def look_of(note: str) -> Look | None:
    """The note as it reads behind "with"; None for one that is no noun phrase for sure."""
    said = note.split()
    low = [word.lower() for word in said]
    plain = all(re.fullmatch(r"[^\W_]+(?:['’-][^\W_]+)*", word) for word in said)
    if not said or not plain or len(said) > _LONGEST:
        return None
    if not _STRANGE.isdisjoint(low[:2]) or "with" in low:
        return None
    end = _end_of_head(low)
    if end is None:
        return None
    head, before, behind = low[end - 1], low[: end - 1], low[end:]
    number = _number(head)
    shape = head.rsplit("-", 1)[-1]
    if not number or not _leads(before, number) or (behind and behind[-1] in _UNFINISHED):
        return None
    if shape in _FORMS and "of" not in behind[:1]:
        return None
    single = number == "one" and not (before and before[0] in _QUANTIFIERS)
    bare = not single or (before and before[0] in ARTICLES)
    article = "" if bare else "an " if _VOWEL.match(said[0]) else "a "
    return Look(article + note, stem(shape), number == "one", "and" in low, _trail(behind))


_STRANGE = frozenset("or the than as is are own its no".split())
_UNFINISHED = _PARTICLES | PREPOSITIONS
_HOW = frozenset("back open together low high wide".split())
_DETERMINED = frozenset("the a an its his her their".split())


def _end_of_head(low: list[str]) -> int | None:
    """Number of words up to the noun that the phrase is about."""
    for i in range(1, len(low)):
        if low[i] in PREPOSITIONS or low[i] == "to":
            return i
        if low[i] == "round" and low[i + 1 : i + 2] and low[i + 1] in _DETERMINED:
            return i
        if _is_participle(low[i]) and _number(low[i - 1]):
            # "hair tied back", but "rope wrapped handle" is about a handle.
            follows = low[i + 1] if i + 1 < len(low) else ""
            return i if not follows or follows in PREPOSITIONS | _HOW else None
    return len(low)


def _trail(behind: list[str]) -> str:
    if not behind or behind[0] == "of":
        return "of" if behind else ""
    return "clause" if any(map(_is_participle, behind)) else "phrase"


def _leads(before: list[str], number: str) -> bool:
    """Whether these words may stand in front of a noun, none being a noun or a verb by itself."""
    if "and" in before:
        at = before.index("and")
        first = _number(before[at - 1]) if at else ""
        # "rubber grips and bell" would want two articles.
        if not at or (first == "one") or (first and number == "one"):
            return False
    if _DETERMINED.intersection(before[1:]):
        return False
    return all(
        word == "and"
        or (word.endswith("'s") or _SINGULAR.search(word) or not word.endswith("s"))
        or (i + 1 < len(before) and before[i + 1] == "and")
        for i, word in enumerate(before)
    )
