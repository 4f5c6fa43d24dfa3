"""What the HTTP routes accept: fields, limits, and what an answer tells of a candidate."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bp_core.errors import InputError

from .arguments import Arguments
from .button import MOST_CHARACTERS

if TYPE_CHECKING:
    from bp_core import Candidate

MOST_BYTES = 256 * 1024  # of a body
MOST_PROMPTS = 16
MOST_TEXTS = 256
_MOST_WORDS = 256  # entries of `keep` or `block`
_LARGEST_SEED = 2**63 - 1

#: Field of the request → field of `Arguments`.
_NAMES = {
    "mode": "mode",
    "model": "model",
    "n": "candidates",
    "style": "style",
    "chunks": "chunks",
    "dialect": "dialect",
    "preset": "preset",
}


@dataclass(frozen=True)
class Beautify:
    """A checked request; `is_list` says that the answer is a list."""

    prompts: list[str]
    seeds: list[int]
    arguments: Arguments
    keep: list[str]
    block: list[str]
    is_list: bool


def read_beautify(fields: Mapping[str, Any], defaults: Arguments) -> Beautify:
    """Check a request for rewriting.

    Fields: `prompt` (text) or `prompts` (1 to 16); `n` (candidates, 1 to 16); `seed` (whole number;
    a random one without it); `mode`; `model`; `style`; `chunks`; `dialect`; `preset`; `auto`
    (true leaves good prompts alone); `keep` and `block` (lists of words).

    Raises:
        InputError: a field unknown, missing, of the wrong kind or over a limit.
    """
    known = {"prompt", "prompts", "seed", "auto", "keep", "block", *_NAMES}
    _only(fields, known)
    if ("prompt" in fields) == ("prompts" in fields):
        raise InputError("give either 'prompt' or 'prompts'")
    is_list = "prompts" in fields
    prompts = fields["prompts"] if is_list else [fields["prompt"]]
    prompts = _texts("prompts" if is_list else "prompt", prompts, MOST_PROMPTS, MOST_CHARACTERS)
    seed = fields.get("seed", -1)
    if isinstance(seed, bool) or not isinstance(seed, int) or not -1 <= seed <= _LARGEST_SEED:
        raise InputError(f"seed is {seed!r}: use a whole number from 0 to {_LARGEST_SEED}")
    auto = fields.get("auto", False)
    if not isinstance(auto, bool):
        raise InputError("auto must be true or false")
    given = {_NAMES[name]: fields[name] for name in _NAMES if name in fields}
    if len(str(given.get("style", ""))) > MOST_CHARACTERS:
        raise InputError(f"style is longer than {MOST_CHARACTERS} characters: shorten it")
    arguments = Arguments.parse([given], replace(defaults, when="Auto" if auto else "Always"))
    block = _texts("block", fields.get("block", []), _MOST_WORDS, MOST_CHARACTERS, empty=True)
    if any(word.strip().startswith("/") for word in block):
        raise InputError("block has a pattern: callers give plain words, the settings patterns")
    return Beautify(
        prompts,
        [random.randrange(2**32) if seed < 0 else seed] * len(prompts),
        arguments,
        _texts("keep", fields.get("keep", []), _MOST_WORDS, MOST_CHARACTERS, empty=True),
        block,
        is_list,
    )


def read_score(fields: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Check a request for scores: `texts` (1 to 256), and `raw`, as many, which is `texts` if left.

    Raises:
        InputError: as `read_beautify`.
    """
    _only(fields, {"texts", "raw"})
    texts = _texts("texts", fields.get("texts"), MOST_TEXTS, MOST_CHARACTERS)
    raw = _texts("raw", fields.get("raw", texts), MOST_TEXTS, MOST_CHARACTERS)
    if len(raw) != len(texts):
        raise InputError(f"{len(raw)} raw prompts for {len(texts)} texts: give one each")
    return texts, raw


def allowed(candidate: Candidate) -> dict[str, Any]:
    """A candidate as the answer tells it."""
    names = ("text", "score", "aesthetic", "kept", "lost", "added", "tokens")
    fields = {name: getattr(candidate, name) for name in names}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}


def _only(fields: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(fields) - known):
        raise InputError(f"no field '{unknown[0]}': there are {', '.join(sorted(known))}")


def _texts(
    name: str, values: Any, most: int, longest: int, *, empty: bool = False
) -> Sequence[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InputError(f"{name} must be text, or a list of texts where several are allowed")
    if not values and not empty:
        raise InputError(f"{name} is empty: give at least one")
    if len(values) > most:
        raise InputError(f"{name} has {len(values)} entries: at most {most} are allowed")
    if any(len(value) > longest for value in values):
        raise InputError(f"{name} has a text over {longest} characters: shorten it")
    return values
