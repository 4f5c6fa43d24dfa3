"""What no model may add, however well it writes: names, NSFW terms, somebody nobody asked for, what
was said already and its plainest opposites."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from ..text.word_lists import read_lines, read_words
from ..text.words import NEGATIONS, STOPWORDS, content_stems, stem, words

_DANGLING = read_words("rules/dangling")
_PERSONS = frozenset(map(stem, read_words("rules/persons")))
_ROLES = frozenset(map(stem, read_words("rules/roles")))
_ANYBODY = _PERSONS | _ROLES | frozenset(map(stem, read_words("rules/beings")))
_OPPOSITES = tuple(
    tuple(f" {side.strip()} " for side in line.split("|")) for line in read_lines("rules/opposites")
)
# What makes a picture somebody's, if it is nobody's yet.
_FRAMINGS = frozenset(map(stem, "portrait portraiture selfie headshot mugshot".split()))
_LOOKS = re.compile(
    r"\b(?:beautiful|gorgeous|pretty|cute|lovely|attractive|symmetrical|perfect|flawless) "
    r"(?:face|eyes?|skin|lips?|body|smile|hair)\b"
    r"|\b(?:long|short|curly|wavy|flowing|blonde?) hair\b"
)
# Whose they are is in the picture: a woman's face, but not a child's bed.
_PARTS = frozenset(
    "arm back body cheek eye face finger foot gaze hair hand head leg lip neck profile shadow "
    "shoulder silhouette skin smile torso".split()
)
# Danbooru's tags for who is there: "1girl", "multiple boys".
_COUNTED = re.compile(r"(?:\b\d+\+?|\bmultiple )(?:girl|boy|other)s?\b")
_SEVERAL = re.compile(r"\b(?:[2-9]\+?|multiple )(?:girl|boy|other)s?\b|\b(?:girls|boys)\b")
# Nobody is there, whatever the words say by themselves.
_NOBODY = re.compile(
    r"\bfigure(?: |-)(?:of(?: |-))?(?:eight|8)s?\b|\bfirst[ -]person\b|\bpainted lad(?:y|ies)\b"
    r"|\bm[ae]n[ -](?:made|sized|high)\b|\b(?:one|two|three)-m[ae]n\b"
    r"|\bmother[ -]of[ -]pearl\b"
    r"|\bportrait (?:orientation|format|mode|lens)\b|\b(?:animal|pet|wildlife) portrait"
    r"|\b(?:figure|life) (?:skat|draw|paint)ing\b|\bcrowds? (?=(?:the|its|an?|each|every)\b)"
)
_NUMBERS = frozenset("2 3 4 5 6 7 8 9 couple crowd family several".split())
_PAIRED = re.compile(r"\b(\w+)(?: |-)(?:by|to|after|upon|against|in)(?: |-)\1\b")
_SINGLE = frozenset("a an one another single lone each".split())


def adds_somebody(clause: str, raw: str) -> bool:
    """Whether `clause` names a person whom `raw` does not name, or makes a portrait of nobody."""
    clause, raw = clause.lower(), raw.lower()
    present = set(_stems(raw))
    if any(not _is_there(tag[0], raw, present) for tag in _COUNTED.finditer(clause)):
        return True
    present.update(kind for tag in _COUNTED.findall(raw) for kind in re.findall("girl|boy", tag))
    named = set(_persons(_NOBODY.sub(" ", _COUNTED.sub(" ", clause))))
    framings, named = named & _FRAMINGS, named - _FRAMINGS
    if named - present:
        return True
    about = present.intersection(content_stems(clause)) | present & (_ANYBODY | _FRAMINGS)
    return bool(framings or _LOOKS.search(clause)) and not about and not _COUNTED.search(raw)


def _is_there(tag: str, raw: str, present: set[str]) -> bool:
    """Whether a tag like "1girl" counts only those whom `raw` names, with these stems."""
    if tag in raw:
        return True
    many = not tag.startswith("1")
    if _COUNTED.search(raw):
        return tag.startswith("multiple") and any(
            re.search("girl|boy|other", tag)[0] in several for several in _SEVERAL.findall(raw)
        )
    return bool(present & _ANYBODY) and (not many or _has_several(raw, present))


def _has_several(raw: str, present: set[str]) -> bool:
    """Whether `raw`, whose stems are `present`, may speak of more than one person."""
    plural = any(word != stem(word) for word in words(raw) if stem(word) in _ANYBODY)
    return bool(present & _NUMBERS) or plural or bool(_SEVERAL.search(raw))


def _persons(text: str) -> Iterator[str]:
    """Stems of the words of `text` that stand for somebody in the picture, and of framings."""
    spoken = words(text)
    for i, word in enumerate(spoken):
        # "Crowded roofs" and "a manned post" are no crowd and no man.
        name = "" if word.endswith(("ed", "ing")) else stem(word)
        if not NEGATIONS.isdisjoint(spoken[max(0, i - 2) : i]):
            continue
        following = spoken[i + 1] if i + 1 < len(spoken) else ""
        if name in _FRAMINGS:
            yield name
        elif name in _PERSONS or name in _ROLES:
            if stem(following) in _PARTS:
                yield name
            elif word.endswith("'s"):
                continue
            elif name in _PERSONS or _is_subject(spoken[max(0, i - 3) : i], following):
                yield name


def _is_subject(before: Sequence[str], following: str) -> bool:
    """Whether a name between these words is a thing of its own: "a guy in a hat", not "guy ropes".

    What follows a name is its own doing ("walking", "dressed", "a child runs") or no name at all.
    """
    if not following or following in STOPWORDS or following.endswith(("ing", "ed")):
        return True
    return following.endswith("s") and not _SINGLE.isdisjoint(before) and "of" not in before


def contradicts(clause: str, raw: str, before: Iterable[str] = ()) -> bool:
    """Whether `clause` says the opposite of `raw` or of what was taken before it: "outdoors" behind
    "indoors", "red hair" behind "long hair, black hair". Who asks for both gets both."""
    said, known = _spaced(clause), _known(raw) + _spaced(" , ".join(before))
    for line in _OPPOSITES:
        here = {side for side in line if side in said}
        there = {side for side in line if side in known}
        if len(here) == len(there) == 1 and here != there:
            about_one = line[0].endswith((" hair ", " eyes "))
            if not (about_one and _has_several(raw.lower(), set(_stems(raw.lower())))):
                return True
    return False


def _spaced(text: str) -> str:
    return f" {' '.join(words(text))} "


# A prompt is asked about for each phrase: it is read once.
_known = lru_cache(maxsize=4)(_spaced)


@lru_cache(maxsize=4)
def _stems(text: str) -> frozenset[str]:
    return frozenset(map(stem, words(text)))


def permitted(
    phrases: Sequence[str],
    raw: str,
    blocked: Callable[[str], object] | None = None,
    before: Iterable[str] = (),
) -> list[str]:
    """Those of `phrases` that may follow `raw`, in order.

    Left out: phrases that `blocked` refuses, that bring in somebody, that say nothing beyond the
    prompt and the phrases before them or three words of one in a row, that contradict them, that
    have a word twice, and those that are not whole.

    Args:
        before: phrases that were taken already.
    """
    before = list(before)
    said = set(content_stems(" ".join([raw, *before])))
    runs = {run for phrase in before for run in three_word_runs(phrase)}
    taken: list[str] = []
    for phrase in phrases:
        stems, new_runs = set(content_stems(phrase)), set(three_word_runs(phrase))
        if stems <= said or runs & new_runs or adds_somebody(phrase, raw):
            continue
        if stammers(phrase) or malformed(phrase) or (blocked is not None and blocked(phrase)):
            continue
        if contradicts(phrase, raw, [*before, *taken]):
            continue
        said |= stems
        runs |= new_runs
        taken.append(phrase)
    return taken


def stammers(phrase: str) -> bool:
    """True when `phrase` has a content word or three words twice, or any word twice in a row.

    "Side by side" and "jar after jar" do not stammer.
    """
    phrase = _PAIRED.sub(r"\1", phrase.lower())
    repeated = any(
        len(set(said)) < len(said) for said in (content_stems(phrase), three_word_runs(phrase))
    )
    return repeated or any(a == b for a, b in pairwise(words(phrase)))


def malformed(phrase: str) -> bool:
    """True when `phrase` is not whole: "trending on", "24"."""
    return not any(map(str.isalpha, phrase)) or not _DANGLING.isdisjoint(words(phrase)[-1:])


def three_word_runs(text: str) -> list[tuple[str, ...]]:
    """Every three words in a row of `text`: two phrases that share one sound like an echo."""
    spoken = words(text)
    return [tuple(spoken[i : i + 3]) for i in range(len(spoken) - 2)]
