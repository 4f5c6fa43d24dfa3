"""What ComfyUI and the WebUI family read as syntax in a prompt, and text that is free of it.

Sources: the WebUI's prompt_parser.py, extra_networks.py and comments.py, ComfyUI's sd1_clip.py and
the dynamic prompts of its frontend, sd-dynamic-prompts, regional-prompter. Where the hosts differ,
whatever one of them reads as syntax is syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .words import CJK


class Piece(NamedTuple):
    """A stretch of a prompt. `kind` is "prose" or one of

    group        (red hat:1.2)  ((hat))  [hat]  {hat}, brackets inside included
    schedule     [day:night:0.5]
    alternation  [cat|dog]
    choice       {a|b}  {2$$a|b}  ${hat=red}
    wildcard     __animals/cats__
    network      <lora:moody:0.8>, any <…:…>
    embedding    embedding:name  <name>
    escape       \\(vocaloid\\), a lone backslash
    hash         "#1", "C#": a number sign that is meant to be read
    number       16:9, 5:30: a ratio or a time, whose colon is no weight
    flag         --ar 3:2
    separator    BREAK, AND, ADDCOMM, ADDROW, ADDCOL, ADDBASE
    weight       the ":1.2" that ends a section
    bracket      a bracket without its partner
    comment      # to the end of the line, // to the end of the line, /* … */
    newline      one line break character

    A word that touches brackets, a wildcard, an escape or a number sign belongs to that piece
    ("[fe|]male" is one), because the two lose their sense apart.
    """

    kind: str
    text: str


# What ties a word to the syntax it touches.
_GLUE = re.compile(rf"[^\W{CJK}]|['’]|(?<!-)-(?!-)")
_GLUE_RUN = re.compile(rf"(?:{_GLUE.pattern})*")
_GLUED = frozenset(("group", "schedule", "alternation", "choice", "wildcard", "escape", "hash"))
SEPARATOR = (
    rf"(?<![^\W{CJK}])(?:BREAK|AND(?:_[A-Z]+)?|ADD(?:BASE|COMM|ROW|COL))(?![^\W{CJK}])(?![#])"
)
# The look-ahead passes over most characters quickly.
_TOKEN = re.compile(
    rf"""
    (?= [\\<_\#/\[\](){{}}$\r\n\-\dAB] | embedding: | https?: )
    (?: (?P<network> <[^<>:\s]+:[^<>]*> )
    | (?P<embedding> <[^<>\s,]+> | (?<!\w)embedding:[ \t]*[^\s,:()\[\]{{}}<>|\\]+ )
    | (?P<wildcard> __(?=\S)(?:[^\s_,(){{}}\[\]<>|:]|[ ]|_(?!_))+(?:\([^()\n]*\))?(?<=\S)__ )
    | (?P<comment> (?<![^\W{CJK}])(?<!['’])(?<!(?<!-)-)\#(?!\d)[^\n]*\n?
      | (?:(?<!\w)https?:)?//[^\n]*\n? )
    | (?P<block> /\* )
    | (?P<separator> {SEPARATOR} )
    | (?P<newline> [\r\n] )
    | (?P<flag> (?<![\w'’\-])--[A-Za-z]\w*(?:[ =]\d+(?:[.:]\d+)*)?(?![\w\#]) )
    | (?P<number> (?<![\w.:])\d+(?::\d+)+(?![\w\#]|:(?!\d*\.\d)|\.\d) )
    | (?P<escape> \\[()\[\]{{}}|\\]? )
    | (?P<hash> \#\d* )
    | (?P<bracket> \$?\{{ | [()\[\]}}] ) )
    """,
    re.VERBOSE,
)
_OPENING = {"(": ")", "[": "]", "{": "}", "${": "}", "\\(": "\\)", "\\[": "\\]"}
_WEIGHT = re.compile(r":\s*[-+]?(?:\d+\.?|\d*\.\d+)\s*$")


_Span = tuple[str, int, int]  # kind, start, end
_Token = tuple[str, str, int, int]  # kind, text, start, end: plain tuples, there may be a million


def _tokens(text: str) -> list[_Token]:
    """The syntax tokens of `text`; brackets one by one."""
    tokens: list[_Token] = []
    last_close = text.rfind("*/")
    at: int | None = 0
    while at is not None:
        matches, at = _TOKEN.finditer(text, at), None
        for match in matches:
            kind, (start, end) = match.lastgroup, match.span()
            if kind == "block":
                if start + 2 > last_close:  # never closed: no comment
                    continue
                kind, at = "comment", text.index("*/", end) + 2
                end = at
            tokens.append((kind, text[start:end], start, end))
            if at is not None:
                break  # what stands in the comment is no token: go on behind it
    return tokens


def _partners(tokens: list[_Token]) -> dict[int, int]:
    """For each opening bracket that is closed, the index of its partner.

    Choices are resolved first, over the whole prompt, so brackets inside them are nobody else's.
    The other brackets are matched kind by kind within a part that AND or a region keyword ends.
    """
    partners: dict[int, int] = {}
    stack: list[int] = []
    for i, (kind, text, _, _) in enumerate(tokens):
        if kind == "bracket" and text in ("{", "${"):
            stack.append(i)
        elif kind == "bracket" and text == "}" and stack:
            partners[stack.pop()] = i
    stacks: dict[str, list[int]] = {bracket: [] for bracket in _OPENING.values()}
    inside = -1  # the end of a choice
    for i, (kind, text, _, _) in enumerate(tokens):
        if i <= inside:
            continue
        if kind == "bracket" or kind == "escape":
            if i in partners:
                inside = partners[i]
            elif text in _OPENING:
                stacks[_OPENING[text]].append(i)
            elif stacks.get(text):
                partners[stacks[text].pop()] = i
        elif kind == "separator":
            for bracket, opened in stacks.items():
                if text != "BREAK" or bracket[0] == "\\":
                    opened.clear()
    return partners


def leaves_open(piece: Piece) -> bool:
    """Whether `piece` opens a bracket that it does not close, so that its weight runs on."""
    if piece.kind == "bracket":
        return bool(re.search(r"[(\[{]", piece.text))
    if piece.kind not in _GLUED or all(
        piece.text.count(opening) == piece.text.count(close)
        and piece.text.rfind(opening) <= piece.text.find(close)
        for opening, close in ("()", "[]")
    ):
        return False
    tokens = _tokens(piece.text)
    partners = _partners(tokens)
    return any(
        kind == "bracket" and text in _OPENING and i not in partners
        for i, (kind, text, _, _) in enumerate(tokens)
    )


def _region_kind(text: str) -> str:
    if text[0] == "\\":
        return "escape"
    if text[0] in "{$":
        return "choice" if "|" in text or "$" in text or "%" in text else "group"
    if text[0] == "[":
        if re.search(r":\s*[-+]?[\d.]+\s*\]$", text):
            return "schedule"
        return "alternation" if "|" in text else "group"
    return "group"


def _regions(text: str) -> Iterator[_Span]:
    """The outermost syntax of `text`: what brackets enclose whole, everything else as tokens."""
    tokens = _tokens(text)
    partners = _partners(tokens)
    i = 0
    while i < len(tokens):
        last = partners.get(i, i)
        k = i + 1
        while k < last:  # brackets may overlap: "(a [b) c]" is one region
            last = max(last, partners.get(k, k))
            k += 1
        kind, _, start, end = tokens[i]
        if last > i:
            end = tokens[last][3]
            kind = _region_kind(text[start:end])
        yield kind, start, end
        i = last + 1


def _glued(text: str) -> list[_Span]:
    """The regions of `text` with the words that touch them; regions that touch made one."""
    regions = list(_regions(text))
    ceilings = [*(start for _, start, _ in regions), len(text)][1:]
    spans: list[_Span] = []
    floor = 0
    for (kind, start, end), ceiling in zip(regions, ceilings, strict=True):
        if kind in _GLUED:
            while start > floor and _GLUE.match(text, start - 1):
                start -= 1
            end = _GLUE_RUN.match(text, end, ceiling).end()
        before = spans[-1][0] if spans and start == floor else ""
        if (kind in _GLUED and before in _GLUED) or (kind == before == "bracket"):
            spans[-1] = (before, spans[-1][1], end)
        else:
            spans.append((kind, start, end))
        floor = end
    return spans


def split(text: str) -> list[Piece]:
    """`text` as pieces that join to `text`; linear in its length, for any string."""
    pieces: list[Piece] = []
    at = 0
    for kind, start, end in _glued(text):
        if start > at:
            pieces.append(Piece("prose", text[at:start]))
        pieces.append(Piece(kind, text[start:end]))
        at = end
    if at < len(text):
        pieces.append(Piece("prose", text[at:]))
    return _mark_weights(pieces)


def ends_comment(piece: Piece) -> bool:
    """Whether `piece` is a comment that text may follow."""
    return piece.kind == "comment" and (piece.text[-1] == "\n" or piece.text.startswith("/*"))


def _mark_weights(pieces: list[Piece]) -> list[Piece]:
    """Part the ":1.2" that the WebUI reads at the end of every AND section from its prose."""
    marked: list[Piece] = []
    ending = True
    for piece in reversed(pieces):
        if piece.kind == "separator":
            ending = piece.text != "BREAK"
        elif ending and piece.kind == "prose" and piece.text.strip():
            ending = False
            if match := _WEIGHT.search(piece.text):
                start, end = match.start(), match.start() + len(match.group().rstrip())
                marked += [Piece("prose", piece.text[end:])] * (end < len(piece.text))
                marked.append(Piece("weight", piece.text[start:end]))
                marked += [Piece("prose", piece.text[:start])] * (start > 0)
                continue
        elif piece.kind not in ("prose", "network", "comment", "newline"):
            ending = False
        marked.append(piece)
    return marked[::-1]


class _Frame:
    """An open bracket while `plain` reads: where its words began and which of them to keep."""

    def __init__(self, opening: str, start: int) -> None:
        self.opening, self.start = opening, start
        self.filled = False  # has words
        self.pipe = self.colon = None  # where the first alternative, the first state ended
        self.last_colon = -1
        self.choice = opening == "${"

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
        if self.opening in ("{", "${"):
            if self.choice:
                del out[self.start :]
        elif self.opening == "[" and self.pipe is not None:
            del out[self.pipe :]
        elif weight:
            keep_first = self.opening == "[" and self.colon is not None
            del out[self.colon if keep_first else self.last_colon :]


def plain(piece: Piece) -> str:
    """The words of `piece` as the image model would meet them, syntax taken off.

    A schedule or an alternation is read as its first state (the one that lays out the picture),
    a random choice, a wildcard, a network or an embedding as nothing.
    """
    if piece.kind in ("prose", "hash", "number"):
        return piece.text
    return _read(piece.text) if piece.kind in _GLUED else " " * (piece.kind != "network")


def _read(text: str) -> str:
    out: list[str] = []
    frames: list[_Frame] = []
    at = 0
    for kind, sign, start, end in _tokens(text):
        if kind == "number" and frames:
            start, sign = end, ""  # its colon parts a weight from the words
        _read_words(text[at:start], out, frames)
        at = end
        if kind in ("hash", "number", "escape"):
            out.append(sign[kind == "escape" :])
        elif kind != "bracket":
            out.append(" " * (kind != "network"))
        elif sign in _OPENING:
            frames.append(_Frame(sign, len(out)))
        elif frames and _OPENING[frames[-1].opening] == sign:
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


# Control characters, bidirectional overrides, byte order marks and lone surrogates; the joiners
# inside emoji stay.
_INVISIBLE = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_CONTROL = re.compile(f"[{_INVISIBLE}]")


def tidy(text: str) -> str:
    """`text` on one line: single spaces, no doubled commas, none at the ends, no controls."""
    text = re.sub(r"\s+", " ", _CONTROL.sub(" ", text)).strip()
    text = re.sub(r" ?,(?: ?,)*", ",", text)
    return text.strip(" ,;")


_INERT = str.maketrans(
    {**dict.fromkeys("()[]{}<>\\*`", " "), **dict.fromkeys("|:", ", "), **dict.fromkeys("#$", "")}
)
_KEYWORD = re.compile(r"BREAK|ADD(?:BASE|COMM|ROW|COL)|(?<![A-Za-z0-9])AND(?![A-Za-z0-9])")


def inert(text: str) -> str:
    """Text of a model with everything gone that any host could read as syntax; one tidy line.

    Idempotent. Words stay words; brackets, colons and the like become spaces or commas.
    """
    text = re.sub(r"(?<=\d):(?=\d)", "-", _CONTROL.sub(" ", text)).translate(_INERT)
    text = re.sub(r"__+", " ", text)
    text = re.sub(r"//+", "/", text)
    text = re.sub(r"--+", "-", text)
    if _KEYWORD.search(text):
        text = re.sub(r"\w+", lambda m: m[0].lower() if _KEYWORD.search(m[0]) else m[0], text)
    return tidy(text).lstrip(".!?;, ")
