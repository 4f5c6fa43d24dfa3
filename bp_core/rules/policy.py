"""What no model may add, however well it writes: names, NSFW terms, somebody nobody asked for, and
what was said already.

A model that was taught what suits a prompt needs no more than this; `admissible` holds the many
rules for one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..text.words import content_stems, stem, words
from .admissible import malformed, stammers, three_word_runs

# Words for somebody in the picture. Parts of a body and clothes are none: a table has legs.
_SOMEBODY = frozenset(
    map(
        stem,
        "woman man girl boy guy lady gentleman child kid baby toddler teenager adult person people "
        "human somebody someone figure family couple crowd audience onlooker spectator bystander "
        "passerby passersby pedestrian tourist visitor worker walker selfie 1girl 1boy 2girls "
        "2boys".split(),
    )
)
# What says that there is nobody, and a figure of eight.
_NOBODY = ("no humans", "no people", "nobody", "figure of")


def adds_somebody(clause: str, raw: str) -> bool:
    """Whether `clause` names a person whom `raw` does not name."""
    low = clause.lower()
    if any(name in low for name in _NOBODY):
        return False
    return not _SOMEBODY.isdisjoint(set(map(stem, words(clause))) - set(map(stem, words(raw))))


def permitted(
    phrases: Sequence[str],
    raw: str,
    blocked: Callable[[str], object] | None = None,
    before: Iterable[str] = (),
) -> list[str]:
    """Those of `phrases` that may follow `raw`, in order.

    Left out: phrases that `blocked` refuses, that bring in somebody, that say nothing beyond the
    prompt and the phrases before them or three words of one in a row, that have a word twice, and
    those that are not whole.

    Args:
        before: phrases that were taken already.
    """
    said = set(content_stems(" ".join([raw, *before])))
    runs = {run for phrase in before for run in three_word_runs(phrase)}
    taken: list[str] = []
    for phrase in phrases:
        stems, new_runs = set(content_stems(phrase)), set(three_word_runs(phrase))
        if stems <= said or runs & new_runs or adds_somebody(phrase, raw):
            continue
        if stammers(phrase) or malformed(phrase) or (blocked is not None and blocked(phrase)):
            continue
        said |= stems
        runs |= new_runs
        taken.append(phrase)
    return taken
