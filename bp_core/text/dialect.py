"""Kinds of prompt: phrases for SD and SDXL, sentences for newer models, Danbooru tags for anime."""

from __future__ import annotations

import re

from ..settings import DIALECTS
from .words import clauses

_AUTO, TAGS, PROSE, BOORU = DIALECTS

# Danbooru begins with who is there; nobody types these otherwise.
_WHO = re.compile(r"\d\+?(?:girl|boy|other)s?|multiple (?:girls|boys)|no humans|solo|score_\d\S*")
_UNDERSCORED = re.compile(r"[^\W_]\w*_\w+(?: \([^)]*\))?")
_LONGEST_TAG = 4  # words
# A verb that makes a caption a sentence: "the cat is asleep", not "a sleeping cat".
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|stands?|sits?|lies|hangs?|walks?|runs?|rides?|holds?|looks?)\b"
)
_SENTENCE = 5  # words at least


def dialect_of(prompt: str) -> str:
    """The dialect that a prompt's own form speaks: TAGS, PROSE or BOORU.

    Danbooru tags: a tag that says who is there, or two with underscores, and no part longer than a
    tag. Sentences: five words or more with a full stop or a verb. Everything else is phrases.
    """
    parts = [part.strip().lower() for part in prompt.split(",") if part.strip()]
    short = all(len(part.split()) <= _LONGEST_TAG for part in parts)
    who = any(_WHO.fullmatch(part) for part in parts)
    if short and (who or sum(bool(_UNDERSCORED.fullmatch(part)) for part in parts) > 1):
        return BOORU
    sentences = [clause for clause in clauses(prompt) if len(clause.split()) >= _SENTENCE]
    ended = prompt.rstrip().endswith((".", "!", "?")) and not prompt.rstrip().endswith("..")
    if sentences and (ended or any(_VERB.search(clause.lower()) for clause in sentences)):
        return PROSE
    return TAGS
