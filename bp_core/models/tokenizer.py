"""Between text and token ids: templates filled in parts, and tokenizer files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from .checkpoint import read_json
from .template import Template

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def prompt_parts(
    template: Template, mode: str, raw: str, dialect: str = "tags"
) -> list[tuple[str, bool]]:
    """A filled template as (text, typed by the user) parts, each to be encoded apart.

    White space in `raw` becomes single spaces: templates are told by their line breaks. A space
    that ends a piece of the template goes to the prose behind it, where the tokenizers of GPT-2's
    kin want it.
    """
    first, *others = template.pieces(mode, dialect)
    raw = " ".join(raw.split())
    parts, before = [], first
    for piece in others:
        fixed = before.rstrip(" ")
        parts += [(fixed, False), (before[len(fixed) :] + raw, True)]
        before = piece
    return [(text, typed) for text, typed in [*parts, (before, False)] if text]


def read_tokenizer(folder: Path) -> Tokenizer:
    """tokenizer.json of a model folder; raises ModelError."""
    import tokenizers

    path = folder / "tokenizer.json"
    read_json(path)
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(
            f"{path} cannot be read by tokenizers {tokenizers.__version__} ({error}): "
            "download it again or update tokenizers"
        ) from error


def special_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Ids of control tokens."""
    # From what would be written: tokenizers before 0.15 do not tell which tokens are special.
    added = json.loads(tokenizer.to_str()).get("added_tokens") or []
    return frozenset(token["id"] for token in added if token.get("special"))
