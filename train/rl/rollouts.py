"""What the policy writes while it learns: through the decoder and the guard of inference.

A rollout knows both what the model wrote and what an artist would be shown of it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bp_core.decode.generate import Generation
from bp_core.decode.sampling import Draw, SamplingParams
from bp_core.drafter import Drafter
from bp_core.drafter import write as write_drafts
from bp_core.errors import InputError
from bp_core.models.load import Model
from bp_core.score.taste import Taste
from bp_core.settings import Settings
from bp_core.text.fidelity import fidelity
from bp_core.text.prompt import inert
from bp_core.text.words import clauses, words


@dataclass(frozen=True)
class Prompt:
    """A prompt to rewrite, and the data set's own rewrite of it ("" when there is none)."""

    raw: str
    given: str = ""


@dataclass(frozen=True)
class Rollout:
    """One rewrite of one prompt.

    Attributes:
        ids, response: tokens of the filled template, and drawn ones with the end token, if drawn.
        finished: the end token was drawn.
        written: the prompt as the model wrote it, before the guard.
        text: what an artist would be shown: tidied by the guard, or the raw prompt when nothing
            permitted was added.
        kept: share (0-1) of the artist's content words in `written`.
        added: the phrases of `text` that the raw prompt did not have.
        refused: share (0-1) of the written phrases that the guard left out.
    """

    prompt: Prompt
    mode: str
    ids: list[int]
    response: list[int]
    finished: bool
    written: str
    text: str
    kept: float
    added: tuple[str, ...]
    refused: float

    @property
    def added_words(self) -> int:
        return len(words(" ".join(self.added)))


