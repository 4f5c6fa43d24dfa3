"""How hosts read a prompt: grammars of a few lines each, told in our own words.

Each takes a prompt and returns what its host renders of it, in linear time. `Row.weight` tells
weights apart and not what they come to. The hosts' sources are named in `syntax_tables.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator
from itertools import groupby
from typing import NamedTuple

#: A word that no prompt has: where it is read, an addition would be.
PROBE = "ꙮꙮ"


class Row(NamedTuple):
    """A stretch of text that is rendered alike.

    Attributes:
        text: without the syntax.
        section: a part of the prompt, or one of several ways in which the host may read it.
        weight: what weights it, of no meaning but that equal ones are equal; 0 for nothing.
    """

    text: str
    section: Hashable
    weight: Hashable


class Reading(NamedTuple):
    """What is rendered, in order; what says at which steps; in how many ways it may be read."""

    rows: list[Row]
    shape: Hashable
    ways: int = 1


class Refused(Exception):
    """The host refuses the prompt."""


_DEEPEST = 64  # brackets in brackets that ComfyUI is followed into

# AUTOMATIC1111 and SD.Next: steps ---------------------------------------------------------------

_STRUCTURE = re.compile(r"\\.|[()\[\]:|]|\\|[^\\()\[\]:|]+")
_NUMBER = re.compile(r"\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\s*")
_TOUCHED = re.compile(r"\][()\[:]+")
_STEP = re.compile(r":\s*[-+]?[\d.]+(?:[eE][-+]?\d+)?\s*\]")


def _steps(text: str) -> str:
    """What says at which steps words are rendered: brackets, colons, bars, the numbers of steps.

    What is said between them does not count, but how many signs touch a square bracket's end does:
    two may make it no schedule. A backslash before nothing ends all schedules.
    """
    if "[" not in text or not ("|" in text or _STEP.search(text)):
        return ""
    signs: list[str] = []
    for match in _STRUCTURE.finditer(text):
        sign = match.group()
        if sign in "()[]:|":
            signs.append(sign)
        elif sign == "\\":
            signs.append("x")
        elif signs and signs[-1] == ":" and text[match.end() : match.end() + 1] == "]":
            signs.append(sign.strip() if _NUMBER.fullmatch(sign) else "p")
        elif not signs or signs[-1] != "p":
            signs.append("p")
    skeleton = "".join(signs)
    touched = _TOUCHED.sub(lambda match: f"]{len(match[0]) - 1}", skeleton)
    return touched.replace("p", "")


def _stepped(text: str, steps: str) -> str:
    """`text` with what is no BREAK any more once steps are told: it touches a word of theirs."""
    return _GLUED_BREAK.sub("break", text) if steps else text


# AUTOMATIC1111 ----------------------------------------------------------------------------------

_NETWORK = re.compile(r"<\w+:[^>]+>")
_HASH_COMMENT = re.compile(r"#[^\n]*\n?")
_AND = re.compile(r"\bAND\b")
_AND_WEIGHT = re.compile(r":\s*([-+]?(?:\d+\.?|\d*\.\d+))$")
_BREAK = re.compile(r"\bBREAK\b")
_GLUED_BREAK = re.compile(r"(?<=\])BREAK\b|\bBREAK(?=\[)")
_WEIGHING = re.compile(
    r"(?P<escape>\\[\\()\[\]]?)|(?P<open>[(\[])|:\s*(?P<weight>[-+]?[.\d]+)\s*\)|(?P<close>[)\]])"
    r"|[^\\()\[\]:]+|:"
)


class _Weights:
    """Rows whose weights are told later, as brackets close."""

    def __init__(self) -> None:
        self.texts: list[list[str]] = []
        self.sections: list[Hashable] = []
        self._opened: dict[str, list[int]] = {"(": [], "[": []}
        self._changes: Counter[int] = Counter()

    def add(self, text: str, section: Hashable) -> None:
        self.texts.append([text])
        self.sections.append(section)

    def open(self, bracket: str) -> None:
        self._opened[bracket].append(len(self.texts))

    def close(self, bracket: str, weight: str = "", lenient: bool = False) -> bool:
        """Weight what stands behind the last such bracket; False if none is open.

        Args:
            weight: a number as it is written, "" for the bracket's own.
            lenient: one that is none weights nothing; else it is refused.
        """
        if not self._opened[bracket]:
            return False
        start = self._opened[bracket].pop()
        if not weight:
            self._weigh(start, bracket)
        elif _NUMBER.fullmatch(weight):
            self._weigh(start, float(weight))
        elif not lenient:
            raise Refused
        return True

    def _weigh(self, start: int, weight: str | float) -> None:
        if weight != 1:  # sums of hashes are equal where the same brackets enclose
            self._changes[start] += hash(weight)
            self._changes[len(self.texts)] -= hash(weight)

    def rows(self) -> list[Row]:
        for bracket, opened in self._opened.items():
            for start in opened:
                self._weigh(start, bracket)
        weight, rows = 0, []
        for i, (text, section) in enumerate(zip(self.texts, self.sections, strict=True)):
            weight += self._changes[i]
            rows.append(Row("".join(text), section, weight))
        return rows


def _without_networks(text: str) -> tuple[str, tuple[str, ...]]:
    """A text without its networks, and these."""
    end = text.rfind(">") + 1  # behind which each "<" would be sought an end for
    body = text[:end]
    return _NETWORK.sub("", body) + text[end:], tuple(_NETWORK.findall(body))


def webui(prompt: str) -> Reading:
    """AUTOMATIC1111: comments and networks off; by AND, then by brackets."""
    text, networks = _without_networks(_HASH_COMMENT.sub("\n", prompt))
    rows: list[Row] = []
    shape: list[Hashable] = [networks]
    for number, part in enumerate(_AND.split(text)):
        body, weight = part.rstrip(), ""
        if match := _AND_WEIGHT.search(body, max(0, len(body) - 64)):
            body, weight = body[: match.start()], match[1]
        steps = _steps(body)
        shape.append((steps, weight))
        body = _stepped(body, steps)
        weights, breaks = _Weights(), 0
        for match in _WEIGHING.finditer(body):
            sign = match.group()
            if match["escape"]:
                weights.add(sign[1:], ("", number, breaks))
            elif match["open"]:
                weights.open(sign)
            elif not (
                (match["weight"] and weights.close("(", match["weight"]))
                or (match["close"] and weights.close("(" if sign == ")" else "["))
            ):
                for i, piece in enumerate(_BREAK.split(sign)):
                    breaks += bool(i)
                    weights.add(piece, ("", number, breaks))
        shape.append(breaks)
        rows += weights.rows()
    return Reading(rows, tuple(shape))


# dynamicprompts, in AUTOMATIC1111 ---------------------------------------------------------------

_CHOICES = re.compile(r"[$%]?\{|\}|__|\#|[$%]")
_BRACE = re.compile(r"[{}]")
_IGNORED = re.compile(r"\s*(?:(?:\#|//)[^\n]*|(?P<block>/\*))")


def wildcards(prompt: str) -> Reading:
    """dynamicprompts: comments where a piece begins, choices and wildcards; the rest is text."""
    rows: list[Row] = []
    at, end = 0, len(prompt)
    while at < end:
        if match := _IGNORED.match(prompt, at):
            close = prompt.find("*/", match.end()) + 2 if match["block"] else match.end()
            if close >= match.end():
                at = close
                continue
        match = _CHOICES.search(prompt, at)
        while match and match.group() == "}":
            match = _CHOICES.search(prompt, match.end())
        start = match.start() if match else end
        if start > at:
            rows.append(Row(prompt[at:start], ("",), 0))
            at = start
        elif match.group() in ("__", "{", "${", "%{"):
            at = _closed(prompt, start, match)
            rows.append(Row(prompt[start:at], ("",), 1))
        else:
            raise Refused
    return Reading(rows, ())


def _closed(prompt: str, start: int, opening: re.Match) -> int:
    """Where a wildcard or a choice that begins at `start` ends."""
    if opening.group() == "__":
        if (close := prompt.find("__", opening.end())) < 0:
            raise Refused
        return close + 2
    depth = 0
    for brace in _BRACE.finditer(prompt, start):
        depth += 1 if brace.group() == "{" else -1
        if not depth:
            return brace.end()
    raise Refused


# SD.Next ----------------------------------------------------------------------------------------

_ENCODER = re.compile(r"TE[234]:")
_NEXT_BREAK = re.compile(r"\bBREAK\b|\#\#")
_NEXT_WEIGHING = re.compile(
    r"(?P<escape>\\[\\()\[\]:]?)|(?P<open>[(\[])|:(?P<weight>[-+]?[.\d]+)\)|(?P<close>[)\]])"
    r"|[^\\()\[\]:]+"
)
_LEADING_SIGNS = re.compile(r"^\W+")


def sdnext(prompt: str) -> Reading:
    """SD.Next's own parser; it drops signs at the beginning of a stretch, and joins escapes."""
    text, networks = _without_networks(prompt)
    encoders = tuple(_ENCODER.findall(text))
    if len(set(encoders)) < len(encoders):
        raise Refused
    steps = _steps(text)
    rows: list[Row] = []
    for number, part in enumerate(_ENCODER.split(_stepped(text, steps))):
        rows += _next_rows(part.strip().replace("\n", " "), number)
    return Reading(rows, (networks, encoders, steps))


