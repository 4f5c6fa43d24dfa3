"""Prose and syntax of a prompt: parted for the language model, put together again for the host.

Only the target, the first section that has words, is extended or rewritten; sections are parted by
BREAK, AND and the region keywords. Everything else stays byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from .syntax import SEPARATOR, Piece, ends_comment, inert, leaves_open, plain, split, tidy
from .weave import weave

__all__ = ["Piece", "Prompt", "inert", "parse"]

_PUNCTUATION = ",;.!?…，、。；！？"
_OPENING = re.compile(r"\s*([,;.!?]?)")
# Pieces without a share in the picture's description: a tail goes before those at the end.
_SILENT = frozenset(("network", "comment", "newline", "weight"))


def parse(prompt: str) -> Prompt:
    """Part `prompt` into prose and syntax, in linear time; every string is a prompt."""
    return Prompt(tuple(split(prompt)))


@dataclass(frozen=True)
class Prompt:
    """A parsed prompt; `"".join(piece.text for piece in pieces)` is the prompt itself."""

    pieces: tuple[Piece, ...]

    def __str__(self) -> str:
        return _join(self.pieces)

    @cached_property
    def items(self) -> tuple[str, ...]:
        """The syntax, in order: what has to survive, each once."""
        return tuple(piece.text for piece in self.pieces if piece.kind != "prose")

    @cached_property
    def prose(self) -> str:
        """What a language model reads: the words of the target on one line, syntax taken off."""
        return tidy("".join(self._readings))

    @cached_property
    def _readings(self) -> tuple[str, ...]:
        """The words of each piece of the target."""
        start, end = self._target
        return tuple(map(plain, self.pieces[start:end]))

    @cached_property
    def _target(self) -> tuple[int, int]:
        """The section to work on, as the range of its pieces: the first that has words."""
        borders = [i for i, piece in enumerate(self.pieces) if piece.kind == "separator"]
        start = 0
        for end in [*borders, len(self.pieces)]:
            if any(re.search(r"[^\W_]", plain(piece)) for piece in self.pieces[start:end]):
                return start, end
            start = end + 1
        return 0, borders[0] if borders else len(self.pieces)

    def expand(self, tail: str, continues: bool = False) -> str:
        """The prompt with `tail` after the last words of the target, outside all brackets.

        The artist's own text stays byte for byte; `tail` is made inert.

        Args:
            continues: the tail goes on from the last word with the punctuation that it begins
                with, if any; otherwise it is another phrase.
        """
        text, opening, tail = str(self), _OPENING.match(tail)[1], inert(tail)
        if not tail:
            return text
        at, enclosed = self._place_of_tail
        before, after = text[:at], text[at:]
        joint, tail = _joint(before, tail)
        if continues and joint == ", ":
            joint = f"{opening} "
            if opening and opening in ".!?":
                tail = tail[0].upper() + tail[1:]
        if enclosed:
            tail += "," if after[0].isspace() else ", "
        elif after and not after[0].isspace() and after[0] not in _PUNCTUATION:
            tail += " "
        return before + joint + tail + after

    @cached_property
    def _place_of_tail(self) -> tuple[int, bool]:
        """Offset of a tail, and whether words of the target follow it in a bracket left open."""
        start, end = self._target
        offsets = [0, *accumulate(len(piece.text) for piece in self.pieces[:end])]
        outset = start  # a bracket stays open over BREAK, but not over the other separators
        while outset and not _is_border(self.pieces[outset - 1]):
            outset -= 1
        opened = next((i for i in range(outset, end) if leaves_open(self.pieces[i])), end)
        carriers = [i for i in range(start, end) if _carries(self.pieces[i])]
        outside = [i for i in carriers if i < opened]
        if outside:
            last = outside[-1]
            text = self.pieces[last].text
            if self.pieces[last].kind != "prose" and last + 1 < end:
                text += _leading_punctuation(self.pieces[last + 1])
            return offsets[last] + len(text.rstrip()), len(outside) < len(carriers)
        if opened < end:
            return offsets[opened], bool(carriers)
        comments = (i for i in range(start, end) if ends_comment(self.pieces[i]))
        return offsets[max(comments, default=start - 1) + 1], False

    def rewrite(self, text: str) -> str:
        """The prompt with the prose of the target replaced by `text`, which is made inert.

        An item with words takes the place of its words in `text`; another one, or one whose words
        are gone, goes to the phrase boundary nearest to where it stood. All keep their order.
        """
        start, end = self._target
        before, section, after = self.pieces[:start], self.pieces[start:end], self.pieces[end:]
        body = weave(section, self._readings, inert(text))
        lead, trail = _margins(section)
        lead = lead or " " * bool(before)
        trail = trail or " " * bool(after)
        return _join(before) + lead + body + trail + _join(after)


def _join(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _is_border(piece: Piece) -> bool:
    """Whether no bracket reaches over `piece`: AND and the region keywords, not BREAK."""
    return piece.kind == "separator" and piece.text != "BREAK"


def _carries(piece: Piece) -> bool:
    """Whether `piece` is part of the picture's description, so that a tail goes behind it."""
    if piece.kind == "prose":
        return bool(re.search(rf"[^\s{_PUNCTUATION}]", piece.text))
    return piece.kind not in _SILENT and not (piece.kind == "bracket" and leaves_open(piece))


def _margins(section: tuple[Piece, ...]) -> tuple[str, str]:
    """The white space at both ends of a section."""
    ends = section[:1] + section[-1:]
    lead, trail = "", ""
    if ends and ends[0].kind == "prose":
        lead = ends[0].text[: len(ends[0].text) - len(ends[0].text.lstrip())]
    if ends and ends[-1].kind == "prose" and not ends[-1].text.isspace():
        trail = ends[-1].text[len(ends[-1].text.rstrip()) :]
    return lead, trail


def _leading_punctuation(piece: Piece) -> str:
    match = re.match(rf"\s*[{_PUNCTUATION}]+", piece.text) if piece.kind == "prose" else None
    return match.group() if match else ""


def _joint(before: str, tail: str) -> tuple[str, str]:
    """What to write between `before` and `tail`, and the tail as it reads there."""
    text = before.rstrip()
    if not text or len(text) < len(before):
        return "", tail
    if re.search(rf"(?<!--){SEPARATOR}$", text[-20:]):
        return " ", tail
    if text[-1] in ",;，、；":
        return " ", tail
    if text.rstrip("\"'”’)»")[-1:] in tuple(".!?…。！？"):
        return " ", tail[0].upper() + tail[1:]
    return ", ", tail
