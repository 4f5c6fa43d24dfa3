"""Places in a prompt where it can be said what a thing has: right behind the thing, if what follows
makes that right English.

No parser: a place is taken only where lists of words and the order of words tell that it is safe.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .concepts import LENT, Mention
from .looks import ARTICLES, NUMBERS, PARTICIPLES, PREPOSITIONS, is_art, is_noun
from .word_lists import read_words
from .words import CLAUSE_END, NEGATIONS, STOPWORDS, stem

_NAMED = frozenset(
    "creature person plant food thing clothing building vehicle nature place".split()
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NAME = re.compile(r"[^\W\d_]+(?:[ -][^\W\d_]+)*")
# Signs that tie a word to the next one.
_TYING = frozenset("([{)]}\\|:*_^#@+=~/-<>'’\"“”")
_BRACKETS = frozenset("([{)]}|:")
_DETERMINERS = (
    ARTICLES
    | NUMBERS
    | frozenset(
        "the this that these those his her its their my your our one another each every some "
        "several many few both all any no".split()
    )
)
_ONE = ARTICLES | frozenset(("one", "this", "that", "another", "each", "every", "any"))
_SEVERAL = NUMBERS | frozenset("several many few both all some pair group set".split())
_PLURALS = frozenset("people men women children geese mice sheep feet teeth cattle fish".split())
_STATES = frozenset("asleep alone alive afloat adrift outside inside".split())
_BE = frozenset("is are was were has have".split())
# Behind a thing these go on about something else; "to", "of" and "for" do not.
_ONWARD = (
    PREPOSITIONS - frozenset("of for like out without off up down".split())
    | _BE
    | _STATES
    | frozenset("while when where because until who".split())
)
_INNER = PREPOSITIONS - {"of"} | {"with"}
# Words that belong to the thing before them: a piano on fire, a lion in the style of an icon.
_BOUND = re.compile(
    r"(?:on (?:fire|sale|wheels|stilts|legs|top)|in (?:flames|bloom|flower|flight|motion|space|"
    r"love|half|pieces|action|\w+ style|(?:the )?(?:shape|style|form|manner))|"
    r"at (?:work|play|rest)|from (?:above|below|behind)|by (?:side|step)|inside out|nearby)\b"
)
# What a thing is made of, or in whose style it is, has nothing itself.
_STUFF = re.compile(
    r"\b(?:made|carved|cut|built|cast|formed|sculpted|woven|knitted|folded|crafted|constructed) "
    r"(?:\w+ )?(?:of|from|in|out)\b|\bout of\b|\b(?:style|shape|form|manner) of\b"
)
# They tell what sort the next thing is: in "wooden fishing boat" nothing fishes.
_MODIFYING = frozenset(
    "fishing sailing racing riding hunting climbing swimming dancing training cooking washing "
    "sewing knitting drinking writing shopping dining sleeping working landing wedding gaming "
    "milking building watering mixing serving cutting carrying walking sitting standing".split()
)
# Things that may be colours where others are listed.
_COLOURS = (LENT - {"navy"}) | frozenset(
    "bone sand copper bronze gold silver charcoal wine moss teal".split()
)
_ABSOLUTE = frozenset("only just no nothing him me you it them us".split())
_AFTER_PARTICIPLE = PREPOSITIONS | {"with", "to", "as"}
_ITEM = 6  # words of one of several things in a row


class Place(NamedTuple):
    """Where a thing's looks may go.

    Attributes:
        at: offset in the text.
        joint: "with" behind the thing; "and" behind a "with" that is there already; "with," in
            front of a participle, from which a comma parts it.
        several: the text names more than one of the thing.
        follows: what of the clause does, so that what hangs on a look must not run on it: "verb",
            "more", or "" for nothing.
        reach: what it shares with those places of which only one can be taken: the clause, and the
            number of verbs before it.
    """

    at: int
    joint: str
    several: bool
    follows: str
    reach: tuple[int, ...]


def place_of(text: str, mention: Mention, sign: str = "") -> Place | None:
    """The place behind a mention; None where it is not safe.

    Args:
        text: a sentence or a clause.
        sign: what stands behind the text.
    """
    return _Around(text, _head_of(text, mention), sign).place()


def is_finite(word: str) -> bool:
    """Whether a word is likely the verb of a sentence."""
    return (word.endswith("s") and stem(word) in _verbs()) or word in _BE


def _head_of(text: str, mention: Mention) -> Mention:
    """The thing that a longer name is about: the fox of "fox in the snow"."""
    doing = {stem(word) for word in mention.name.split() if _is_doing(word)}
    for match in list(_WORD.finditer(text, mention.start, mention.end))[1:]:
        word = match[0].lower()
        if word in _INNER or _is_doing(word) or stem(word) in doing:
            return mention._replace(end=len(text[: match.start()].rstrip()))
    return mention


def _is_doing(word: str) -> bool:
    """Whether a word says what something does: "sleeping", but not "building"."""
    return word.endswith("ing") and stem(word) in _verbs() and not is_noun(word)


class _Around:
    """A mention among the words of its sentence."""

    def __init__(self, text: str, mention: Mention, sign: str) -> None:
        self.text, self.mention, self.sign = text, mention, sign
        cuts = [match.start() for match in CLAUSE_END.finditer(text)]
        begin = max((cut + 1 for cut in cuts if cut < mention.start), default=0)
        self.is_cut = any(mention.start <= cut < mention.end for cut in cuts)
        self.clause_end = min((cut for cut in cuts if cut >= mention.end), default=len(text))
        stop = re.search(r"[.!?]", text[self.clause_end :])
        self.is_sentence = bool(stop)
        self.after = text[self.clause_end :][: stop.start() + 1 if stop else None]
        low = text.lower()
        self.name = _WORD.findall(low[mention.start : mention.end])
        self.before = _WORD.findall(low[begin : mention.start])
        self.behind = _WORD.findall(low[mention.end : self.clause_end])
        self.earlier = _WORD.findall(low[: mention.start])  # of the whole text
        self.reach = (begin, sum(map(is_finite, self.earlier)))
        last = self.name[-1] if self.name else ""
        self.several = (
            bool(_SEVERAL.intersection(self.before[-3:]))
            or (last.endswith("s") and last != stem(last))
            or last in _PLURALS
        )

    def place(self) -> Place | None:
        end = self.mention.end
        rest = self.text[end : self.clause_end]
        if not self._is_thing() or self._is_listed() or re.match(r"\W*with\b", self.after):
            return None
        if not self.behind:
            tied = self.clause_end == len(self.text) and self.sign in _BRACKETS
            return None if rest.strip() or tied else self._made(end, "with", "")
        joint = self._joint() if re.match(r"\s+[^\W_]", rest) else ""
        if joint == "and":
            end += re.match(r"\s+with\b", rest).end()
        follows = "more" if self.behind[0] in _INNER else "verb"
        if self.mention.kind == "style" and follows == "more":
            return None  # "a photograph in a temple of a fresco" is of a fresco
        return self._made(end, joint, follows) if joint else None

    def _made(self, at: int, joint: str, follows: str) -> Place:
        return Place(at, joint, self.several, follows, self.reach)

    def _is_thing(self) -> bool:
        """Whether the mention is a thing by itself that may have something."""
        kind, text = self.mention.kind, self.text[self.mention.start : self.mention.end]
        if self.is_cut or not _NAME.fullmatch(text) or "and" in self.name:
            return False
        last, near = self.name[-1], self.before[-4:]
        if kind not in _NAMED and kind != "body" and not (kind == "style" and is_art(last)):
            return False
        if self.mention.start and self.text[self.mention.start - 1] in _TYING:
            return False
        following = self.text[self.mention.end : self.clause_end].lstrip()
        named = text.rsplit(" ", 1)[-1][:1].isupper() and (self.before or len(self.name) > 1)
        if named or following[:1].isupper():
            return False  # a proper name, or a part of one
        denied = any(word in NEGATIONS or word.endswith("n't") for word in near)
        if denied or "nothing" in near or _STUFF.search(" ".join(self.before[-6:])):
            return False
        if last in _COLOURS and self.before[-1:] in (["and"], ["in"]):
            return False  # "an abstract in ochre and bone"
        if "with" in self.before and not self._has_verb_since("with"):
            return False
        return not self._may_be_verb(last)

    def _is_listed(self) -> bool:
        """Whether the mention ends one of several things in a row, but the last: "fish, squid and
        crabs", where what the fish have would be a part of the row."""
        for part in self.after.split(",")[1:]:
            words = _WORD.findall(part.lower())
            end = words.index("and") if "and" in words else len(words)
            if end > _ITEM or any(map(is_finite, words[:end])):
                return False
            if end < len(words):
                return True
        return False

    def _may_be_verb(self, last: str) -> bool:
        if _is_doing(last) or (last.endswith("ed") and not is_noun(last)):
            return True
        if len(self.name) > 1 or last in self.mention.name or not last.endswith("s"):
            return False
        # "A young baker dusts" and "the stamps" differ in what stands before.
        usual = _DETERMINERS - _ONE | PREPOSITIONS
        return stem(last) in _verbs() and bool(self.before) and self.before[-1] not in usual

    def _has_verb_since(self, word: str) -> bool:
        at = len(self.before) - 1 - self.before[::-1].index(word)
        return any(stem(said) in _verbs() or said in _BE for said in self.before[at + 2 :])

    def _joint(self) -> str:
        """How what the thing has is joined to what follows it; "" where that is not safe."""
        word, *more = self.behind
        after = more[0] if more else ""
        if word == "with":
            first = not any(_is_verb(said) or said in _INNER for said in self.before)
            return "and" if first and after and after not in _ABSOLUTE else ""
        if word in ("next", "together"):
            return "with" if after in ("to", "with") else ""
        if word == "and":
            return "with" if self._goes_on(more) and any(map(_is_verb, self.before)) else ""
        if word in _ONWARD:
            bound = _BOUND.match(" ".join(self.behind[:3]))
            strange = word == "who" and self.mention.kind != "person"
            return "" if bound or strange or not (after or word in _STATES) else "with"
        if word in STOPWORDS:
            return ""
        if word.endswith("ing"):
            return self._before_doing(word, more)
        if word in PARTICIPLES or word.endswith("ed"):
            return self._before_done(more)
        if (word in _verbs()) if self.several else (word[-1:] == "s" and word[-2:] != "ss"):
            known = stem(word) in _verbs() and (
                not after or after in _AFTER_PARTICIPLE | _ONWARD or after.endswith(("ly", "wards"))
            )
            return "with" if after in _DETERMINERS or known else ""
        return ""

    @staticmethod
    def _goes_on(words: list[str]) -> bool:
        """Whether a sentence goes on with another verb: "… and stands on a stone"."""
        verb, following = (*words[:2], "", "")[:2]
        placed = following in _DETERMINERS | PREPOSITIONS or following.endswith(("ly", "wards"))
        return is_finite(verb) and placed

    def _before_doing(self, word: str, more: list[str]) -> str:
        """In front of "playing the accordion"."""
        after, verb = more[0] if more else "", _is_doing(word)
        placed = (
            not after
            or after in _DETERMINERS | _AFTER_PARTICIPLE
            or after.endswith(("ly", "wards"))
        )
        somebody = self.mention.kind in ("creature", "person")
        known = after in _DETERMINERS or (verb and (placed or word not in _MODIFYING))
        # What a canal seems to do may be the subject's doing: "skates across a canal carrying …".
        if not somebody and (not after or any(map(is_finite, self.earlier))):
            return ""
        if is_noun(word) or not (known or (verb and somebody)):
            return ""
        # "a pug with a flat face barking" would have the face bark.
        runs_on = self.is_sentence or any(self._goes_on(more[i:]) for i in range(len(more)))
        return "with" if runs_on and after else "with,"

    def _before_done(self, more: list[str]) -> str:
        """In front of "covered with ivy"."""
        if not more or more[0] not in _AFTER_PARTICIPLE or any(map(is_finite, more)):
            return ""
        # What looks like a participle may be the verb of the sentence: "a man walked across".
        return "with," if not self.is_sentence or any(map(is_finite, self.earlier)) else ""


def _verbs() -> frozenset[str]:
    return read_words("text/verbs")


def _is_verb(word: str) -> bool:
    return (word.endswith(("s", "ing", "ed")) and stem(word) in _verbs()) or word in _BE
