"""What of a prompt counts to the character: quotations, tags, emoticons, signs and their like."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .words import CJK

#: Text to be lettered in the picture: every word of it counts, stop words too.
QUOTED = re.compile(r"\"[^\"\n]{1,100}\"|“[^”\n]{1,100}”")
_UNIT = (
    r"mm|cm|m|km|kg|g|lb|ft|in|px|mp|fps|am|pm|AM|PM|°[CF]?|º|%|dpi|ppi|iso|ISO|nm|K|kHz|Hz|hp|mph"
)
_END = rf"(?![^\W{CJK}])"
# What a run of signs and letters ends at, and the signs.
_BREAKS = r"""\s,.;!?()\[\]{}|<>"“”'‘’…—–"""
_SIGNS = r"&+=@$€£¥%°§©®™^~*→←↑↓♥★♪#\U0001f300-\U0001faff\u2600-\u27bf"
_LITERAL = re.compile(
    rf"""
      (?P<quoted> {QUOTED.pattern} | (?<![\w'’])['‘][^'’\n]{{1,60}}['’](?![\w'’]) )
    | (?P<tag> (?<!\w) [^\W_{CJK}]+ (?: [_][^\W_]+ )+ (?: [_]?\([^()\s]*\) )? (?!\w) )
    | (?P<face> (?<![^\s,()\[\]{{}}]) (?: [:;=]['’]?[-o^]?[DdPpOo3|()/\\<>cCsSxX*\]\[]
      | [>~][:;=][()<>]
      | \^[_.~-]*\^ | >[_.]*< | <3+ | [Tt]_[Tt] | [oO0]_[oO0] | [@+=*;]_[@+=*;] | ¯\\_\S* )
      (?=[\s,.!?)]|$) )
    | (?P<number> (?<!\w)[fFƒ]/\d+(?:\.\d+)?(?!\w)
      | [:#$€£¥~±+<>≥≤−]{{0,4}}(?<![\w.,]) (?<![^\W\d]-) [-]?\d[\d.,:/×]*(?<![.,:/])
        (?: [ ]?(?:{_UNIT}){_END} )? )
    | (?P<sign> (?<![^{_BREAKS}-]) [^{_BREAKS}-]* (?:[{_SIGNS}]|//) [^\s,;!?()\[\]{{}}|<>"“”…—]* )
    """,
    re.VERBOSE,
)
_PLAIN_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def is_signed(literal: re.Match) -> bool:
    """Whether a literal is more than a number with a unit in letters."""
    return literal.lastgroup != "number" or not re.fullmatch(r"[\d.,]+ ?[A-Za-z]+", literal.group())


def literals(text: str) -> Iterator[re.Match]:
    """What of `text` must stay to the character, in order; a number only with a sign or a unit.

    The groups of a match say what it is: "quoted", "tag", "face", "number" or "sign".
    """
    for match in _LITERAL.finditer(text):
        if match.lastgroup != "number" or not _PLAIN_NUMBER.fullmatch(match.group()):
            yield match
