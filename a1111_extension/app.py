"""What button, hook, API and X/Y/Z share: the host, the engine, and how a prompt gets rewritten."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from bp_core.errors import BeautifulPromptError, Cancelled, ModelError
from bp_core.text.image_model import CHUNK, dialect_for, room

from . import options
from .arguments import Arguments
from .engine import Engine, checked_name
from .host import WebUI
from .records import Recent, Record
from .writer import chosen_rewriter

if TYPE_CHECKING:
    from bp_core import Result
    from bp_core.rewriter import OnProgress

_FOLDER_VARIABLE = "BEAUTIFULPROMPT_DIR"


class App:
    """One a process.

    Attributes:
        records: what was written for which prompt.
        done: results of earlier calls: scripts that run a job many times ask again and again.
    """

    def __init__(self, host: WebUI) -> None:
        self.host = host
        self.engine = Engine(host)
        self.records: Recent[Record] = Recent()
        self.done: Recent[tuple[str, str]] = Recent()
        self._chosen_folder = os.environ.get(_FOLDER_VARIABLE)

    def options(self) -> options.Options:
        """The settings now; points `bp_core` to the folder of models that they name."""
        chosen = options.read(self.host.options())
        flag = getattr(self.host.flags(), "beautifulprompt_dir", None)
        folder = flag or chosen.folder or self._chosen_folder or self.host.models_folder()
        os.environ[_FOLDER_VARIABLE] = str(folder)
        return chosen

    def model_of(self, arguments: Arguments, chosen: options.Options) -> str:
        """Name of the model to use; raises ModelError for one that is not here."""
        return checked_name(arguments.model or chosen.model or "starter")

    def rewrite(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        arguments: Arguments,
        *,
        exclusive: bool,
        keep: Iterable[str] = (),
        block: Iterable[str] = (),
        on_progress: OnProgress | None = None,
    ) -> tuple[list[Result], str]:
        """Rewrite prompts, each with its seed; the results, and the model's name.

        Args:
            exclusive: the caller holds the host's queue (see `Engine.use`).
            keep, block: beside those of the settings and the LoRAs' trigger words.
            on_progress: see `Rewriter.many`.

        Raises:
            BeautifulPromptError: with the remedy in its message.
        """
        from bp_core import Result

        chosen = self.options()
        model = self.model_of(arguments, chosen)
        triggers = [word for prompt in dict.fromkeys(prompts) for word in self._triggers(prompt)]
        settings = {
            "mode": arguments.mode,
            "n": arguments.candidates,
            "style": arguments.lead,
            "accept": "auto" if arguments.when == "Auto" else "always",
            "keep": [*chosen.keep, *triggers, *keep],
            "block": [*chosen.block, *block],
            "count_tokens": self.host.count_tokens,
            "syntax": self.host.syntax,
            "into_english": chosen.into_english,
        }
        image_model = self.host.image_model()
        groups: dict[tuple[str, int | None], list[int]] = defaultdict(list)
        results: dict[int, Result] = {}
        for i, prompt in enumerate(prompts):
            if reason := self.host.structure(prompt, arguments.mode):
                results[i] = Result(prompt, prompt, (), f"the prompt was left as it is: {reason}")
                continue
            dialect = arguments.dialect
            if dialect == "auto":
                dialect = dialect_for(prompt, image_model)
            groups[dialect, self._budget(prompt, arguments.chunks, dialect)].append(i)
        if not groups:
            return [results[i] for i in range(len(prompts))], model
        name = "" if model == "starter" else model
        with self.engine.use(name, chosen.device, exclusive=exclusive) as own:
            rewriter = chosen_rewriter(own, chosen)
            for (dialect, budget), members in groups.items():
                rewrites = rewriter.many(
                    [prompts[i] for i in members],
                    seeds=[seeds[i] for i in members],
                    dialect=dialect,
                    token_budget=budget,
                    on_progress=on_progress,
                    **settings,
                )
                results.update(zip(members, rewrites, strict=True))
            if chosen.writer:
                model = rewriter.writer.name
        return [results[i] for i in range(len(prompts))], model

    def score(self, texts: Sequence[str], raw: Sequence[str]) -> list[dict[str, float | None]]:
        """Rewards of prompts as z-scores; raises BeautifulPromptError."""
        chosen = self.options()
        model = self.model_of(Arguments(), chosen)
        name = "" if model == "starter" else model
        with self.engine.use(name, chosen.device, exclusive=False) as rewriter:
            if rewriter.reward is None:
                raise ModelError("there is no reward model here: reinstall Beautiful Prompt")
            scores = rewriter.reward.score(list(texts), raw=list(raw))
        return [{"total": score.total, "aesthetic": score.aesthetic} for score in scores]

    def models(self) -> dict:
        """The models on this machine, and the name of the one that the settings choose."""
        from bp_core.models.folder import available

        chosen = self.options()
        listed = [
            {"name": info.name, "kind": info.kind, "size": info.size, "template": info.template}
            for info in available()
        ]
        return {"models": listed, "default": chosen.model or "starter"}

    def stop_when_interrupted(self, progress) -> None:
        """For `on_progress` in a job: raises Cancelled once the artist interrupts or skips it."""
        if self.host.interrupted():
            raise Cancelled("interrupted")
        self.host.say(f"Beautify: {progress.unit} {progress.step} of {progress.total}")

    def remember(self, result: Result, model: str, mode: str, seed: int, original: str) -> Record:
        """Record every text that a click may put into the prompt box."""
        record = Record(original, model, mode, seed, result.dialect)
        for candidate in result.candidates:
            self.records.put(candidate.text, record)
        return record

    def why(self, error: Exception) -> str:
        """An error as one line for the artist; one that is not ours goes to the console too."""
        if isinstance(error, BeautifulPromptError):
            return str(error)
        self.host.report("Beautify failed")
        return f"{type(error).__name__}: {error}".splitlines()[0]

    def _budget(self, prompt: str, chunks: int, dialect: str) -> int | None:
        """Tokens that the whole prompt may have; a longer one may fill its own last chunk."""
        if room(chunks * CHUNK, dialect) is None:
            return None
        chunks_of_prompt = -(-self.host.count_tokens(prompt) // CHUNK)
        return max(chunks, chunks_of_prompt) * CHUNK

    def _triggers(self, prompt: str) -> list[str]:
        try:
            return self.host.trigger_words(prompt)
        except Exception as error:  # whatever the host's LoRA extension has become
            self.why(error)
            return []


def with_defaults(values: Sequence, chosen: options.Options, overrides: dict | None) -> Arguments:
    """A job's arguments; what it leaves out comes from the settings, except that it stays off."""
    return Arguments.parse(values, replace(chosen.defaults, when="Off"), overrides)


@cache
def get_app() -> App:
    """The one of this process."""
    return App(WebUI())
