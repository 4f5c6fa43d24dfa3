"""Rewriter over any writer: its answers are guarded, woven and ranked like our own drafts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..draft import Draft
from ..rewriter import OnProgress, Progress, Result, Rewriter
from ..settings import Settings
from ..text.words import words
from .shaper import WriterShaper
from .writer import Answer, Writer

if TYPE_CHECKING:
    from ..score.taste import Taste
    from ..score.text_reward import Reward

# Answers of one candidate before it is given up; each may take a minute.
_ATTEMPTS = 2
REPEATED = "says what another draft says"


class WriterRewriter(Rewriter):
    """A writer, and what chooses among its drafts; called as `Rewriter` is.

    A writer that fails raises nothing: the prompt comes back as it is, and `Result.note` says why.

    Args:
        writer: answers requests.
        reward, taste: as of `Rewriter`.
    """

    def __init__(
        self, writer: Writer, reward: Reward | None = None, taste: Taste | None = None
    ) -> None:
        self.writer, self.reward, self.taste, self.preference = writer, reward, taste, None

    @classmethod
    def ranked(cls, writer: Writer, reward: str | Path | None = "starter") -> WriterRewriter:
        """A writer with the bundled reward, that of a folder, or None; raises ModelError."""
        from ..score.taste import load_taste
        from ..score.text_reward import load_reward

        if reward is None:
            return cls(writer)
        folder = None if reward == "starter" else reward
        judge = load_reward(folder)
        return cls(writer, judge, load_taste(folder, judge.aesthetic))

    def _drafter(self, prompt: str, settings: Settings) -> WriterShaper:
        return WriterShaper(prompt, settings, self.taste)

    def _results(
        self, drafters: list[WriterShaper], on_progress: OnProgress | None
    ) -> list[Result]:
        results = []
        fault = ""
        for number, shaper in enumerate(drafters):
            # A writer that is not there is not asked again for each of a thousand prompts.
            shaper.fault = fault
            drafts = {}
            if words(shaper.raw) and not fault:
                telling = _Telling(on_progress, number, len(drafters), shaper.settings.n)
                drafts, gone = self._ask(shaper, telling)
                fault = shaper.fault if gone else ""
            result = self._finish(shaper, drafts)
            results.append(replace(result, dropped=tuple(shaper.dropped)))
        return results

    def _ask(self, shaper: WriterShaper, telling: _Telling) -> tuple[dict[int, Draft], bool]:
        """Drafts by candidate, and whether the writer is gone; what comes to nothing is asked for
        once more."""
        drafts: dict[int, Draft] = {}
        settings = shaper.settings
        attempts = _ATTEMPTS if settings.temperature else 1
        for attempt in range(attempts):
            wanted = [i for i in range(settings.n) if i not in drafts]
            if not wanted:
                break
            answers = self.writer.write([shaper.request(i, attempt) for i in wanted], telling)
            for i, answer in zip(wanted, answers, strict=True):
                draft = self._read(shaper, answer, last=attempt == attempts - 1)
                if draft is not None and any(draft.text == other.text for other in drafts.values()):
                    shaper.dropped.append(REPEATED)
                elif draft is not None:
                    drafts[i] = draft
            telling.texts = [
                ", ".join(draft.added) if settings.mode == "expand" else draft.prose
                for draft in drafts.values()
            ]
            if all(answer.fault for answer in answers):
                if not drafts:
                    shaper.fault = answers[0].fault
                return drafts, any(answer.gone for answer in answers)
        return drafts, False

    @staticmethod
    def _read(shaper: WriterShaper, answer: Answer, last: bool) -> Draft | None:
        if answer.fault:
            shaper.dropped.append(answer.fault)
            return None
        return shaper.read(answer, last)


class _Telling:
    """Passes a writer's progress on, as that of all prompts together."""

    def __init__(self, on_progress: OnProgress | None, number: int, prompts: int, n: int) -> None:
        self.on_progress, self.before, self.total = on_progress, number * n, prompts * n
        self.texts: list[str] = []

    def __call__(self, done: int) -> None:
        if self.on_progress is not None:
            step = min(self.before + done, self.total)
            self.on_progress(Progress(step, self.total, self._texts, "draft"))

    def _texts(self) -> list[str]:
        return self.texts or [""]
