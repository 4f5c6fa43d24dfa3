"""Which phrases a model may add to a prompt: the same rule cleans training data and rewrites."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from ..text.word_lists import read_lines, read_words
from ..text.words import content_stems, words
from .scene import (
    DEPTH_OF_FIELD,
    GOLDEN_HOUR,
    adds_people,
    adds_place,
    contradicts,
    lacks_ground,
)

_DANGLING = read_words("rules/dangling")
_UNFINISHED = read_words("rules/unfinished")
_INTENSIFIERS = read_words("rules/intensifiers")
# "Very realism", "highly lens": an adverb wants an adjective, by its ending or by the list.
_ADVERBS = _INTENSIFIERS - {"ultra", "super", "hyper"}
_ENDINGS = tuple("ic ed ful al ive ous ant ent ing less able ible ate ine ly like".split())
_ADJECTIVES = read_words("rules/adjectives")
_BETWEEN = _INTENSIFIERS | {"and", "high", "well", "photo", "so"}
# Nobody wears them, nor has them twice.
_BODY_PARTS = frozenset("hair face eyes skin lips smile body".split())
# "Medium length" of what? Full length is a framing.
_LENGTHS = frozenset("short medium long shoulder waist".split())
_MEASURED = frozenset("hair haired beard dress skirt coat gown cape robe".split())
# The first name of a thing for each of its names.
_FIRST_NAMES = {
    name: line.split()[0] for line in read_lines("rules/synonyms") for name in content_stems(line)
}
_ONCE = frozenset(_FIRST_NAMES.values())
# Words that are one name together.
_JOINED = (
    (re.compile(r"\bcg society\b"), "cgsociety"),
    (DEPTH_OF_FIELD, "bokeh"),
    (re.compile(r"\bsunny (?:weather|day)\b"), "sunny"),
    (re.compile(r"\bunreal engine\b"), "unreal"),
    (GOLDEN_HOUR, "sunset"),
)


def unasked(clause: str, raw: str, before: Sequence[str] = ()) -> bool:
    """True when `clause` changes what `raw` is a picture of, or contradicts it.

    Args:
        before: phrases added before it, which it must not contradict either.
    """
    adds = adds_people(clause, raw) or adds_place(clause, raw) or lacks_ground(clause, raw)
    return adds or contradicts(clause, [raw, *before])


def admissible(
    phrases: Sequence[str], raw: str, blocked: Callable[[str], bool] | None = None
) -> list[str]:
    """Those of `phrases` that may follow `raw`, in order.

    Left out are phrases that
    - `blocked` refuses;
    - repeat a content word of `raw`, or one of their own;
    - name again, in whatever words, what is named once (realism, size, praise);
    - say only what the prompt or an earlier phrase says, only louder;
    - say all of an earlier phrase once more, or three words of it in a row;
    - say "very" (or another such word) a second time;
    - describe the same part of somebody a second time;
    - bring in a person, a place, plants or a temper for which the prompt gives no ground;
    - contradict the prompt or an earlier phrase;
    - have no content word, or are malformed ("trending on").
    """
    raw_stems = frozenset(content_stems(raw))
    # What the prompt and the admitted phrases name, and which words and runs they have.
    things = set(_things(raw))
    once: set[str] = set()
    intensifiers: set[str] = set()
    body_parts: set[str] = set()
    runs: set[tuple[str, ...]] = set()
    earlier: list[set[str]] = []
    admitted: list[str] = []
    for clause in phrases:
        stems, spoken = content_stems(clause), words(clause)
        loud, parts = _INTENSIFIERS.intersection(spoken), _BODY_PARTS.intersection(spoken)
        named = set(_things(" ".join(w for w in spoken if w not in _INTENSIFIERS)) or stems)
        if not stems or raw_stems.intersection(stems) or things.issuperset(named):
            continue
        if intensifiers & loud or body_parts & parts or once & named:
            continue
        if (
            stammers(clause)
            or malformed(clause)
            or any(phrase.issubset(named) for phrase in earlier)
        ):
            continue
        if unasked(clause, raw, admitted):
            continue
        if blocked is not None and blocked(clause):
            continue
        new_runs = three_word_runs(clause)
        if runs.intersection(new_runs) or len(set(new_runs)) < len(new_runs):
            continue
        things |= named
        once |= named & _ONCE
        intensifiers |= loud
        body_parts |= parts
        runs.update(new_runs)
        earlier.append(named)
        admitted.append(clause)
    return admitted


def _things(text: str) -> list[str]:
    """Content stems of `text`, all names of one thing as one."""
    text = text.lower()
    for pattern, name in _JOINED:
        text = pattern.sub(name, text)
    return [_FIRST_NAMES.get(stem, stem) for stem in content_stems(text)]


def stammers(phrase: str) -> bool:
    """True when `phrase` has a content word twice, or any word twice in a row."""
    stems, spoken = content_stems(phrase), words(phrase)
    return len(set(stems)) < len(stems) or any(a == b for a, b in pairwise(spoken))


def malformed(phrase: str) -> bool:
    """True when `phrase` (with a word in it) is not whole: "trending on", "very realism"."""
    spoken = words(phrase)
    *_, before, last = ["", *spoken]
    return (
        last in _DANGLING
        or not any(map(str.isalpha, phrase))  # "24"
        or (last in _UNFINISHED and before in ("a", "an", "the"))
        or any(a in _ADVERBS and not _adjectival(b) for a, b in pairwise(spoken))
        or (last in _BODY_PARTS and "wearing" in spoken)
        or any(
            a in _LENGTHS and b == "length" and c not in _MEASURED
            for a, b, c in zip(spoken, spoken[1:], [*spoken[2:], ""], strict=False)
        )
        or any(w.startswith("very") and w != "very" for w in spoken)
    )


def _adjectival(word: str) -> bool:
    """Whether `word` may follow "very": an adjective, or what leads to one."""
    return word in _ADJECTIVES or word in _BETWEEN or word.endswith(_ENDINGS)


def three_word_runs(text: str) -> list[tuple[str, ...]]:
    """Every three words in a row of `text`: two phrases that share one sound like an echo."""
    spoken = words(text)
    return [tuple(spoken[i : i + 3]) for i in range(len(spoken) - 2)]
