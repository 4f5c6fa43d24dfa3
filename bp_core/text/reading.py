"""The words of a prompt's syntax, as the image model would meet them."""

from __future__ import annotations

import re

from .syntax import GLUED, OPENING, Piece, tokens_of
from .syntax_tables import Syntax


class _Frame:
    """An open bracket while `plain` reads: where its words began and which of them to keep."""

    def __init__(self, opening: str, start: int) -> None:
        self.opening, self.start = opening, start
        self.filled = False  # has words
        self.pipe = self.colon = None  # where the first alternative, the first state ended
        self.last_colon = -1
        self.choice = opening in ("${", "%{")

    def mark(self, sign: str, at: int) -> None:
        if sign == "|":
            self.choice = True
            if self.pipe is None and self.filled:
                self.pipe = at
        else:
            self.last_colon = at
            if self.colon is None and self.filled:
                self.colon = at

    def close(self, out: list[str]) -> None:
        """Drop from `out` what is no word: weight, step, further alternatives, random choices."""
        weight = self.last_colon >= 0 and len(out) - self.last_colon <= 2
        weight = weight and re.fullmatch(r":\s*[-+]?[\d.]+\s*", "".join(out[self.last_colon :]))
        if self.opening in ("{", "${", "%{"):
            if self.choice:
                del out[self.start :]
        elif self.opening == "[" and self.pipe is not None:
            del out[self.pipe :]
        elif weight:
            keep_first = self.opening == "[" and self.colon is not None
            del out[self.colon if keep_first else self.last_colon :]


_SUFFIX = re.compile(r"(?<=\))(?:\d*\.\d+|\++|-+)(?!\w)")
_AS_WRITTEN = frozenset("prose hash number tag ending emoticon flag link".split())


def plain(piece: Piece, syntax: Syntax) -> str:
    """The words of `piece` as the image model would meet them, syntax taken off.

    A schedule or an alternation is read as its first state (the one that lays out the picture),
    a random choice, a wildcard, a network or an embedding as nothing.
    """
    if piece.kind in _AS_WRITTEN:
        return piece.text
    if piece.kind in GLUED:
        text = _SUFFIX.sub("", piece.text) if syntax.suffix else piece.text
        return _read(text, syntax)
    return " " * (piece.kind != "network")


def _read(text: str, syntax: Syntax) -> str:
    out: list[str] = []
    frames: list[_Frame] = []
    at = 0
    for kind, sign, start, end in tokens_of(text, syntax):
        parts = frames and kind in ("number", "tag", "multi", "emoticon")  # a weight from the words
        _read_words(text[at : end if parts else start], out, frames)
        at = end
        if parts:
            continue
        if kind in _AS_WRITTEN or kind == "escape":
            out.append(sign[kind == "escape" :])
        elif kind == "plus":
            out.append("" if syntax.suffix else sign)
        elif kind == "multi":
            out.append(re.sub(r"[-+]?[\d.]*::\s?(?:[-+]?[\d.]+$)?", "", sign))
        elif kind != "bracket":
            out.append(" " * (kind != "network"))
        elif sign in OPENING:
            frames.append(_Frame(sign, len(out)))
        elif frames and OPENING[frames[-1].opening] == sign:
            frame = frames.pop()
            frame.close(out)
            if frames and frame.filled and len(out) > frame.start:
                frames[-1].filled = True
    _read_words(text[at:], out, frames)
    return "".join(out)


def _read_words(chunk: str, out: list[str], frames: list[_Frame]) -> None:
    """Append `chunk` to `out`, marking the colons and bars of the innermost bracket."""
    if not frames:
        out.append(chunk)
        return
    frame = frames[-1]
    if frame.opening == "{" and ("$$" in chunk or chunk.startswith("%")):
        frame.choice = True
    for part in re.split(r"([:|])", chunk):
        if part in (":", "|"):
            frame.mark(part, len(out))
        elif part.strip():
            frame.filled = True
        if part:
            out.append(part)
