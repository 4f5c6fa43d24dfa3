"""One prompt between the artist and a writer: what is asked for it, and drafts of the answers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ..draft import Draft, Shaper
from ..rules.blocklist import Blocklist
from ..settings import MOST_CANDIDATES, Settings
from ..text import remarks
from ..text.language import ENGLISH, foreign_words, language_of
from ..text.literals import QUOTED
from ..text.prompt import inert
from ..text.words import WORD, clauses, words
from . import instructions, reading
from .writer import Answer, Request

if TYPE_CHECKING:
    from ..score.taste import Taste

# A language model copies more than our own small ones.
_REWRITABLE = 250  # words
_READ = 4000  # characters of a prompt's prose
# Tokens that an answer may have beside what it adds: an introduction, a farewell.
_ROOM = 48

NOT_ENGLISH, BLOCKED = "not in English", "has what must not be added"
NOTHING_NEW, TOO_LONG = "nothing new that suits", "over the token budget"


class WriterShaper(Shaper):
    """Makes requests for one prompt, and drafts of what comes back.

    Attributes:
        language: of the prompt, as from `language_of`.
        translates: the prompt is turned into English.
        dropped: why drafts were not used, one each.
        fault: why the writer gave no answer at all; "" if it did.
    """

    def __init__(self, prompt: str, settings: Settings, taste: Taste | None = None) -> None:
        super().__init__(prompt, settings, taste, rewritable=_REWRITABLE)
        self.language = language_of(self.parsed.prose)
        rewrites = settings.mode == "rewrite" and bool(self.language)
        self.translates = rewrites and settings.into_english
        if rewrites:
            # Without leave its words cannot be kept in an English sentence; with it, at any length.
            mode = "rewrite" if self.translates else "expand"
            self.settings = replace(self.settings, mode=mode)
            self.raw = self.parsed.prose
        self.blocklist = _EnglishOnly(settings.block, allow=prompt)
        self.dropped: list[str] = []
        self.fault = ""

    @property
    def obstacle(self) -> str:
        """Why there is no draft, in one line."""
        if self.parsed.closed:
            return self.parsed.closed
        if not words(self.raw):
            return remarks.NO_WORDS
        if self.fault:
            return self.fault
        reasons = "; ".join(dict.fromkeys(self.dropped))
        return f"no draft of the writer could be used ({reasons}): raise n, or choose another model"

    def request(self, candidate: int, attempt: int) -> Request:
        """What to ask for a candidate, the `attempt`-th time."""
        s = self.settings
        task = instructions.TRANSLATE if self.translates else s.mode
        length = s.max_new_tokens
        if s.mode == "rewrite":
            length += len(self.raw) // 3
        return Request(
            instructions.messages(
                task,
                s.dialect,
                self.raw[:_READ],
                max(8, length * 3 // 4),
                style=self.style,
                keep=tuple(self._kept_phrases()) if s.mode == "rewrite" else (),
                avoid=tuple(word for word in s.block if not word.startswith("/")),
            ),
            # Far from those of other candidates, however many there are.
            s.seed + candidate + attempt * MOST_CANDIDATES,
            length + length // 2 + _ROOM,
            s.temperature,
            s.top_k,
            s.top_p,
            s.repetition_penalty,
        )

    def read(self, answer: Answer, last: bool) -> Draft | None:
        """The draft in an answer; None, with a reason in `dropped`, where it makes none.

        Args:
            last: no other answer follows, so that little is better than nothing.
        """
        text, why = reading.read(answer.text, self.writes_sentences)
        draft, finished = None, answer.finished
        if not why and language_of(text) != ENGLISH:
            why = NOT_ENGLISH
        if not why:
            if self.settings.mode == "expand":
                text, cut = _first_words(
                    reading.without_echo(text, self.raw), self.settings.max_new_tokens
                )
                finished = finished and not cut
                if self.writes_sentences:
                    text = _opened(text)
            draft = self.shape(text, finished, last)
            why = self._why or NOTHING_NEW
        if draft is None:
            self.dropped.append(why)
        return draft

    _why = ""

    def shape(
        self, output: str, finished: bool = True, last: bool = True, logprob: float = 0.0
    ) -> Draft | None:
        """As of `Shaper`; a translation keeps what is no word of the other language."""
        self._why = ""
        if not self.translates:
            return super().shape(output, finished, last, logprob)
        phrases = clauses(inert(output))
        if not finished and len(phrases) > 1:
            phrases.pop()
        prose = inert(output) if finished and self.writes_sentences else ", ".join(phrases)
        if self.blocklist.find(prose):
            self._why = BLOCKED
            return None
        low = prose.lower()
        missing = [phrase for phrase in self._kept_phrases() if phrase.lower() not in low]
        prose = ", ".join([*filter(None, [prose.rstrip(" .,") if missing else prose]), *missing])
        text = self.parsed.rewrite(prose, whole=True)
        if self._too_long(text):
            self._why = TOO_LONG
            return None
        if not phrases or text == self.prompt:
            return None
        return Draft(text, prose, tuple(clauses(prose)), 1.0, (), logprob, bool(missing))

    def _kept_phrases(self) -> list[str]:
        """What of the prompt must survive as it is: `keep`, and in a translation quotations,
        numbers, and words in Latin letters among others."""
        low = self.raw.lower()
        kept = [phrase for phrase in self.settings.keep if phrase.lower() in low]
        if self.translates:
            kept += [match.group() for match in QUOTED.finditer(self.raw)]
            plain = QUOTED.sub(" ", self.raw)
            mixed = bool(foreign_words(plain))
            kept += [
                match.group()
                for match in WORD.finditer(plain)
                if match.group().isascii() and (mixed or any(map(str.isdigit, match.group())))
            ]
        return list(dict.fromkeys(kept))


class _EnglishOnly(Blocklist):
    """Lets no word in another script pass, which it cannot read, unless the artist typed it."""

    def __init__(self, extra=(), allow: str = "") -> None:
        super().__init__(extra, allow)
        self._typed = allow

    def find(self, text: str) -> list[str]:
        foreign = [word for word in foreign_words(text) if word not in self._typed]
        return [*super().find(text), *foreign]


def _first_words(text: str, most: int) -> tuple[str, bool]:
    """The first `most` words of a text, and whether that cut it."""
    spoken = list(WORD.finditer(text))
    return (text[: spoken[most - 1].end()], True) if len(spoken) > most else (text, False)


def _opened(text: str) -> str:
    """A continuation with the mark that parts it from the artist's words."""
    if re.match(r"\s*[,;.!?]", text):
        return text
    return f"{'.' if text[:1].isupper() else ','} {text}"
