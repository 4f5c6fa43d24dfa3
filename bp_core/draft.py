"""Drafts: a prompt with what a language model wrote behind it or of it, held to the rules."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from .rules.blocklist import Blocklist
from .rules.policy import adds_somebody, contradicts, permitted, stammers
from .settings import Settings
from .text.dialect import BOORU, PROSE, dialect_of
from .text.fidelity import WHOLE, fidelity, mend
from .text.inert import whole
from .text.prompt import inert, parse
from .text.words import clauses, content_stems, sentences, words

if TYPE_CHECKING:
    from .score.taste import Taste
    from .text.prompt import Prompt

# Longer prose is extended even in rewrite mode: no small model copies so much without losing some.
_REWRITABLE = 60  # words
_WORD = 12  # characters of a long word, with its space
_WORDS_AND_MARKS = re.compile(r"\w+|[^\w\s]")
# A draft of which fewer words stay is drawn again, if the model wrote as many.
_THIN = 5


@dataclass(frozen=True)
class Draft:
    """A candidate before ranking.

    Attributes:
        text: the whole prompt, syntax in place; `prose` is what a reward reads of it.
        added: the phrases that the artist's prompt did not have.
        kept: share (0-1) of the artist's content words still there; `lost` are the others.
        logprob: mean log-probability of the drawn tokens, in nats.
        mended: words that the writer had lost were put back.
        appeal: where the model can tell, the sum over its notes of `Verdict.appeal`; of what was
            written word by word, log-odds that a reader keeps it before an average draft.
    """

    text: str
    prose: str
    added: tuple[str, ...]
    kept: float
    lost: tuple[str, ...]
    logprob: float = 0.0
    mended: bool = False
    appeal: float | None = None


class Shaper:
    """Makes drafts of one prompt from the text of any language model: the rules for all of them.

    Args:
        taste: what suits a prompt; without it everything does.
        taught: the model writes the dialect that it is asked for.
        sentences: it can write sentences; else a sentence is put together from its phrases.
        rewritable: words of the longest prose that it may put into other words.

    Attributes:
        raw: the prompt's prose; of one to be rewritten, what may be put into other words.
        settings: as given, but for what is decided here: `mode`, since long prose, and what may
            not be put into other words, is extended whatever was asked for, and an automatic
            `dialect`.
    """

    rewords = False  # what is added may stand in the middle of the artist's text

    def __init__(
        self,
        prompt: str,
        settings: Settings,
        taste: Taste | None = None,
        *,
        taught: bool = True,
        sentences: bool = True,
        rewritable: int = _REWRITABLE,
    ) -> None:
        self.prompt, self.taught, self._sentences = prompt, taught, sentences
        self.parsed = parse(prompt, settings.syntax)
        self.raw = self.parsed.prose
        if settings.dialect == "auto":
            settings = replace(settings, dialect=dialect_of(self.parsed.everything))
        if settings.mode == "rewrite":
            free = "" if settings.dialect == BOORU else self.parsed.free
            if content_stems(free) and _short(free, rewritable):
                self.raw = free
            else:
                settings = replace(settings, mode="expand")
        self.settings = settings
        self.blocklist = Blocklist(settings.block, allow=prompt)
        self.suits = None
        if taste is not None and settings.min_taste > 0:
            self.suits = taste.of(", ".join(filter(None, (self.raw, self.style))))

    @cached_property
    def style(self) -> str:
        """What leads the addition, unless the prompt says it itself."""
        style = inert(self.settings.style).strip(" ,.;")
        said = f" {inert(self.prompt).lower()} ".replace(",", " ")
        return "" if f" {style.lower()} " in said else style

    @property
    def writes_sentences(self) -> bool:
        """Whether sentences are written, by a model that was taught to."""
        able = self._sentences and not self.rewords
        return self.settings.dialect == PROSE and self.taught and able

    @property
    def _joins_sentences(self) -> bool:
        """Whether phrases are put together to a sentence."""
        prose = self.settings.dialect == PROSE and self.taught
        return prose and not self.writes_sentences

    @cached_property
    def asked(self) -> set[str]:
        """Stems of the artist's content words."""
        return set(content_stems(self.raw))

    def unsuitable(self, phrases: list[str]) -> set[str]:
        """Those that say nothing of the artist's and do not suit the prompt."""
        if self.suits is None:
            return set()
        new = [phrase for phrase in phrases if not self.asked.intersection(content_stems(phrase))]
        chances = zip(new, self.suits(new), strict=True)
        return {phrase for phrase, p in chances if p < self.settings.min_taste}

    def refused(self, phrase: str) -> list[str]:
        """What of a phrase must not be added."""
        return self.blocklist.find(phrase)

    def count(self, text: str) -> int:
        """Length of a whole prompt in the image model's tokens."""
        if self.settings.count_tokens is not None:
            return self.settings.count_tokens(whole(text))
        return self._length(whole(text))

    def _length(self, text: str) -> int:
        """Length in the tokens of whoever writes; here, of nobody, in words and marks."""
        return len(_WORDS_AND_MARKS.findall(text))

    def shape(
        self,
        output: str,
        finished: bool = True,
        last: bool = True,
        logprob: float = 0.0,
        doubtful: Container[str] = (),
    ) -> Draft | None:
        """The draft that a model's text makes; None when it must not or need not be shown.

        Args:
            output: a continuation of the artist's prose, or in rewrite mode the prose anew.
            finished: the model ended by itself, and was not cut.
            last: no other draw follows, so that little is better than nothing.
            doubtful: phrases of an addition that had better be left out.
        """
        expand = self.settings.mode == "expand"
        written = output
        if expand and self.writes_sentences:
            made = self._continue(output, finished)
        else:
            phrases = clauses(inert(output))
            if not finished and len(phrases) > 1:
                phrases.pop()  # it was cut in the middle
                output = ""
            if expand:
                made = self._expand([p for p in phrases if p not in doubtful], last)
            else:
                made = self._rewrite(phrases, inert(output) if self.writes_sentences else "")
        if made is None:
            return None
        text, added = made
        prose = parse(text, self.settings.syntax).prose
        # What is written behind the artist's text takes nothing from it.
        loss = WHOLE if expand and not self.rewords else fidelity(self.parsed.prose, prose)
        if text == self.prompt or loss.kept < self.settings.min_kept:
            return None
        mended = not expand and fidelity(self.raw, written).kept < loss.kept
        return Draft(text, prose, tuple(added), loss.kept, loss.lost, logprob, mended)

    def _expand(self, phrases: list[str], last: bool) -> tuple[str, list[str]] | None:
        """The artist's text with the phrases behind it that may stand there."""
        style = [self.style] if self.style else []
        known = ", ".join([self.prompt, *style])
        unsuitable = self.unsuitable(phrases)
        new = permitted(phrases, known, lambda p: p in unsuitable or self.refused(p))
        if not last and len(words(" ".join(new))) < min(_THIN, len(words(" ".join(phrases)))):
            return None
        added: list[str] = []
        text = self.prompt
        for phrase in style + new:
            longer = self._with([*added, phrase])
            if self._too_long(longer):
                break
            added.append(phrase)
            text = longer
        return (text, added) if len(added) > len(style) or (style and added) else None

    def _with(self, added: list[str]) -> str:
        """The artist's text with phrases added to it."""
        return self._behind(self.parsed, added)

    def _behind(self, parsed: Prompt, added: list[str]) -> str:
        """A prompt with phrases behind it."""
        tail = ", ".join(added)
        ended = self.taught and self.raw.rstrip().endswith((".", "!", "?"))
        if ended and tail:
            tail = f"{tail[0].upper()}{tail[1:]}"
        if not self._joins_sentences or not tail:
            return parsed.expand(tail)
        return parsed.expand(f" {tail}." if ended else f", {tail}.", continues=True)

    def _continue(self, output: str, finished: bool) -> tuple[str, list[str]] | None:
        """The artist's text with the sentences behind it that may stand there."""
        opening, body = re.match(r"\s*([,;.!?]?)", output)[1], inert(output)
        if self.style:
            opening, body = ",", f"{self.style}, {body}"
        taken: list[str] = []  # clauses, each with the mark behind it
        for number, sentence in enumerate(sentences(body)):
            parts = re.split(r"(?<=[,;])\s+", sentence)
            if not finished and not sentence.endswith((".", "!", "?")):
                parts.pop()  # it was cut in the middle
            allowed = self._allowed(parts, taken)
            # Behind the artist's own words half a sentence reads well; alone it does not.
            if allowed and (not number or len(allowed) == len(parts)):
                taken += [*allowed[:-1], re.sub(r"[,;]$", ".", allowed[-1])]
        text, tail = self.prompt, ""
        for part in taken:
            longer = f"{tail} {part}" if tail else f"{opening} {part}"
            whole = self.parsed.expand(re.sub(r"[,;]$", ".", longer), continues=True)
            if self._too_long(whole):
                break
            text, tail = whole, longer
        return (text, clauses(tail)) if tail else None

    def _allowed(self, parts: list[str], before: list[str]) -> list[str]:
        """A sentence's clauses up to the first that must not stand there."""
        allowed: list[str] = []
        for part in parts:
            if not permitted([part], self.raw, self.refused, [*before, *allowed]):
                break
            allowed.append(part)
        return allowed

    def _rewrite(self, phrases: list[str], whole: str = "") -> tuple[str, list[str]] | None:
        """The model's own wording, mended where it lost the artist's words.

        Args:
            whole: the text that the phrases are cut from, to be used if all of them may stay; ""
                to put them together with commas.
        """
        asked, unsuitable = self.asked, self.unsuitable(phrases)
        kept: list[str] = []
        seen: set[str] = set()
        for phrase in phrases:
            stems = content_stems(phrase)
            new = [stem for stem in stems if stem not in seen]
            unwelcome = phrase in unsuitable or adds_somebody(phrase, self.raw)
            unwelcome = unwelcome or self.refused(phrase)
            unwelcome = unwelcome or contradicts(phrase, self.raw, kept)
            if new and not unwelcome and not (stammers(phrase) and not asked.intersection(stems)):
                kept.append(phrase)
                seen.update(stems)
        if not kept:
            return None
        # What the artist did not ask for goes first when there is too much.
        while True:
            intact = whole and len(kept) == len(phrases)
            text, added = self._mended(whole if intact else ", ".join(kept))
            spare = [i for i, p in enumerate(kept) if not asked.intersection(content_stems(p))]
            if not self._too_long(text) or not spare:
                break
            del kept[spare[-1]]
        if added and text == self.prompt:  # its host would read it otherwise: written on instead
            return self._expand([kept[i] for i in spare], last=True)
        return (text, added) if added else None

    def _mended(self, prose: str) -> tuple[str, list[str]]:
        """Whole prompt of a rewrite with the artist's words and spelling restored."""
        prose = _restore_case(self.raw, prose)
        if fidelity(self.raw, prose).kept < 1:
            prose = mend(self.raw, prose)
        low = prose.lower()
        missing = [
            phrase
            for phrase in self.settings.keep
            if phrase.lower() in self.raw.lower() and phrase.lower() not in low
        ]
        prose = _as_sentences(self.raw, ", ".join([*missing, prose]))
        asked = set(content_stems(self.prompt))
        added = [p for p in clauses(prose) if set(content_stems(p)) - asked]
        return self.parsed.rewrite(prose), added

    def _too_long(self, text: str) -> bool:
        budget = self.settings.token_budget
        return budget is not None and self.count(text) > budget


