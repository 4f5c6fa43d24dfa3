"""A prompt as pieces of prose and syntax, by the table of the host that reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .syntax_tables import SYNTAXES, Syntax
from .words import CJK


class Piece(NamedTuple):
    """A stretch of a prompt. `kind` is "prose" or one of

    group        (red hat:1.2)  ((hat))  [hat]  {hat}, brackets inside included
    schedule     [day:night:0.5]
    alternation  [cat|dog]
    choice       {a|b}  {2$$a|b}  ${hat=red}  %{… $$ …}
    wildcard     __animals/cats__  <random:a|b>
    network      <lora:moody:0.8>, any <…:…>
    embedding    embedding:name  <name>
    escape       \\(vocaloid\\), a lone backslash
    hash         "#1", "C#", "#FF5733": a number sign that is meant to be read
    number       16:9, 2.39:1, 5:30pm: a ratio or a time, whose colon is no weight
    tag          rating:general
    multi        street::1.5
    plus         dog++
    emoticon     :3  ^_^  <3
    flag         --unknown 3
    link         https://…
    separator    BREAK, AND, ADDCOMM, <segment:face>: parts sections
    weight       the ":1.2" that ends a section
    ending       a ratio or a tag whose end the host takes for such a weight
    end          Midjourney's flags, or pasted parameters, to the end of the prompt
    bracket      a bracket without its partner, with the rest of its emoticon: ">:("
    comment      what the host leaves out
    newline      one line break character
    expression   a whole prompt that takes no text beside it: compel's .blend(), JSON

    A word that touches brackets, a wildcard, an escape or a sign belongs to that piece
    ("[fe|]male" is one), because the two lose their sense apart.
    """

    kind: str
    text: str


# What ties a word to the syntax it touches.
_GLUE = re.compile(rf"[^\W{CJK}]|['’]|(?<!-)-(?!-)")
_GLUE_RUN = re.compile(rf"(?:{_GLUE.pattern})*")
_SUFFIX = re.compile(r"(?<=[)\"])(?:\d*\.\d+|\++|-+(?!\w))")
_LOOSE_WEIGHT = re.compile(r":\s*[-+]?[.\d]+\s*$")
_FACE = re.compile(r"(?:^|[\s,])([>~]?[:;=]['’]?-?)$")
GLUED = frozenset(
    "group schedule alternation choice wildcard escape hash number tag multi plus".split()
)
OPENING = {"(": ")", "[": "]", "{": "}", "${": "}", "%{": "}", "\\(": "\\)", "\\[": "\\]"}
_WEIGHT = re.compile(r":\s*[-+]?(?:\d+\.?|\d*\.\d+)\s*$")
_EXPRESSION = re.compile(
    r"\s*(?:\(.*\)\s*\.(?:blend|and|add)\([^()]*\)|\{\s*\".*\}|\[\s*\{.*\}\s*\])\s*", re.DOTALL
)
_BRACES = frozenset(("{", "${", "%{"))


_READ_AS_THEY_ARE = frozenset(("hash", "number", "tag"))
_PARTED = frozenset(("prose", "tag", "emoticon"))  # from a weight at the end of a section

_Span = tuple[str, int, int]  # kind, start, end
_Token = tuple[str, str, int, int]  # kind, text, start, end: plain tuples, there may be a million


def tokens_of(text: str, syntax: Syntax) -> list[_Token]:
    """The syntax tokens of `text`; brackets one by one."""
    tokens: list[_Token] = []
    last_close = text.rfind("*/")
    at: int | None = 0
    while at is not None:
        matches, at = syntax.token.finditer(text, at), None
        for match in matches:
            kind, (start, end) = match.lastgroup.rstrip("0123456789"), match.span()
            if kind == "block":
                if start + 2 > last_close:  # never closed: no comment
                    continue
                kind, at = "comment", text.index("*/", end) + 2
                end = at
            tokens.append((kind, text[start:end], start, end))
            if at is not None:
                break  # what stands in the comment is no token: go on behind it
    return tokens


def _partners(tokens: list[_Token], syntax: Syntax) -> dict[int, int]:
    """For each opening bracket that is closed, the index of its partner.

    Choices are resolved first, over the whole prompt, so brackets inside them are nobody else's.
    The other brackets are matched kind by kind within a part that AND or a region keyword ends.
    """
    partners: dict[int, int] = {}
    stack: list[int] = []
    for i, (kind, text, _, _) in enumerate(tokens):
        if kind == "bracket" and text in _BRACES:
            stack.append(i)
        elif kind == "bracket" and text == "}" and stack:
            partners[stack.pop()] = i
    stacks: dict[str, list[int]] = {bracket: [] for bracket in OPENING.values()}
    inside = -1  # the end of a choice
    for i, (kind, text, _, _) in enumerate(tokens):
        if i <= inside:
            continue
        if kind == "bracket" or kind == "escape":
            if i in partners:
                inside = partners[i]
            elif text in OPENING:
                stacks[OPENING[text]].append(i)
            elif stacks.get(text):
                partners[stacks[text].pop()] = i
        elif kind == "separator":
            for bracket, opened in stacks.items():
                if syntax.is_border(text) or bracket[0] == "\\":
                    opened.clear()
    return partners


def leaves_open(piece: Piece, syntax: Syntax) -> bool:
    """Whether `piece` opens a bracket that it does not close, so that its weight runs on."""
    if piece.kind == "bracket":
        return piece.text.endswith("::") or any(sign in piece.text for sign in syntax.runs_on)
    if piece.kind not in GLUED or all(
        piece.text.count(opening) == piece.text.count(close)
        and piece.text.rfind(opening) <= piece.text.find(close)
        for opening, close in ("()", "[]")
    ):
        return False
    tokens = tokens_of(piece.text, syntax)
    partners = _partners(tokens, syntax)
    return any(
        kind == "bracket" and text in syntax.runs_on and i not in partners
        for i, (kind, text, _, _) in enumerate(tokens)
    )


def _region_kind(text: str) -> str:
    if text[0] == "\\":
        return "escape"
    if text[0] in "{$%":
        return "choice" if "|" in text or "$" in text or "%" in text else "group"
    if text[0] == "[":
        if re.search(r":\s*[-+]?[\d.]+\s*\]$", text):
            return "schedule"
        return "alternation" if "|" in text else "group"
    return "group"


def _regions(text: str, syntax: Syntax) -> Iterator[_Span]:
    """The outermost syntax of `text`: what brackets enclose whole, everything else as tokens."""
    tokens = tokens_of(text, syntax)
    partners = _partners(tokens, syntax)
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


def _glued(text: str, syntax: Syntax) -> list[_Span]:
    """The regions of `text` with the words that touch them; regions that touch made one."""
    regions = list(_regions(text, syntax))
    ceilings = [*(start for _, start, _ in regions), len(text)][1:]
    spans: list[_Span] = []
    floor = 0
    for (kind, start, end), ceiling in zip(regions, ceilings, strict=True):
        if kind in GLUED:
            while start > floor and _GLUE.match(text, start - 1):
                start -= 1
            if syntax.suffix and kind == "group" and (match := _SUFFIX.match(text, end, ceiling)):
                end = match.end()
            if kind == "tag" and start == text.find(":", start):
                continue  # nothing of its own stands before the colon
            end = _GLUE_RUN.match(text, end, ceiling).end()
        elif text[start:end] in (")", "]") and (
            weight := _LOOSE_WEIGHT.search(text, max(floor, start - 12), start)
        ):
            start = weight.start()
        elif kind == "bracket" and (face := _FACE.search(text, max(floor - 1, start - 5), start)):
            start = max(floor, face.start(1))
        before = spans[-1][0] if spans and start == floor else ""
        loose = kind == "bracket" and before in _READ_AS_THEY_ARE and text[start:end] == ")"
        alike = kind == before == "bracket"
        if alike and text[start] in syntax.runs_on:
            # A tail may go between a bracket without a partner and one that is left open.
            alike = text[spans[-1][1] : start] not in ("]", "}", ")")
        if (kind in GLUED and before in GLUED) or alike or loose:
            spans[-1] = (kind if before in _READ_AS_THEY_ARE else before, spans[-1][1], end)
        else:
            spans.append((kind, start, end))
        floor = end
    return spans


def split(text: str, syntax: str = "auto") -> list[Piece]:
    """`text` as pieces that join to `text`; linear in its length, for any string."""
    table = SYNTAXES[syntax]
    if table.name != "plain" and _EXPRESSION.fullmatch(text):
        return [Piece("expression", text)]
    pieces: list[Piece] = []
    at = 0
    for kind, start, end in _glued(text, table):
        if start > at:
            pieces.append(Piece("prose", text[at:start]))
        pieces.append(Piece(kind, text[start:end]))
        at = end
    if at < len(text):
        pieces.append(Piece("prose", text[at:]))
    return _mark_weights(pieces, table.final_weight) if table.final_weight else pieces


def ends_comment(piece: Piece) -> bool:
    """Whether `piece` is a comment that text may follow."""
    return piece.kind == "comment" and (piece.text[-1] == "\n" or piece.text.startswith("/*"))


def _mark_weights(pieces: list[Piece], rule: str) -> list[Piece]:
    """Part the ":1.2" that the WebUI reads at the end of every AND section from its prose."""
    marked: list[Piece] = []
    composed = any(piece.kind == "separator" and piece.text == "AND" for piece in pieces)
    ending = True
    for piece in reversed(pieces):
        if piece.kind == "separator":
            ending = piece.text != "BREAK"
        elif ending and piece.kind not in ("network", "comment", "newline") and piece.text.strip():
            ending = False
            marked += _weighted(piece, rule, composed)[::-1]
            continue
        marked.append(piece)
    return marked[::-1]


def _weighted(piece: Piece, rule: str, composed: bool) -> list[Piece]:
    """The last piece of a section, parted into its text and the weight behind it."""
    match = _WEIGHT.search(piece.text)
    if not match:
        return [piece]
    sure = composed or (piece.kind == "prose" and "." in match.group())
    if piece.kind not in _PARTED or (piece.kind == "tag" and not composed):
        return [Piece("ending", piece.text)] if rule == "host" else [piece]
    if rule != "host" and not sure:
        return [piece]
    start, end = match.start(), match.start() + len(match.group().rstrip())
    parts = (
        (piece.kind if piece.kind != "emoticon" else "prose", piece.text[:start]),
        ("weight", piece.text[start:end]),
        ("prose", piece.text[end:]),
    )
    return [Piece(kind, text) for kind, text in parts if text]
