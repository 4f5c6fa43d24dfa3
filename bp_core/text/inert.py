"""Text that is free of syntax: a model's, before it goes into a prompt."""

from __future__ import annotations

import re

# Control characters, bidirectional overrides, byte order marks and lone surrogates; the joiners
# inside emoji stay.
_INVISIBLE = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_CONTROL = re.compile(f"[{_INVISIBLE}]")


def whole(text: str) -> str:
    """`text` with halves of characters (lone surrogates) as replacement signs: fit for UTF-8."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def tidy(text: str) -> str:
    """`text` on one line: single spaces, no doubled commas, none at the ends, no controls."""
    text = re.sub(r"\s+", " ", _CONTROL.sub(" ", text)).strip()
    text = re.sub(r"(?<=\d) ,(?: ?,)*(?=\d)", ", ", text)  # "AK-47 ,4K" has no number of both
    text = re.sub(r" ?,(?: ?,)*", ",", text)
    return text.strip(" ,;")


_INERT = str.maketrans(
    {**dict.fromkeys("()[]{}<>\\*`^=", " "), **dict.fromkeys("|:", ", "), **dict.fromkeys("#$", "")}
)
_KEYWORD = re.compile(r"BREAK|ADD(?:BASE|COMM|ROW|COL)|(?<![A-Za-z0-9])AND(?![A-Za-z0-9])")


def inert(text: str) -> str:
    """Text of a model with everything gone that any host could read as syntax; one tidy line.

    Idempotent. Words stay words; brackets, colons and the like become spaces or commas.
    """
    text = re.sub(r"(?<=\d):(?=\d)", "-", _CONTROL.sub(" ", text)).translate(_INERT)
    text = re.sub(r"_(?=[@+;])|(?<=[@+;])_|(?<=;)(?=[^\s;,])", " ", text)
    text = re.sub(r"__+", " ", text)
    text = re.sub(r"(?<=[\w\"])\++", "", text)
    text = re.sub(r"(?<!\S)—(?=\S)", "— ", text)
    text = re.sub(r"//+", "/", text)
    text = re.sub(r"--+", "-", text)
    if _KEYWORD.search(text):
        text = re.sub(r"\w+", lambda m: m[0].lower() if _KEYWORD.search(m[0]) else m[0], text)
    return tidy(text).lstrip(".!?;, ")
