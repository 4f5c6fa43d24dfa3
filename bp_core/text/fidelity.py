"""What of the artist's prompt a rewrite keeps, and how to put back what it lost."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from .literals import QUOTED, literals
from .words import CJK, CLAUSE_END, NEGATIONS, STOPWORDS, WORD, clauses, stem, words

_QUOTE = re.compile(r"[\"“”]")
# Words that say little without the words behind them.
_LEADING = re.compile(
    r"above|below|under|underneath|beneath|over|beside|behind|between|near|inside|outside|around"
    r"|against|left|right|top|front|next|opposite|\w{2,}ing"
)
_DETERMINERS = frozenset(("a", "an", "the", "his", "her", "its", "their", "my", "your"))
# A rewrite that lost more phrases than this is not worth a repair.
_MOST_REPAIRS = 16
_SOUGHT = 64  # literals looked for letter by letter: bounds the time on a prompt of nothing else


@dataclass(frozen=True)
class Fidelity:
    """What a rewrite kept.

    Attributes:
        kept: share (0-1) of the different content words still there; 1.0 when there are none.
        lost: the others, as the artist wrote them; a negated word with its negation.
    """

    kept: float
    lost: tuple[str, ...]


WHOLE = Fidelity(1.0, ())


class _Word(NamedTuple):
    start: int
    end: int
    text: str  # lower case
    stem: str
    counts: bool  # a content word, or quoted
    turned: bool  # a negation stands before it; `start` is where that begins
    literal: bool  # quoted, or a negation that turns nothing: kept wherever the word stands
    clause: int


@lru_cache(maxsize=4)  # one prompt is asked about for each of its drafts
def _scan(text: str, quotations: bool = False) -> tuple[_Word, ...]:
    """The words of `text`; a negation is part of the content word behind it.

    `quotations` tells the artist's text, whose quoted words are literal, from a rewrite.
    """
    breaks = [match.start() for match in CLAUSE_END.finditer(text)]
    scopes = sorted(breaks + [match.start() for match in _QUOTE.finditer(text)])
    quotes = [match.span() for match in QUOTED.finditer(text)] if quotations else []
    scanned: list[_Word] = []
    negation: _Word | None = None
    scope = 0
    for match in WORD.finditer(text):
        start, end = match.span()
        low = unicodedata.normalize("NFKC", match.group()).lower().replace("’", "'")
        clause = bisect_right(breaks, start)
        quote = bisect_right(quotes, (start, end)) - 1
        quoted = quote >= 0 and start < quotes[quote][1]
        if scope != (scope := bisect_right(scopes, start)) and negation:
            scanned.append(negation)
            negation = None
        if not quoted and (low in NEGATIONS or low.endswith("n't")):
            word = _Word(start, end, low, stem(low), True, False, True, clause)
            negation = negation or word
            continue
        counts = quoted or low not in STOPWORDS
        turned = counts and negation is not None
        if re.match(f"[{CJK}]", low):
            for i in range(max(1, end - start - 1)):
                pair, at = low[i : i + 2], start + i
                scanned.append(_Word(at, at + len(pair), pair, pair, True, turned, quoted, clause))
        else:
            begin = negation.start if turned else start
            scanned.append(_Word(begin, end, low, stem(low), counts, turned, quoted, clause))
        if counts:
            negation = None
    return (*scanned, negation) if negation else tuple(scanned)


def _lost(wanted: Sequence[_Word], rewrite: str) -> list[int]:
    """Indices of the content words of `wanted` that `rewrite` lacks."""
    present = _scan(rewrite)
    turned = {word.stem for word in present if word.turned}
    # "humanoid dog" keeps no "humanoiddog" of an artist who has both.
    plain = {word.stem for word in present if not word.turned}
    plain |= set(_compounds(present)) - set(_compounds(wanted))
    anywhere = plain.union(turned, map(stem, words(rewrite)))
    lost = []
    for i, word in enumerate(wanted):
        if word.counts and word.stem not in (
            anywhere if word.literal else turned if word.turned else plain
        ):
            joined = set(_compounds(wanted[max(0, i - 1) : i + 2]))
            if word.turned or not plain.intersection(joined):
                lost.append(i)
    return lost


def _compounds(scanned: Sequence[_Word]) -> Iterator[str]:
    """Neighbours in one: "light house" is a lighthouse, "8 k" is 8k."""
    for a, b in pairwise(scanned):
        if a.counts and b.counts and not (a.turned or b.turned) and a.clause == b.clause:
            yield a.stem + b.stem


def fidelity(raw: str, rewrite: str) -> Fidelity:
    """How much of the content words of `raw` stands in `rewrite`.

    Case, plural, simple inflection and order do not count; a word said twice is wanted once.
    Numbers, colours, names and words of place do count, and so do negations: "people" does not
    keep "no people", nor the reverse.
    """
    wanted = _scan(raw, quotations=True)
    content = {(word.stem, word.turned) for word in wanted if word.counts}
    lost: dict[tuple[str, bool], str] = {}
    for i in _lost(wanted, rewrite):
        word = wanted[i]
        lost.setdefault((word.stem, word.turned), raw[word.start : word.end])
    signs = _literals(raw)
    named = {word for text in lost.values() for word in words(text)}
    missing = [text for text in _altered(signs, rewrite) if named.isdisjoint(words(text))]
    total = len(content) + len(signs)
    missed = len(lost) + len(missing)
    return Fidelity(1 - missed / total if total else 1.0, (*lost.values(), *missing))


def _literals(text: str) -> dict[str, str]:
    """What of `text` counts to the character, as it is compared and as it is written."""
    return {_key(match): match.group() for match in literals(text)}


def _key(literal: re.Match) -> str:
    text = unicodedata.normalize("NFC", literal.group())
    if literal.lastgroup == "quoted":
        return text[1:-1]
    return text.casefold().replace(" ", "") if literal.lastgroup == "number" else text.casefold()


def _altered(signs: dict[str, str], rewrite: str) -> list[str]:
    """Those of `signs` (from `_literals`) that do not stand in `rewrite` to the letter."""
    if not signs:
        return []
    present = _literals(rewrite)
    missing = {key: text for key, text in signs.items() if key not in present}
    rewrite = unicodedata.normalize("NFC", rewrite)
    low = rewrite.casefold()
    for key in [*missing][:_SOUGHT]:
        around = re.escape(key)
        around = (r"(?<!\w)" if key[0].isalnum() else "") + around
        around += r"(?!\w)" if key[-1].isalnum() else ""
        quoted = key != missing[key].casefold().replace(" ", "") and key == missing[key][1:-1]
        if re.search(around, rewrite if quoted else low):
            del missing[key]
    return list(missing.values())


def mend(raw: str, rewrite: str) -> str:
    """`rewrite` with the lost phrases of `raw` put back, so that its fidelity is 1.0.

    Lost modifiers go before the word that they belong to ("apples" -> "three red apples"). Other
    phrases go to the front or, from a later clause of `raw`, behind the clause of `rewrite` that
    says most of what their own said; two of one clause bring the whole clause back.
    """
    wanted = _scan(raw, quotations=True)
    whole = f"{raw}, {rewrite}"
    lost = _lost(wanted, rewrite)
    if len(lost) > _MOST_REPAIRS:
        return whole
    for i in lost:
        first, last = _phrase(wanted, i, set(lost))
        rewrite = _modify(raw, wanted[first : last + 1], rewrite) or rewrite
    phrases: dict[int, tuple[int, int]] = {}  # by clause of `raw`
    for i in _lost(wanted, rewrite):
        first, last = phrases.setdefault(wanted[i].clause, _phrase(wanted, i, set(lost)))
        if not first <= i <= last:
            phrases[wanted[i].clause] = _clause(wanted, i)
    for first, last in reversed(phrases.values()):
        rewrite = _put_back(raw, wanted, (first, last), rewrite)
    if altered := _altered(_literals(raw), rewrite):
        rewrite = _with_clauses(raw, rewrite, altered)
    return rewrite if fidelity(raw, rewrite).kept == 1 else whole


def _with_clauses(raw: str, rewrite: str, altered: list[str]) -> str:
    """`rewrite` with the clauses of `raw` that hold what was altered."""
    for clause in dict.fromkeys(part for part in clauses(raw) if any(a in part for a in altered)):
        rest = _without(rewrite, {word.stem for word in _scan(clause) if not word.turned})
        rewrite = f"{rest}, {clause}" if rest else clause
    return rewrite


def _clause(scanned: Sequence[_Word], i: int) -> tuple[int, int]:
    """First and last word of the clause of word `i`."""
    first = last = i
    while first and scanned[first - 1].clause == scanned[i].clause:
        first -= 1
    while last + 1 < len(scanned) and scanned[last + 1].clause == scanned[i].clause:
        last += 1
    return first, last


def _phrase(scanned: Sequence[_Word], i: int, lost: set[int]) -> tuple[int, int]:
    """The smallest readable stretch around the lost word `i`, within its clause."""
    begin, end = _clause(scanned, i)
    content = [k for k in range(begin, end + 1) if scanned[k].counts]
    if 2 * len(lost.intersection(content)) > len(content):
        return begin, end
    first = last = i
    while first > begin and scanned[first - 1].counts and not _leads(scanned[first - 1]):
        first -= 1
    while last < end and (scanned[last + 1].counts or _leads(scanned[last])):
        last += 1
    while last > i and not scanned[last].counts:  # the clause ended on "of the"
        last -= 1
    if first > begin and scanned[first - 1].text in _DETERMINERS and not scanned[first].turned:
        first -= 1
    return first, last


def _leads(word: _Word) -> bool:
    """Whether `word` calls for the words behind it: "under" the table, "riding" a horse."""
    return not word.counts or bool(_LEADING.fullmatch(word.text))


def _put_back(raw: str, wanted: Sequence[_Word], phrase: tuple[int, int], rewrite: str) -> str:
    """`rewrite` with a phrase (first and last word) of `raw`, whose words are `wanted`."""
    lacking = wanted[phrase[0] : phrase[1] + 1]
    text = _cut(raw, lacking[0].start, lacking[-1].end)
    rewrite = _without(rewrite, {word.stem for word in lacking if not word.turned})
    present = _scan(rewrite)
    if not present or lacking[0].clause == wanted[0].clause:
        return f"{text}, {rewrite}" if rewrite else text
    about = {word.stem for word in wanted if word.counts and word.clause == lacking[0].clause}
    shared = Counter(word.clause for word in present if word.stem in about)
    clause = shared.most_common(1)[0][0] if shared else present[0].clause
    at = max(word.end for word in present if word.clause == clause)
    at += len(re.match(r"[\"”’]*", rewrite[at:]).group())
    return f"{rewrite[:at]}, {text}{rewrite[at:]}"


def _without(text: str, stems: set[str]) -> str:
    """`text` less the clauses that say nothing beyond `stems`."""
    news = {
        word.clause
        for word in _scan(text)
        if word.counts and (word.turned or word.stem not in stems)
    }
    cuts = [0, *(match.end() for match in CLAUSE_END.finditer(text)), len(text)]
    parts = [text[start:end] for start, end in pairwise(cuts)]
    return "".join(part for i, part in enumerate(parts) if i in news).strip(" ,;")


def _modify(raw: str, phrase: Sequence[_Word], rewrite: str) -> str | None:
    """`rewrite` with the modifiers of `phrase` before its head; None if that is no way.

    The head is the last word; it must stand in `rewrite` without modifiers of its own.
    """
    # A quoted "a" is a phrase of its own, head and all.
    *modifiers, head = phrase[len(phrase) > 1 and phrase[0].text in _DETERMINERS :]
    if not modifiers or head.turned or any(map(_leads, modifiers)):
        return None
    for before, word in pairwise([None, *_scan(rewrite)]):
        if word.stem != head.stem or word.turned:
            continue
        if before and before.counts and before.clause == word.clause:
            continue
        lead = raw[modifiers[0].start : head.start]
        noun = rewrite[word.start : word.end]
        start = word.start
        article = before is not None and before.text in ("a", "an")
        if modifiers[0].stem.isdigit() and modifiers[0].stem != "1":  # the number rules the noun
            noun = raw[head.start : head.end]
            start = before.start if article else start
        elif article:
            start = before.start
            lead = f"{'an' if lead[0].lower() in 'aeiou' else 'a'} {lead}"
        return rewrite[:start] + lead + noun + rewrite[word.end :]
    return None


def _cut(raw: str, start: int, end: int) -> str:
    """`raw[start:end]`, widened so that it cuts no quotation."""
    for match in QUOTED.finditer(raw):
        if match.start() < end and start < match.end():
            start, end = min(start, match.start()), max(end, match.end())
    return raw[start:end]