def read_prompts(path: str) -> list[Prompt]:
    """Prompts from Parquet or CSV (raw_prompt, and prompt if there is one), or text, one a line.

    Raises:
        InputError: unreadable, without the column, or without a prompt that has words.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"no prompts at {path}: give a text file, one a line")
    try:
        if file.suffix == ".parquet":
            import pandas as pd

            rows = pd.read_parquet(file).to_dict("records")
        elif file.suffix == ".csv":
            with file.open(newline="", encoding="utf-8") as handle:
                rows = list(csv.DictReader(handle))
        else:
            lines = file.read_text(encoding="utf-8").splitlines()
            rows = [{"raw_prompt": line} for line in lines]
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read prompts from {path} ({error}): give Parquet or text"
        ) from error
    if rows and "raw_prompt" not in rows[0]:
        raise InputError(f"{path} lacks the column raw_prompt")
    prompts = [Prompt(str(r["raw_prompt"]), str(r.get("prompt") or "")) for r in rows]
    # Pair files cut one prompt in several ways and hold plain text as well.
    prompts = list(dict.fromkeys(p for p in prompts if words(p.raw)))
    if not prompts:
        raise InputError(f"{path} has no prompt with words in it: give one a line")
    return prompts


def short(model: Model, prompts: Sequence[Prompt], longest: int) -> list[Prompt]:
    """Those of at most `longest` tokens; raises InputError when there is none."""
    found = [p for p in prompts if len(model.encode(p.raw, "rewrite")) <= longest]
    if not found:
        raise InputError(f"no prompt has {longest} tokens or fewer: raise max_prompt_tokens")
    return found


class PromptStream:
    """Prompts without end, shuffled anew each time all have been seen, by their place in the
    stream: what is at a place depends on nothing that came before.

    Args:
        rewrite_share: share (0-1) of the prompts to be rewritten, not expanded.
        samples: rollouts of each.
    """

    def __init__(
        self, prompts: Sequence[Prompt], seed: int, rewrite_share: float, samples: int
    ) -> None:
        self._prompts, self._seed = prompts, seed
        self._rewrite_share, self._samples = rewrite_share, samples

    def take(self, first: int, count: int) -> tuple[list[Prompt], list[str], list[list[Draw]]]:
        """(prompts, modes, draws) of `count` places from `first` on, as `write` takes them."""
        places = range(first, first + count)
        modes = ["rewrite" if self._chance(i) < self._rewrite_share else "expand" for i in places]
        draws = [[Draw((self._seed << 32) + i, k) for k in range(self._samples)] for i in places]
        return [self._prompt(i) for i in places], modes, draws

    def _prompt(self, place: int) -> Prompt:
        lap, index = divmod(place, len(self._prompts))
        order = np.random.default_rng((self._seed, lap)).permutation(len(self._prompts))
        return self._prompts[order[index]]

    def _chance(self, place: int) -> float:
        return np.random.default_rng((self._seed, 1, place)).random()


def write(
    model: Model,
    prompts: Sequence[Prompt],
    modes: Sequence[str],
    draws: Sequence[Sequence[Draw]],
    params: SamplingParams,
    chunk: int,
    whole: bool = False,
    taste: Taste | None = None,
) -> list[Rollout]:
    """Rollouts of each prompt, those of one prompt side by side.

    Args:
        modes: "expand" or "rewrite" for each prompt.
        draws: the candidates wanted of each prompt.
        params: sampling, the same for all.
        chunk: rows decoded together.
        whole: give rewrites room for the prompt on top of `params.max_new_tokens`, as artists do.
        taste: what an artist's rewriter leaves phrases out by.
    """
    drafters = [
        drafter(model, prompt, mode, params.max_new_tokens, taste, drawn[0].seed)
        for prompt, mode, drawn in zip(prompts, modes, draws, strict=True)
    ]
    # Prompts of like length share a decoding, so that little of it is padding.
    order = sorted(range(len(drafters)), key=lambda i: len(drafters[i].ids))
    size = max(1, chunk // max(map(len, draws)))
    rollouts: list[list[Rollout]] = [[] for _ in drafters]
    for start in range(0, len(order), size):
        part = order[start : start + size]
        together = [drafters[i] for i in part]
        if whole:
            params = replace(params, max_new_tokens=max(each.longest for each in together))
        generations = write_drafts(model, together, [draws[i] for i in part], params)
        if taste is not None:
            outputs = [model.decode(g.tokens) for candidates in generations for g in candidates]
            read_together(taste, together, outputs)
        for i, candidates in zip(part, generations, strict=True):
            rollouts[i] = [rollout(model, prompts[i], drafters[i], g) for g in candidates]
    return [rollout for candidates in rollouts for rollout in candidates]


def read_together(taste: Taste, drafters: Sequence[Drafter], outputs: Sequence[str]) -> None:
    """Have a taste read at once what drafters will ask it about, one by one, of these outputs."""
    asking = [d.suits for d in drafters if d.suits is not None and not d.writes_sentences]
    if asking:
        taste.read(asking, [phrase for text in outputs for phrase in clauses(inert(text))])


def drafter(
    model: Model,
    prompt: Prompt,
    mode: str,
    longest: int,
    taste: Taste | None = None,
    seed: int = 0,
) -> Drafter:
    """Reads a prompt as inference does; nothing is dropped for lost words, which rewards punish."""
    settings = Settings(mode=mode, max_new_tokens=longest, min_kept=0.0, seed=seed)
    return Drafter(model, prompt.raw, settings, taste, composing=False)


def rollout(model: Model, prompt: Prompt, drafter: Drafter, generation: Generation) -> Rollout:
    """What a generation is worth showing, and what it was before the guard."""
    output = model.decode(generation.tokens).replace("\ufffd", "").strip()
    joint = " " if drafter.writes_sentences else ", "
    written = f"{prompt.raw}{joint}{output}" if drafter.settings.mode == "expand" else output
    draft = drafter.draft(generation)
    phrases = clauses(output) if drafter.settings.mode == "expand" else []
    added = draft.added if draft else ()
    return Rollout(
        prompt,
        drafter.settings.mode,
        drafter.ids,
        generation.tokens + [model.eos_id] * generation.finished,
        generation.finished,
        written,
        draft.text if draft else prompt.raw,
        fidelity(prompt.raw, written).kept,
        added,
        max(0.0, 1 - len(added) / len(phrases)) if phrases else 0.0,
    )