def _short(text: str, most: int) -> bool:
    """Whether a text has no more than so many words, none of them endless, and as many marks."""
    marked = len(_WORDS_AND_MARKS.findall(text))
    return len(words(text)) <= most and marked <= 2 * most and len(text) <= _WORD * most


def _as_sentences(raw: str, text: str) -> str:
    """`text` with the full stops behind those sentences of `raw` that it has with a comma."""
    said = sentences(raw)
    for sentence in said if len(said) > 1 else ():
        body = sentence.rstrip(".!?")
        before, comma, after = text.partition(f"{body}, ")
        if comma and body != sentence and after:
            text = f"{before}{sentence} {after[0].upper()}{after[1:]}"
    return text


def _restore_case(raw: str, text: str) -> str:
    """`text` with the artist's spelling of words that `raw` has in capitals ("BMW", "Tokyo"), but
    for those that only begin a sentence."""
    begin = {match.start(1) for match in re.finditer(r"(?:^|[.!?]\s+)[\"“'(]*(\w)", raw)}
    spelled = {
        match[0].lower(): match[0]
        for match in re.finditer(r"\w+", raw)
        if match[0] != match[0].lower() and not (match[0].istitle() and match.start() in begin)
    }
    return re.sub(r"\w+", lambda m: spelled.get(m[0].lower(), m[0]), text)


def drop_repeats(drafts: dict[int, Draft]) -> None:
    """Remove drafts that say what an earlier candidate says, in another order at most."""
    seen: set[object] = set()
    for index in sorted(drafts):
        draft = drafts[index]
        said = {draft.text, frozenset(draft.added)}
        if seen & said:
            del drafts[index]
        else:
            seen |= said
