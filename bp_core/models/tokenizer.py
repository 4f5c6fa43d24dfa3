"""Between text and token ids: templates filled in parts, and tokenizer files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from .checkpoint import LONGEST_TEXT, read_json
from .template import Template

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Ids and paddings for which gigabytes would be asked.
_HUGE = re.compile(rb'"id"\s*:\s*\d{8,}|"(?:Fixed|pad_to_multiple_of)"\s*:\s*\d{6,}')


def prompt_parts(
    template: Template, mode: str, raw: str, dialect: str = "tags", notes: Sequence[str] = ()
) -> list[tuple[str, bool]]:
    """A filled template as (text, typed by the user) parts, each to be encoded apart.

    White space in `raw` becomes single spaces: templates are told by their line breaks. A space
    that ends a piece of the template goes to the prose behind it, where the tokenizers of GPT-2's
    kin want it. Notes are written as the phrases of an addition are, each with its space and comma.
    """
    filling = {"{raw}": " ".join(raw.split()), "{notes}": "".join(f" {note}," for note in notes)}
    parts, space = [], ""
    for piece in template.pieces(mode, dialect):
        if piece in filling:
            parts.append((space + filling[piece], True))
            space = ""
        else:
            fixed = piece.rstrip(" ")
            parts.append((space + fixed, False))
            space = piece[len(fixed) :]
    return [(text, typed) for text, typed in [*parts, (space, False)] if text]


def read_tokenizer(folder: Path) -> Tokenizer:
    """tokenizer.json of a model folder; raises ModelError."""
    import tokenizers

    path = folder / "tokenizer.json"
    if path.is_file() and path.stat().st_size > LONGEST_TEXT:
        read_json(path)  # which says that it is too large
    if path.is_file() and _HUGE.search(path.read_bytes()):
        raise ModelError(f"{path} has a token or a padding beyond all bounds: download it again")
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        read_json(path)  # says more of a file that is missing or no JSON
        raise ModelError(
            f"{path} cannot be read by tokenizers {tokenizers.__version__} ({error}): "
            "download it again or update tokenizers"
        ) from error


def special_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Ids of control tokens."""
    tokens = getattr(tokenizer, "get_added_tokens_decoder", dict)()
    if tokens and all(hasattr(token, "special") for token in tokens.values()):
        return frozenset(i for i, token in tokens.items() if token.special)
    # From what would be written: tokenizers before 0.15 do not tell which tokens are special.
    added = json.loads(tokenizer.to_str()).get("added_tokens") or []
    return frozenset(token["id"] for token in added if token.get("special"))
