"""Syntax items woven into a rewritten text: each once, in order, where it says most."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence

from .syntax import Piece, ends_comment
from .words import CJK

Place = tuple[int, int]  # the stretch of the text that an item replaces; empty where it is added

# Words to match an item's words against those of a text; CJK characters one by one.
_WORD = re.compile(rf"[{CJK}]|(?:[^\W_{CJK}]|['’])+")
_PHRASE_END = re.compile(r"(?<!\d),|,(?!\d)|[;，、；。！？]|[.!?](?=\s)")
_PUNCTUATION = ",;.!?，、；。！？"
_STOPS = tuple(".!?。！？")
_CJK = re.compile(f"[{CJK}]")
_BEFORE = re.compile(r"[\s\"“,;，、；。！？]")
_AFTER = re.compile(r"[.!?]?(?:[\s\"”,;，、；。！？]|$)")
_BRACKETED = frozenset(("group", "schedule", "alternation"))
# Items that stand among the phrases of a description, parted by commas; the rest takes a space.
_PHRASES = _BRACKETED | frozenset(
    "fixed choice wildcard embedding escape flag hash number tag multi plus emoticon link".split()
)
_COLON_NUMBER = re.compile(r":\s*[-+]?(?:\d+\.?|\d*\.\d+)$")
_ANCHORS = 8  # words before a clause that stays, by which its place is sought
_TRIES = 16  # places looked at for the words of one item: bounds the time on repetitive text


def weave(pieces: Sequence[Piece], readings: Sequence[str], text: str) -> str:
    """`text` with every syntax item of `pieces` put in, in order; `readings` are their words.

    An item whose words stand in `text` replaces them there. Any other goes to the phrase boundary
    nearest to its old place, reckoned as the share of the words of `pieces` before it.
    """
    words = [[word.lower() for word in _WORD.findall(reading)] for reading in readings]
    chosen = [i for i, piece in enumerate(pieces) if piece.kind != "prose"]
    items = [pieces[i] for i in chosen]
    before = [words[i - 1][-_ANCHORS:] if i and pieces[i].kind == "fixed" else [] for i in chosen]
    places = _places([words[i] for i in chosen], items, _shares(pieces, words), text, before)
    line, at = _Line(), 0
    for item, (start, end) in zip(items, places, strict=True):
        line.add_text(text[at:start])
        line.add_item(item, matched=start < end)
        at = end
    line.add_text(text[at:])
    return line.finish()


def _shares(pieces: Sequence[Piece], words: list[list[str]]) -> list[float]:
    """For each item of `pieces` the share (0-1) of all their words that stand before it."""
    before, count = [], 0
    for piece, spoken in zip(pieces, words, strict=True):
        if piece.kind != "prose":
            before.append(count)
        count += len(spoken)
    if count:
        return [n / count for n in before]
    # Without a word to go by, text goes behind what describes or comments, before the rest.
    items = [piece for piece in pieces if piece.kind != "prose"]
    leading = [i for i, item in enumerate(items) if item.kind in _PHRASES or ends_comment(item)]
    last = max(leading, default=-1)
    return [0.0 if i <= last else 1.0 for i in range(len(items))]


def _places(
    words: list[list[str]],
    items: list[Piece],
    shares: list[float],
    text: str,
    before: list[list[str]],
) -> list[Place]:
    """Where each item, with its `words` and those `before` it, goes in `text`."""
    tokens = list(_WORD.finditer(text))
    places = _matches(words, items, tokens, text)
    ends = [0, *(match.end() for match in _PHRASE_END.finditer(text)), len(text)]
    limits, limit = [], len(text)  # each item stays before the next one that found its words
    for place in reversed(places):
        limits.append(limit)
        limit = place[0] if place else limit
    limits.reverse()
    spoken = {token.group().lower(): token.end() for token in reversed(tokens)}
    chosen: list[Place] = []
    low = 0
    for place, share, high, words_before in zip(places, shares, limits, before, strict=True):
        anchor = next((spoken[word] for word in reversed(words_before) if word in spoken), -1)
        if place is None and low <= anchor <= high:
            at = ends[bisect_left(ends, anchor)]
            place = (min(at, high),) * 2
        if place is None:
            nth = round(share * len(tokens))
            wish = tokens[nth].start() if nth < len(tokens) else len(text)
            at = _nearest(ends, 0 if share == 0 else wish, low, high)
            place = (at, at)
        chosen.append(place)
        low = place[1]
    return chosen


def _matches(
    words: list[list[str]], items: list[Piece], tokens: list[re.Match], text: str
) -> list[Place | None]:
    """Where the words of each item stand in `text`, each match behind the one before."""
    text_words = [token.group().lower() for token in tokens]
    index: dict[str, list[int]] = defaultdict(list)
    for i, word in enumerate(text_words):
        index[word].append(i)
    places: list[Place | None] = []
    first = 0
    for item, item_words in zip(items, words, strict=True):
        places.append(None)
        candidates = index.get(item_words[0], []) if item_words else []
        begin = bisect_left(candidates, first)
        for i in candidates[begin : begin + _TRIES]:
            if text_words[i : i + len(item_words)] != item_words:
                continue
            start, end = tokens[i].start(), tokens[i + len(item_words) - 1].end()
            if _is_apart(text, start, end, item.kind):
                places[-1] = (start, end)
                first = i + len(item_words)
                break
    return places


def _is_apart(text: str, start: int, end: int, kind: str) -> bool:
    """Whether syntax put at `start:end` would touch no word: touching, the two would be one."""
    before = start == 0 or _BEFORE.match(text, start - 1)
    after = _AFTER.match(text, end)
    if kind in _BRACKETED:
        before = before or _CJK.match(text, start - 1)
        after = after or _CJK.match(text, end)
    return bool(before and after)


def _nearest(ends: list[int], wish: int, low: int, high: int) -> int:
    """The phrase end within low..high nearest to `wish`; failing one, the nearer limit."""
    first, last = bisect_left(ends, low), bisect_right(ends, high)
    if first == last:
        return low if wish - low <= high - wish else high
    i = bisect_left(ends, wish, first, last)
    return min(ends[max(first, i - 1) : min(last, i + 1)], key=lambda end: abs(end - wish))


class _Line:
    """The woven text under construction: puts the right joint between its parts."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        # What came last: nothing ("start"), text with or without a space behind it ("gap",
        # "word"), an item at the place of its words ("matched"), an added "phrase" or other
        # "item", an opening bracket ("open"), a line break ("break").
        self.last = "start"
        self.ratio = -1  # the part that ends the description like a weight, such as 16:9

    def add_text(self, chunk: str) -> None:
        body = chunk.strip()
        if self.last in ("phrase", "item"):
            body = body.lstrip(_PUNCTUATION + " ")
        if not body:
            if chunk and self.last in ("word", "matched"):
                self.last = "gap"
            return
        ended = bool(self.parts) and self.parts[-1].endswith(_STOPS)
        joints = {"gap": " ", "item": " ", "phrase": " " if ended else ", "}
        if self.last in ("word", "matched"):
            joints[self.last] = " " if chunk[0].isspace() else ""
        self.parts.append(joints.get(self.last, "") + body)
        self.last = "gap" if chunk[-1].isspace() else "word"
        self.ratio = -1

    def add_item(self, item: Piece, matched: bool) -> None:
        self.parts.append(self._joint(item, matched) + item.text)
        if item.text[-1] in "\r\n":
            self.last = "break"
        elif matched:
            self.last = "matched"
        elif item.kind in _PHRASES:
            self.last = "phrase"
        else:
            self.last = "open" if item.kind == "bracket" and item.text[-1] in "([{" else "item"
        if item.kind in ("weight", "network", "comment", "newline"):
            return
        # What stands behind flags would become a part of them.
        ratio = item.kind != "end" and _COLON_NUMBER.search(item.text)
        self.ratio = len(self.parts) - 1 if ratio else -1

    def _joint(self, item: Piece, matched: bool) -> str:
        if self.last in ("start", "break") or item.kind == "newline":
            return ""
        if matched and self.last == "word":
            return ""  # a quotation mark stands between
        if self.last == "phrase":
            return " " if self.parts[-1].endswith(_STOPS) else ", "
        if item.kind in _PHRASES and not matched and self.last in ("word", "gap", "matched"):
            return " " if self.parts[-1][-1] in _PUNCTUATION else ", "
        return " "

    def finish(self) -> str:
        if self.ratio >= 0:
            self.parts[self.ratio] += ","  # the WebUI would take the number for a weight
        return "".join(self.parts)
