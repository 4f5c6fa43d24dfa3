"""Phrases that a model must not add: names of people and of their works, NSFW terms, words of
negative prompts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator

try:
    from re import _parser
except ImportError:  # Python 3.10
    import sre_parse as _parser

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
# Patterns that find nothing in a phrase for seconds: bounded by what they are made of.
_LONGEST_PATTERN, _MOST_REPEATS, _FEW_TIMES, _TOO_MANY = 200, 3, 20, 10**6
_LONGEST_PHRASE = 300  # characters that a pattern looks at
_NAME_END = re.compile(r"[,;.|]|$")


_DEFAULT = frozenset(tuple(words(term)) for name in _LISTS for term in read_lines(f"rules/{name}"))
_LONGEST = max(map(len, _DEFAULT))  # words
_FIRST = frozenset(term[0] for term in _DEFAULT)


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
        self._terms = (_DEFAULT - set(_runs(allowed, _LONGEST, _FIRST))) | custom
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
            blocked += [
                match.group() for match in pattern.finditer(text[:_LONGEST_PHRASE]) if match.group()
            ]
        return list(dict.fromkeys(blocked))

    def clean(self, phrases: Iterable[str]) -> list[str]:
        """The phrases with nothing blocked in them."""
        return [phrase for phrase in phrases if not self.find(phrase)]


def _runs(
    spoken: list[str], longest: int, first: Container[str] | None = None
) -> Iterator[tuple[str, ...]]:
    """All runs of up to `longest` neighbouring words; only those that begin with one of `first`."""
    for start, word in enumerate(spoken):
        if first is not None and word not in first:
            continue
        for end in range(start + 1, min(start + longest, len(spoken)) + 1):
            yield tuple(spoken[start:end])


def _bare(text: str) -> str:
    """`text` without accents."""
    return re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text))


def _compile(term: str) -> re.Pattern:
    if len(term) > _LONGEST_PATTERN:
        raise InputError(
            f"a blocked pattern has {len(term)} characters: {_LONGEST_PATTERN} at most"
        )
    try:
        # Looked at before it is compiled, which may itself take long.
        repeats = sum(_repeats(_parser.parse(term[1:-1], re.IGNORECASE)))
        if repeats <= _MOST_REPEATS:
            return re.compile(term[1:-1], re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"blocked pattern {term} is no regular expression: {error}") from None
    raise InputError(
        f"blocked pattern {term} could take for ever: use {_MOST_REPEATS} signs like * and + at "
        "most, none of them around another one, around | or with a large {number}"
    )


def _repeats(parsed: Iterable, inside: bool = False) -> Iterator[int]:
    """How many repetitions a parsed pattern has; many where one stands around another or a |."""
    for operator, argument in parsed:
        name = str(operator)
        if "REPEAT" in name:
            least, most, body = argument
            if most != _parser.MAXREPEAT and most <= 1:
                yield from _repeats(body, inside)
                continue
            bounded = most != _parser.MAXREPEAT and most <= _FEW_TIMES
            yield _TOO_MANY if inside or (least > _FEW_TIMES) else int(not bounded)
            yield from _repeats(body, True)
        elif name == "BRANCH":
            yield _TOO_MANY if inside else 0
            for branch in argument[1]:
                yield from _repeats(branch, inside)
        elif name.startswith("GROUPREF"):
            yield _TOO_MANY
        elif name in ("SUBPATTERN", "ATOMIC_GROUP", "ASSERT", "ASSERT_NOT"):
            yield from _repeats(argument[-1] if name != "ATOMIC_GROUP" else argument, inside)
