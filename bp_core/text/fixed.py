"""Clauses that a rewrite leaves as they are: those with syntax, tags, quotations or signs."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from .literals import is_signed, literals
from .syntax import Piece
from .words import CLAUSE_END

# Kinds that stand for themselves and not for a part of a clause.
_APART = frozenset("network comment newline weight end bracket separator".split())
_FULL_STOP = frozenset(".!?。！？")


def parted(section: Sequence[Piece], readings: Sequence[str]) -> tuple[list[Piece], list[str], str]:
    """A section's pieces with every clause that must stay made one "fixed" piece.

    A clause stays that has a piece of syntax or a literal (see `literals`); of prose in sentences,
    the whole sentence. Neighbours that stay are one piece with what parts them.

    Args:
        readings: the words of each piece.

    Returns:
        The pieces, the words of each as `weave` matches them, and the plain prose.
    """
    text = "".join(piece.text for piece in section)
    ends = [0, *accumulate(len(piece.text) for piece in section)]
    held = [_held(mark, text) for mark in literals(text) if is_signed(mark)]
    units = _units(section, ends, text)
    pieces: list[Piece] = []
    words: list[str] = []
    prose = ""
    stretches: list[tuple[int, int]] = []
    at_mark = 0
    for start, end, apart in units:
        if apart:
            i = bisect_right(ends, start) - 1
            pieces.append(section[i])
            words.append(readings[i])
            prose += readings[i]
            continue
        while at_mark < len(held) and held[at_mark][1] <= start:
            at_mark += 1
        marked = at_mark < len(held) and held[at_mark][0] < end
        first, last = bisect_right(ends, start) - 1, bisect_right(ends, end - 1)
        fixed = marked or any(piece.kind != "prose" for piece in section[first:last])
        kind = "fixed" if fixed else "prose"
        if pieces and fixed and pieces[-1].kind == "fixed":
            start = stretches.pop()[0]
            pieces.pop()
        else:
            words.append("" if fixed else text[start:end])
        pieces.append(Piece(kind, text[start:end]))
        if fixed:
            stretches.append((start, end))
            prose += " " if prose.rstrip().endswith(tuple(_FULL_STOP)) else ", "
        else:
            prose += text[start:end]
    trimmed = iter([_trimmed(section, ends, text, *stretch) for stretch in stretches])
    stays = [Piece("fixed", next(trimmed)) if p.kind == "fixed" else p for p in pieces]
    full = [i for i, piece in enumerate(stays) if piece.text]  # one may have been commas alone
    return [stays[i] for i in full], [words[i] for i in full], prose


def _held(mark: re.Match, text: str) -> tuple[int, int]:
    """The stretch that a literal holds; behind "//" ComfyUI's page may leave out the line."""
    if "//" not in mark.group() or mark.lastgroup == "quoted":
        return mark.span()
    end = text.find("\n", mark.end())
    return mark.start(), end if end >= 0 else len(text)


def _trimmed(section: Sequence[Piece], ends: list[int], text: str, start: int, end: int) -> str:
    """`text[start:end]` without commas and spaces at its ends, where they are prose."""
    first = section[bisect_right(ends, start) - 1]
    last = section[bisect_right(ends, end - 1) - 1]
    body = text[start:end]
    body = body.lstrip(" \t,;") if first.kind == "prose" else body
    return body.rstrip(" \t,;") if last.kind == "prose" else body


def _units(section: Sequence[Piece], ends: list[int], text: str) -> list[tuple[int, int, bool]]:
    """Stretches of `text` that stay or go as a whole: clauses, or sentences; pieces that stand
    apart from both are marked."""
    cuts: list[tuple[int, bool]] = []  # where a unit ends, and whether a sentence does
    for match in CLAUSE_END.finditer(text):
        i = bisect_right(ends, match.start()) - 1
        if section[i].kind == "prose":
            cuts.append((match.end(), match.group() in _FULL_STOP))
    units: list[tuple[int, int, bool]] = []
    run = 0
    k = 0
    borders = [i for i, piece in enumerate(section) if piece.kind in _APART]
    for i in [*borders, len(section)]:
        limit = ends[i]
        inner: list[tuple[int, bool]] = []
        while k < len(cuts) and cuts[k][0] <= limit:
            inner.append(cuts[k])
            k += 1
        units += _stretches(run, limit, inner)
        if i < len(section):
            units.append((ends[i], ends[i + 1], True))
            run = ends[i + 1]
    return units


def _stretches(start: int, limit: int, cuts: list[tuple[int, bool]]) -> list[tuple[int, int, bool]]:
    """The clauses of `start:limit`; those of a sentence that ends in a full stop as one."""
    units: list[tuple[int, int, bool]] = []
    last_stop = max((at for at, stop in cuts if stop), default=start)
    for at, stop in cuts:
        if stop or at > last_stop:
            if at > start:
                units.append((start, at, False))
            start = at
    if limit > start:
        units.append((start, limit, False))
    return units
