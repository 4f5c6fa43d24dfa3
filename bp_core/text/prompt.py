"""Prose and syntax of a prompt: parted for the language model, put together again for the host.

Only the target, the section with the subject, is extended or rewritten; sections are parted by
BREAK, AND, the region keywords and the like. Everything else stays byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice
from typing import NamedTuple

from . import remarks
from .fixed import parted
from .inert import inert, tidy
from .reading import plain
from .rendered import PROBE, added, reworded, syntax_of
from .syntax import Piece, ends_comment, leaves_open, split
from .syntax_tables import SYNTAXES
from .weave import weave
from .word_lists import read_lines
from .words import clauses, content_stems

__all__ = ["LONGEST", "Piece", "Prompt", "inert", "parse"]

# Characters of a prompt that is read. No image model reads a tenth of it, and a million brackets
# would take half a minute.
LONGEST = 30_000
_PLACES = 12  # that are tried for an addition: bounds the time
_PUNCTUATION = ",;.!?…，、。；！？"
_OPENING = re.compile(r"\s*([,;.!?]?)")
# Pieces without a share in the picture's description: a tail goes before those at the end.
_SILENT = frozenset(("network", "comment", "newline", "weight", "ending", "end"))
_CLOSING = frozenset(("weight", "ending", "end"))  # must stay behind all else of its section
# What says how good a picture is to be and not what is in it.
_QUALITY = frozenset(read_lines("text/quality"))
_RATING = re.compile(r"score_\w+|(?:rating|source|score)[_:]\w+|(?:19|20)\d\d")
_SEPARATOR_END = re.compile(rf"(?<!--)(?:{SYNTAXES['auto'].separators})$")


class _Place(NamedTuple):
    """Where an addition may go.

    Attributes:
        at: offset in the prompt.
        enclosed: words of the target follow it, so that a comma must part them.
        line: it begins a line of its own.
    """

    at: int
    enclosed: bool = False
    line: bool = False


def parse(prompt: str, syntax: str = "auto") -> Prompt:
    """Part `prompt` into prose and syntax, in linear time; every string is a prompt.

    Args:
        prompt: of more than LONGEST characters all is one piece.
        syntax: of which host, as `Settings.syntax` has it.
    """
    if len(prompt) > LONGEST:
        return Prompt((Piece("expression", prompt),), syntax)
    return Prompt(tuple(split(prompt, syntax)), syntax)


@dataclass(frozen=True)
class Prompt:
    """A parsed prompt; `"".join(piece.text for piece in pieces)` is the prompt itself."""

    pieces: tuple[Piece, ...]
    syntax: str = "auto"

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
    def everything(self) -> str:
        """The words of all sections on one line: what the prompt as a whole is about."""
        return tidy(", ".join(filter(None, (self._words(*section) for section in self._sections))))

    @cached_property
    def free(self) -> str:
        """The words of the target that a rewrite may put otherwise: of clauses of plain prose."""
        return tidy(self._parted[2])

    @cached_property
    def words_alone(self) -> tuple[tuple[int, int], ...]:
        """Stretches of the whole prompt that are plain words of the target, outside all brackets:
        each one piece without syntax."""
        start, end = self._target
        offsets = [0, *accumulate(len(piece.text) for piece in self.pieces)]
        plain = (i for i in range(start, min(end, self._opened)) if self.pieces[i].kind == "prose")
        return tuple((offsets[i], offsets[i + 1]) for i in plain)

    @cached_property
    def free_clauses(self) -> tuple[tuple[int, int], ...]:
        """Stretches of the whole prompt that a rewrite may change: clauses of plain prose, in
        sentences the sentences, with the mark behind each."""
        text, at = str(self), sum(len(piece.text) for piece in self.pieces[: self._target[0]])
        spans = []
        for piece in self._parted[0]:
            at = text.find(piece.text, at)
            if piece.kind == "prose":
                spans.append((at, at + len(piece.text)))
            at += len(piece.text)
        return tuple(spans)

    @property
    def closed(self) -> str:
        """Why nothing may be put beside the prompt, in one line; "" where it may."""
        if not any(piece.kind == "expression" for piece in self.pieces):
            return "" if self._place else remarks.NO_PLACE
        length = sum(len(piece.text) for piece in self.pieces)
        if length > LONGEST:
            return remarks.TOO_LONG.format(f"{length:,}", f"{LONGEST:,}")
        return remarks.EXPRESSION

    @cached_property
    def _readings(self) -> tuple[str, ...]:
        """The words of each piece of the target."""
        start, end = self._target
        return tuple(map(self._plain, self.pieces[start:end]))

    @cached_property
    def _parted(self) -> tuple[list[Piece], list[str], str]:
        """The target as `fixed.parted` has it."""
        start, _ = self._target
        free = max(self._opened, start)  # what an open bracket weights is not reworded
        return parted(self.pieces[start:free], self._readings[: free - start])

    @cached_property
    def _sections(self) -> list[tuple[int, int]]:
        """The ranges of the pieces between separators."""
        borders = [i for i, piece in enumerate(self.pieces) if piece.kind == "separator"]
        return list(zip([0, *(i + 1 for i in borders)], [*borders, len(self.pieces)], strict=True))

    def _words(self, start: int, end: int) -> str:
        return tidy("".join(map(self._plain, self.pieces[start:end])))

    def _plain(self, piece: Piece) -> str:
        return plain(piece, SYNTAXES[self.syntax])

    def _leaves_open(self, piece: Piece) -> bool:
        return leaves_open(piece, SYNTAXES[self.syntax])

    @cached_property
    def _target(self) -> tuple[int, int]:
        """The section to work on, as the range of its pieces: the first that has a subject; failing
        that, the first that has words."""
        if len(self._sections) == 1:
            return self._sections[0]
        spoken = [s for s in self._sections if re.search(r"[^\W_]", self._words(*s))]
        subjects = (s for s in spoken if not _says_quality(self._words(*s)))
        return next(subjects, (spoken or self._sections)[0])

    def expand(self, tail: str, continues: bool = False) -> str:
        """The prompt with `tail` after the last words of the target, outside all brackets.

        The artist's own text stays byte for byte; `tail` is made inert.

        Args:
            continues: the tail goes on from the last word with the punctuation that it begins
                with, if any; otherwise it is another phrase.
        """
        opening, tail, place = _OPENING.match(tail)[1], inert(tail), self._place
        if not tail or place is None:
            return str(self)
        return self._with(tail, place, opening if continues else None)

    def _with(self, tail: str, place: _Place, opening: str | None = None) -> str:
        """The prompt with `tail` at a place; `opening` as of `expand` where it goes on."""
        text = str(self)
        before, after = text[: place.at], text[place.at :]
        if place.line:
            return f"{before}\n{tail}{after}"
        joint, tail = _joint(before, tail)
        if opening is not None and joint == ", ":
            joint = f"{opening} "
            if opening and opening in ".!?":
                tail = tail[0].upper() + tail[1:]
        enclosed = bool(after) and (place.enclosed or self._ends_in_ratio)
        tail = tail.rstrip(".") if enclosed else tail
        if after[:1] not in _PUNCTUATION:  # nor is that empty
            tail += "," * enclosed + " " * (not after[0].isspace())
        return before + joint + tail + after

    @cached_property
    def _place(self) -> _Place | None:
        """The first place where a host reads all of the artist's text as before; None if none. Of
        a prompt with nothing that hosts read differently, the first where we do."""
        text = str(self)
        places = islice(dict.fromkeys(self._places()), _PLACES)
        longer = ((place, self._with(PROBE, place)) for place in places)
        if PROBE in text or not syntax_of(text, self.syntax):
            same = (p for p, new in longer if parse(new, self.syntax).items == self.items)
            return next(same, None) or next(self._places())
        return next((p for p, new in longer if added(text, new, self.syntax)), None)

    def _places(self) -> Iterator[_Place]:
        """Places for an addition, the best first; none behind flags or pasted parameters."""
        text = str(self)
        yield _Place(*self._place_of_tail)
        start, end = self._target
        end = next((i for i in range(start, end) if self.pieces[i].kind == "end"), end)
        offsets = [0, *accumulate(len(piece.text) for piece in self.pieces[:end])]
        carriers = [i for i in range(start, end) if self._carries(self.pieces[i])]
        limit = offsets[end]
        yield _Place(len(text[:limit].rstrip()))
        if end == len(self.pieces):
            yield _Place(limit, line=not text.endswith("\n"))
        for i in reversed(carriers[-_PLACES // 2 :]):
            ended = offsets[i] + len(self.pieces[i].text.rstrip(f" {_PUNCTUATION}"))
            yield _Place(ended, True)
        if carriers:
            first = self.pieces[carriers[0]].text
            yield _Place(offsets[carriers[0]] + len(first) - len(first.lstrip()), True)
        lead = text[offsets[start] : limit]
        yield _Place(offsets[start] + len(lead) - len(lead.lstrip()), True)

    @property
    def _ends_in_ratio(self) -> bool:
        """Whether a phrase of the target stands behind the tail, as a weight would."""
        start, end = self._target
        return any(piece.kind == "ending" for piece in self.pieces[start:end])

    @cached_property
    def _opened(self) -> int:
        """The first piece that leaves a bracket open over words of the target; its end if none."""
        start, end = self._target
        outset = start  # a bracket stays open over BREAK, but not over the other separators
        while outset and not self._is_border(self.pieces[outset - 1]):
            outset -= 1
        opening = (i for i in range(outset, end) if self._leaves_open(self.pieces[i]))
        return next(opening, end)

    @cached_property
    def _place_of_tail(self) -> tuple[int, bool]:
        """Offset of a tail, and whether words of the target follow it in a bracket left open."""
        start, end = self._target
        offsets = [0, *accumulate(len(piece.text) for piece in self.pieces[:end])]
        opened = self._opened
        carriers = [i for i in range(start, end) if self._carries(self.pieces[i])]
        outside = [i for i in carriers if i < opened]
        if outside and self._escapes(outside[-1]):
            return offsets[outside[-1]], False
        if outside:
            last = outside[-1]
            text = self.pieces[last].text
            if self.pieces[last].kind != "prose" and last + 1 < end:
                text += _leading_punctuation(self.pieces[last + 1])
            return offsets[last] + len(text.rstrip()), len(outside) < len(carriers)
        if opened < end:
            return offsets[opened], bool(carriers)
        closing = (i for i in range(start, end) if self.pieces[i].kind in _CLOSING)
        limit = next(closing, end)
        comments = (i for i in range(start, limit) if ends_comment(self.pieces[i]))
        return offsets[max(comments, default=start - 1) + 1], False

    def _escapes(self, i: int) -> bool:
        """Whether a piece ends in a backslash that would take what follows."""
        end = r"(?:^|\s)\\\s*$" if SYNTAXES[self.syntax].escapes_join else r"(?<!\\)(?:\\\\)*\\$"
        return bool(re.search(end, self.pieces[i].text))

    def _is_border(self, piece: Piece) -> bool:
        """Whether no bracket reaches over `piece`: AND and the region keywords, not BREAK."""
        return piece.kind == "separator" and SYNTAXES[self.syntax].is_border(piece.text)

    def _carries(self, piece: Piece) -> bool:
        """Whether `piece` is part of the picture's description, so that a tail goes behind it."""
        if piece.kind == "prose":
            return bool(re.search(rf"[^\s{_PUNCTUATION}]", piece.text))
        opens = piece.kind == "bracket" and self._leaves_open(piece)
        return piece.kind not in _SILENT and not opens

    def rewrite(self, text: str, whole: bool = False) -> str:
        """The prompt with the prose of the target replaced by `text`, which is made inert.

        Clauses that hold an item, a tag, a quotation or a sign stay as they are; they and what is
        no part of a clause go to the phrase boundary nearest to where they stood, in their order.
        Where they would be read otherwise there (signs that were glued together), by us or by the
        host's own grammar, the prompt is returned as it is.

        Args:
            whole: `text` says what those clauses say, too, in another language: items alone stay,
                each in the place of its words or, failing that, where it stood.
        """
        made = self._rewritten(text, whole)
        parsed = parse(made, self.syntax)
        return made if parsed.items == self.items and self._keeps(parsed, text) else str(self)

    def _keeps(self, made: Prompt, text: str) -> bool:
        """Whether a host reads the artist's syntax in a rewrite as before."""
        before, after = str(self), str(made)
        if not (syntax_of(before, self.syntax) or syntax_of(after, self.syntax)):
            return True
        lost = set(content_stems(self.everything)) - set(content_stems(made.everything))
        return reworded(before, after, inert(text), lost, self.syntax)

    def _rewritten(self, text: str, whole: bool) -> str:
        start, end = self._target
        if not whole:
            end = max(self._opened, start)
        before, section, after = self.pieces[:start], self.pieces[start:end], self.pieces[end:]
        pieces, readings, _ = (section, self._readings, "") if whole else self._parted
        last = len(pieces)
        if self._ends_in_ratio and not whole:  # what stands behind it would be no end any more
            fixed = [i for i, piece in enumerate(pieces) if piece.kind == "fixed"]
            last = fixed[-1] if fixed else last
        body = weave(pieces[:last], readings[:last], inert(text))
        if self._ends_in_ratio:
            body = body.removesuffix(",")
        if last < len(pieces):
            body = ", ".join(filter(None, [body, _join(pieces[last:])]))
        lead, trail = _margins(section)
        if end < self._target[1]:  # an open bracket follows
            trail = ", " if str(Prompt(section)).rstrip().endswith(",") and body else trail
        lead = lead or " " * bool(before)
        trail = trail or " " * bool(after)
        return _join(before) + lead + body + trail + _join(after)


def _join(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _says_quality(words: str) -> bool:
    """Whether a section's `words` only say how good the picture is to be."""
    return all(
        clause.lower() in _QUALITY or _RATING.fullmatch(clause.lower()) for clause in clauses(words)
    )


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


def _takes_on(text: str, tail: str) -> bool:
    """Whether what stands behind the colon that ends `text` might be read as a weight or a name."""
    return not tail[0].isalpha() or text.endswith(("::", "embedding:"))


def _joint(before: str, tail: str) -> tuple[str, str]:
    """What to write between `before` and `tail`, and the tail as it reads there."""
    text = before.rstrip()
    if not text or len(text) < len(before):
        return "", tail
    if _SEPARATOR_END.search(text[-20:]):
        return " ", tail
    if text[-1] in ",;，、；：" or (text[-1] == ":" and not _takes_on(text, tail)):
        return " ", tail
    if text.rstrip("\"'”’)»")[-1:] in tuple(".!?…。！？"):
        return " ", tail[0].upper() + tail[1:]
    return ", ", tail
