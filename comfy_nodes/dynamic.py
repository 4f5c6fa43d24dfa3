"""ComfyUI's own dynamic prompts, `{a|b}` and comments: its page resolves them in text boxes only,
and a text that comes over a link would be encoded with its braces."""

from __future__ import annotations

import random
import re

# As the page has it, but for "//" inside a name: ".hack//sign".
_COMMENT = re.compile(r"/\*.*?\*/|(?:(?<!\S)|(?<=https:)|(?<=http:))//[^\n]*", re.DOTALL)
# An escaped character, one of the three signs, or what stands between.
_PIECE = re.compile(r"\\.?|[{}|]|[^\\{}|]+", re.DOTALL)
_ESCAPED = re.compile(r"\\([{}|])")


def resolve(text: str, seed: int) -> str:
    """A prompt with its comments dropped, one way chosen of each `{a|b}`, and `\\{`, `\\|`, `\\}`
    as plain characters.

    The choices depend on the seed and their order alone: all versions of a prompt are given the
    same ones. A choice that is never closed ends with the text.
    """
    dice = random.Random(seed)
    # The ways of each choice that is open, from the outermost in; the text itself is the only one
    # of its kind, and is never closed.
    open_: list[list[str]] = [[""]]

    def close() -> None:
        way = dice.choice(open_.pop())
        open_[-1][-1] += way

    for piece in _PIECE.findall(_COMMENT.sub("", text)):
        if piece == "{":
            open_.append([""])
        elif piece == "|" and len(open_) > 1:
            open_[-1].append("")
        elif piece == "}" and len(open_) > 1:
            close()
        else:
            open_[-1][-1] += piece
    while len(open_) > 1:
        close()
    return _ESCAPED.sub(r"\1", open_[0][0])