def _next_rows(text: str, number: int) -> list[Row]:
    weights, breaks = _Weights(), 0
    for match in _NEXT_WEIGHING.finditer(text):
        sign = match.group()
        if match["escape"]:
            if weights.texts and text[match.start() - 1] != " ":
                weights.texts[-1].append(sign[1:])
            else:
                weights.add(sign[1:], ("", number, breaks))
            continue
        if match["open"]:
            weights.open(sign)
            continue
        if match["weight"] and weights.close("(", match["weight"], lenient=True):
            continue
        if match["close"] and weights.close("(" if sign == ")" else "["):
            continue
        for i, piece in enumerate(_NEXT_BREAK.split(sign)):
            if i:
                breaks += 1
                weights.add("BREAK", ("", number, breaks))
            if piece := " ".join(_LEADING_SIGNS.sub("", piece).split()):
                weights.add(piece, ("", number, breaks))
    return list(_next_joined(weights.rows()))


def _next_joined(rows: list[Row]) -> Iterator[Row]:
    """Neighbours of one weight as one text."""
    for (section, weight), run in groupby(rows, key=lambda row: row[1:]):
        texts = [row.text for row in run]
        last = texts[0][-1:]
        for i, text in enumerate(texts[1:], 1):
            if not last:
                raise Refused  # its parser looks at the last character
            last = text[-1:] or " " * last.isalnum() or last
            texts[i - 1] += " " * texts[i - 1][-1:].isalnum()
        yield Row("".join(texts), section, weight)


