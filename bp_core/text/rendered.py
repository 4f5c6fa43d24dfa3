"""Whether a host reads the artist's text as before once something was added or reworded.

An addition may change how its host reads what was there: a bracket is no part of an emoticon any
more, a step falls silent, a comment ends later. The grammars tell what is rendered, before and
after.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable
from functools import lru_cache
from itertools import groupby

from . import grammars
from .grammars import PROBE, Reading, Refused, Row
from .words import content_stems

_READERS: dict[str, tuple[Callable[[str], Reading], ...]] = {
    "webui": (grammars.webui, grammars.wildcards),
    "sdnext": (grammars.sdnext,),
    "comfyui": (grammars.comfyui,),
    "invoke": (grammars.invoke,),
}
_SIGNS = {
    "webui": re.compile(r"[()\[\]{}<|\\#/*%$]|__|:\s*[-+]?[.\d]|\b(?:AND|BREAK)\b"),
    "sdnext": re.compile(r"[()\[\]{}<|\\#:]|\bBREAK\b|TE\d"),
    "comfyui": re.compile(r"[()\\/]"),
    "invoke": re.compile(r"[()\[\]<|\"+=\\]|(?<!\w)-|-(?!\w)"),
}
_UNSEEN = re.compile(r"[^\w()\[\]{}|#*]+")
_BRACKETS = re.compile(r"[()\[\]{}]")


def syntax_of(text: str, syntax: str) -> bool:
    """Whether a host could read anything in `text` but words."""
    signs = _SIGNS.get(syntax)
    return signs is not None and bool(signs.search(text))


def added(before: str, after: str, syntax: str) -> bool:
    """Whether a host reads `before` in `after` as it did, and beside it `PROBE`, with no weight."""
    for read in _READERS.get(syntax, ()):
        if (old := _read(read, before)) is None:
            continue
        if (new := _read(read, after)) is None or new.shape != old.shape:
            return False
        rest = [Row(row.text.replace(PROBE, ""), *row[1:]) for row in new.rows]
        if _seen(rest) != _seen(old.rows):
            return False
        told = [row for row in new.rows if PROBE in row.text]
        if len(told) != new.ways or any(row.weight for row in told):
            return False
    return True


def reworded(before: str, after: str, text: str, lost: set[str], syntax: str) -> bool:
    """Whether a host reads the syntax of `before` in `after` as it did, and all that was said.

    Args:
        text: what the rewrite put in, free of syntax.
        lost: stems of words that the rewrite left out.
    """
    said = set(content_stems(text))
    for read in _READERS.get(syntax, ()):
        if (old := _read(read, before)) is None:
            continue
        if (new := _read(read, after)) is None or new.shape != old.shape:
            return False
        strong = [_seen([row for row in reading.rows if row.weight]) for reading in (old, new)]
        if strong[0] != strong[1] or _brackets(old) != _brackets(new):
            return False
        was, now = _stems(old.rows), _stems(new.rows)
        if was.keys() != now.keys():
            return False
        if any(not was[key] - lost <= now[key] <= was[key] | said for key in was):
            return False
        weighted = set().union(*_stems([row for row in old.rows if row.weight]).values())
        light = _stems([row for row in new.rows if not row.weight]).values()
        if not said - weighted <= set().union(*light):
            return False
    return True


@lru_cache(maxsize=4)  # a prompt is read once for all that is tried of it
def _read(read: Callable[[str], Reading], text: str) -> Reading | None:
    try:
        return read(text)
    except Refused:
        return None


def _seen(rows: list[Row]) -> list[Row]:
    """What tells readings apart: letters, figures and brackets, each stretch as long as it is."""
    found = []
    for (section, weight), run in groupby(rows, key=lambda row: row[1:]):
        if text := _UNSEEN.sub("", "".join(row.text for row in run)):
            if found and found[-1][1:] == (section, weight):
                text = found.pop().text + text
            found.append(Row(text, section, weight))
    return found


def _brackets(reading: Reading) -> dict[Hashable, Counter]:
    found: dict[Hashable, Counter] = {}
    for row in reading.rows:
        if signs := _BRACKETS.findall(row.text):
            found.setdefault(row.section, Counter()).update(signs)
    return found


def _stems(rows: list[Row]) -> dict[Hashable, set[str]]:
    texts: dict[Hashable, list[str]] = {}
    for row in rows:
        texts.setdefault(row.section, []).append(row.text)
    stems = {section: set(content_stems(" ".join(said))) for section, said in texts.items()}
    return {section: found for section, found in stems.items() if found}
