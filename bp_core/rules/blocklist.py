"""Phrases that a model must not add: names of people and of their works, NSFW terms, words of
negative prompts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from ..errors import InputError
from ..text.word_lists import read_lines
from ..text.words import words

_LISTS = ("artists", "famous_people", "works", "nsfw", "negative_prompts")
# "by X" credits somebody when it opens a phrase or follows a word for a work or its making;
# "lit by candles", "surrounded by trees", "by the sea" do not.
_CREDIT = re.compile(
    r"(?:^|(?<=[,;.])|\b(?:art|artwork|paint|illustrat|draw|sketch|photo|picture|poster|cover|comic"
    r"|render|design|concept|portrait|creat|made|direct|style|film|movie|work)\w*)\s*"
    r"\bby\s+(?!(?:the|an?|its|his|her|their|my|our|day|night|hand|side)\b"
    r"|octane|unreal|blender|(?:candle|moon|sun|star|fire|lamp|torch|lantern)\w*)"
    r"|\b(?:style|manner|vein|spirit)s?\s+of\s|\binspired\s+by\s|\band\s+by\s",
    re.IGNORECASE,
)
_NAME_END = re.compile(r"[,;.|]|$")


_DEFAULT = frozenset(tuple(words(term)) for name in _LISTS for term in read_lines(f"rules/{name}"))
_LONGEST = max(map(len, _DEFAULT))  # words


class Blocklist:
    """Finds in a phrase what must not be added to a prompt.

    By default that is names of artists, of the famous, of worlds and studios ("overwatch"), credits
    ("by …", "in the style of …"), NSFW terms and what negative prompts are made of ("low quality");
    whole words, in any case. Names of sites and tools may be added.

    Args:
        extra: further words or phrases, or patterns between slashes ("/neon|glow/").
        allow: the artist's own prompt; what of the defaults it says itself is not blocked.

    Raises:
        InputError: a pattern of `extra` is no regular expression.
    """

    def __init__(self, extra: Iterable[str] = (), allow: str = "") -> None:
        self._patterns: list[re.Pattern] = []
        custom: set[tuple[str, ...]] = set()
        for term in extra:
            term = term.strip()
            if len(term) > 2 and term.startswith("/") and term.endswith("/"):
                self._patterns.append(_compile(term))
            elif words(term):
                custom.add(tuple(words(_bare(term))))
        allowed = words(_bare(allow))
        self._allowed = frozenset(allowed)
        self._terms = (_DEFAULT - set(_runs(allowed, _LONGEST))) | custom
        self._longest = max(map(len, self._terms))

    def find(self, text: str) -> list[str]:
        """The blocked terms in `text`, lower-cased, and its credits; empty when it may be used."""
        spoken = [word.removesuffix("'s") for word in words(_bare(text))]
        blocked = [" ".join(run) for run in _runs(spoken, self._longest) if run in self._terms]
        for match in _CREDIT.finditer(text):
            name = text[match.end() : _NAME_END.search(text, match.end()).start()]
            if not self._allowed.issuperset(words(_bare(name))):
                blocked.append(match.group().strip().lower() + " " + name.strip().lower())
        for pattern in self._patterns:
            blocked += [match.group() for match in pattern.finditer(text) if match.group()]
        return list(dict.fromkeys(blocked))

    def clean(self, phrases: Iterable[str]) -> list[str]:
        """The phrases with nothing blocked in them."""
        return [phrase for phrase in phrases if not self.find(phrase)]


def _runs(spoken: list[str], longest: int) -> Iterator[tuple[str, ...]]:
    """All runs of up to `longest` neighbouring words."""
    for start in range(len(spoken)):
        for end in range(start + 1, min(start + longest, len(spoken)) + 1):
            yield tuple(spoken[start:end])


def _bare(text: str) -> str:
    """`text` without accents."""
    return re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text))


def _compile(term: str) -> re.Pattern:
    try:
        return re.compile(term[1:-1], re.IGNORECASE)
    except re.error as error:
        raise InputError(f"blocked pattern {term} is no regular expression: {error}") from None