# ComfyUI ----------------------------------------------------------------------------------------

_COMMENT = re.compile(r"//.*|/\*")
_ROUND = re.compile(r"\\[()]|[()]")
_Round = tuple[int, str]  # where a bracket stands, and which


def comfyui(prompt: str) -> Reading:
    """ComfyUI: as its node reads it, and as its page queues it, less the comments."""
    rows: list[Row] = []
    for way, text in enumerate((prompt, _without_comments(prompt))):
        rounds = [(m.start(), m.group()) for m in _ROUND.finditer(text) if len(m.group()) == 1]
        _comfy_rows(text, rounds, (0, len(text)), 1.0, way, rows)
    return Reading(rows, (), ways=2)


def _without_comments(text: str) -> str:
    parts: list[str] = []
    at, sought, last = 0, 0, text.rfind("*/")
    while match := _COMMENT.search(text, sought):
        start, sought = match.span()
        if match.group() == "/*":
            if sought > last:
                continue  # never closed
            sought = text.index("*/", sought) + 2
        parts.append(text[at:start])
        at = sought
    return "".join([*parts, text[at:]])


def _comfy_rows(
    text: str, rounds: list[_Round], span: tuple, weight: float, way: int, rows: list[Row], deep=0
) -> None:
    """Append the rows of a stretch of `text`, whose brackets are `rounds`."""
    if deep > _DEEPEST:
        raise Refused
    start, end = span
    depth, begin, first = 0, start, 0
    items: list[tuple[int, int, int, int]] = []
    for i, (at, sign) in enumerate(rounds):
        if sign == "(":
            if depth == 0:
                if at > begin:
                    items.append((begin, at, first, i))
                begin, first = at, i
            depth += 1
            continue
        depth -= 1
        if depth == 0:
            items.append((begin, at + 1, first, i + 1))
            begin, first = at + 1, i + 1
    if begin < end:
        items.append((begin, end, first, len(rounds)))
    for begin, end, first, last in items:
        inner = rounds[first:last]
        grouped = len(inner) > 1 and inner[0][0] == begin and inner[-1][0] == end - 1
        if not (grouped and inner[0][1] == "(" and inner[-1][1] == ")"):
            rows.append(Row(text[begin:end], (way,), round(weight, 6) - 1))
            continue
        heavier, until = weight * 1.1, end - 1
        colon = text.rfind(":", begin + 1, until)
        if colon > begin + 1:
            try:
                heavier = float(text[colon + 1 : until])
                until = colon
            except ValueError:
                pass
        inside = [each for each in inner[1:-1] if each[0] < until]
        _comfy_rows(text, inside, (begin + 1, until), heavier, way, rows, deep + 1)


# compel -----------------------------------------------------------------------------------------

_RUN = re.compile(r"[^\s,]+")
_OPERATORS = re.compile(r"[()\"+=\\]|^-|-$|--")
_ENCLOSING = re.compile(r"\\.|[()\[\]]")


def invoke(prompt: str) -> Reading:
    """compel: words that touch its signs, as they stand, and what its brackets enclose.

    It reads what is parted by white space or a comma piece by piece, so that these stay what they
    are as long as nothing comes into them; SD.Next reads steps and networks before it.
    """
    runs = tuple(run for run in _RUN.findall(prompt) if _OPERATORS.search(run) and PROBE not in run)
    steps = _steps(prompt)
    brackets = {"(": ")", "[": "]"} if steps else {"(": ")"}
    opened: dict[str, list[int]] = {close: [] for close in brackets.values()}
    pairs: dict[int, int] = {}
    for match in _ENCLOSING.finditer(prompt):
        sign = match.group()
        if sign in brackets:
            opened[brackets[sign]].append(match.start())
        elif opened.get(sign):
            pairs[opened[sign].pop()] = match.start()
    weights, at = _Weights(), 0
    closes = set(pairs.values())
    for place in sorted([*pairs, *closes]):
        weights.add(prompt[at:place], ("",))
        if place in closes:
            weights.close("(" if prompt[place] == ")" else "[")
        else:
            weights.open(prompt[place])
        at = place + 1
    weights.add(prompt[at:], ("",))
    return Reading(weights.rows(), (runs, steps, _without_networks(prompt)[1]))
