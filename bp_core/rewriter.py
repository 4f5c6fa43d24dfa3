"""Rewriter: an artist's prompt in, ranked richer prompts out. Text, model, guard and reward meet.

A prompt is parted into prose and syntax; the model continues the prose several times; each draft
is tidied by the guard, checked for the artist's words, joined with the syntax, and ranked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from .decode.sampling import Draw
from .decode.threads import few_threads
from .draft import Draft, Shaper, drop_repeats
from .drafter import Drafter, batches, sampling_params, write
from .errors import InputError
from .models import STARTER
from .settings import Settings
from .text import remarks
from .text.dialect import TAGS
from .text.language import language_of

if TYPE_CHECKING:
    from .models.load import Model
    from .score.preference import Preference
    from .score.taste import Taste
    from .score.text_reward import Reward

# Draws of one candidate before it is given up: a repeated, empty or thin draft is drawn again, each
# time bolder by this share of the temperature.
_ATTEMPTS, _BOLDER = 4, 0.5
# Rows decoded together: beyond this a CPU gains nothing and memory grows.
_ROWS = 64


@dataclass(frozen=True)
class Candidate:
    """One rewrite.

    Attributes:
        text: the whole prompt, syntax in place.
        index: number of the draw; with the seed it names this text.
        added: the phrases that the artist's prompt did not have.
        kept: share (0-1) of the artist's content words still there; `lost` are the others.
        tokens: length of `text` as `Settings.count_tokens` counts it.
        logprob: mean log-probability of the drawn tokens, in nats; 0 where none were drawn.
        score: what it gains over the artist's own prompt: as the model judges what it put together
            (see `Draft.appeal`); where a reward ranks, in standard deviations; None without any.
        aesthetic: the aesthetic part of the reward, of the rewrite alone, as a z-score.
        mended: words that the writer had lost were put back.
    """

    text: str
    index: int
    added: tuple[str, ...]
    kept: float
    lost: tuple[str, ...]
    tokens: int
    logprob: float
    score: float | None = None
    aesthetic: float | None = None
    mended: bool = False


@dataclass(frozen=True)
class Result:
    """What became of one prompt: `text` is the one to use, `candidates` come best first.

    `note` says in one line why `text` is the artist's own prompt, when it is; `dialect` is what
    the model was asked to add: "tags", "prose" or "booru". `dropped` says for each draft of another
    writer that was not used why not.
    """

    prompt: str
    text: str
    candidates: tuple[Candidate, ...]
    note: str = ""
    dialect: str = TAGS
    dropped: tuple[str, ...] = ()

    @property
    def account(self) -> str:
        """What became of another writer's drafts, in one line; "" if that is plain."""
        mended = sum(candidate.mended for candidate in self.candidates)
        parts = [f"{mended} mended"] if mended else []
        if self.dropped:
            reasons = Counter(self.dropped).most_common()
            said = ", ".join(f"{why} ({n})" if n > 1 else why for why, n in reasons)
            parts.append(f"{len(self.dropped)} dropped: {said}")
        if not parts or not self.candidates:
            return ""  # `note` says what there is to say
        return f"drafts: {len(self.candidates)} used, {', '.join(parts)}"


@dataclass(frozen=True)
class Progress:
    """Told after each token: `step` of `total`, and a function for all drafts' text so far.

    Another writer tells whole drafts: `unit` says what a step is.
    """

    step: int
    total: int
    texts: Callable[[], list[str]]
    unit: str = "token"


OnProgress = Callable[[Progress], None]


class Rewriter:
    """A model, and what chooses among the things that it writes.

    Args:
        model: from `bp_core.models.load`.
        reward: ranks candidates; without one they are ordered by kept words, then by likelihood.
        taste: leaves out phrases that do not suit the prompt; without one everything does.
        preference: ranks candidates in place of the reward, by what readers kept of this model's.
    """

    # Whether the model's own judgement ranks: between drafts of the bundled writer readers agree
    # with it more often than with the reward (docs/experiments/writer.md).
    _knows_itself = False
    _late: Callable[[], Reward] | None = None  # loads a reward that is not needed for ranking

    def __init__(
        self,
        model: Model,
        reward: Reward | None = None,
        taste: Taste | None = None,
        preference: Preference | None = None,
    ) -> None:
        self.model, self.taste, self.preference = model, taste, preference
        if reward is not None:
            self.reward = reward

    @classmethod
    def load(
        cls,
        model: str | Path = STARTER,
        *,
        device: str = "cpu",
        dtype: str | None = None,
        reward: str | Path | None = "starter",
        graph: bool = True,
        lasting: bool = True,
    ) -> Rewriter:
        """Load the bundled starter, a model folder, or a downloaded hub id.

        Args:
            dtype: "float32", "bfloat16" or "float16"; None for what suits the device.
            reward: what ranks: "starter" for the preference in the model's own folder, where it
                has none for its own judgement if it has any, else for the bundled reward; the
                folder of a reward model; None for nothing.
                A reward brings its taste, or the bundled one where it has none.
            graph: as for `models.load`; only a model loaded on a CUDA GPU takes notice.
            lasting: as for `models.load`: False for a process that ends after a prompt or two.

        Raises:
            ModelError: a model is missing, damaged or of another kind.
        """
        from .models import load as models
        from .score.preference import Preference
        from .score.taste import load_taste
        from .score.text_reward import load_reward

        loaded = models.load(model, device=device, dtype=dtype, graph=graph, lasting=lasting)
        if reward is None:
            return cls(loaded)
        if reward == "starter" and (preference := Preference.load(loaded)) is not None:
            return cls(loaded, preference=preference)
        if reward == "starter" and loaded.suitability is not None:
            rewriter = cls(loaded)
            rewriter._late, rewriter._knows_itself = partial(load_reward, None), True
            return rewriter
        folder = None if reward == "starter" else reward
        judge = load_reward(folder)
        # A writer that judges phrases was taught what suits; a taste would know less.
        taste = load_taste(folder, judge.aesthetic) if loaded.suitability is None else None
        return cls(loaded, judge, taste)  # who names a reward wants it to rank

    @cached_property
    def reward(self) -> Reward | None:
        """Scores texts; that of a writer which ranks by itself is loaded when it is asked for."""
        return self._late() if self._late is not None else None

    @property
    def _ranks(self) -> bool:
        """Whether anything ranks; loads nothing."""
        return self._knows_itself or self.preference is not None or self.reward is not None

    def __call__(self, prompt: str, *, on_progress: OnProgress | None = None, **settings) -> Result:
        """Rewrite one prompt; `settings` are the fields of `Settings`."""
        return self.many([prompt], on_progress=on_progress, **settings)[0]

    def many(
        self,
        prompts: Sequence[str],
        *,
        seeds: Sequence[int] | None = None,
        on_progress: OnProgress | None = None,
        **settings,
    ) -> list[Result]:
        """Rewrite prompts, decoding many at once; results in the order of `prompts`.

        Args:
            seeds: one a prompt, instead of `seed` for all.
            on_progress: called after each decoded token of each batch; what it raises (Cancelled)
                ends the work.

        Raises:
            InputError: a setting unknown or out of range, or a prompt that is no text.
        """
        chosen = self._settings(settings)
        if any(not isinstance(prompt, str) for prompt in prompts):
            raise InputError("a prompt is not text: give strings")
        if seeds is not None and len(seeds) != len(prompts):
            raise InputError(f"{len(seeds)} seeds for {len(prompts)} prompts: give one each")
        drafters = [
            self._drafter(prompt, replace(chosen, seed=seed))
            for prompt, seed in zip(prompts, seeds or [chosen.seed] * len(prompts), strict=True)
        ]
        return self._results(drafters, on_progress)

    def _drafter(self, prompt: str, settings: Settings) -> Drafter:
        drafter = Drafter(self.model, prompt, settings, self.taste)
        if drafter.parsed.closed:
            drafter.leave_alone(drafter.parsed.closed)
        if self.model.english_only and (language := language_of(drafter.raw)):
            drafter.leave_alone(remarks.FOREIGN.format(language))
        return drafter

    def _results(self, drafters: list[Drafter], on_progress: OnProgress | None) -> list[Result]:
        """Draw, rank and choose for all prompts."""
        drafts: list[dict[int, Draft]] = [{} for _ in drafters]
        settings = drafters[0].settings if drafters else Settings()
        with few_threads(self.model.network):
            for batch in batches(drafters, max(1, _ROWS // settings.n)):
                self._fill([drafters[i] for i in batch], [drafts[i] for i in batch], on_progress)
            return [self._finish(*pair) for pair in zip(drafters, drafts, strict=True)]

    def _settings(self, given: dict) -> Settings:
        known = {field.name for field in fields(Settings)}
        if unknown := sorted(set(given) - known):
            raise InputError(f"no setting '{unknown[0]}': there are {', '.join(sorted(known))}")
        chosen = Settings(**given)
        if chosen.accept == "auto" and not self._ranks:
            raise InputError("accept is 'auto' without a reward model: load one, or use 'always'")
        # Greedy draws are all alike.
        return replace(chosen, n=1) if chosen.temperature == 0 else chosen

    def _fill(
        self,
        drafters: list[Drafter],
        drafts: list[dict[int, Draft]],
        on_progress: OnProgress | None,
    ) -> None:
        """Draw candidates of a batch until all are there, distinct, or given up.

        A draw is refused for what came before it in its own prompt alone, so that candidate i is
        the same for every n and every batch.
        """
        settings = drafters[0].settings
        attempts = _ATTEMPTS if settings.temperature else 1
        for attempt in range(attempts):
            wanted = [
                [Draw(d.settings.seed, i, attempt) for i in range(settings.n) if i not in drawn]
                for d, drawn in zip(drafters, drafts, strict=True)
            ]
            pending = [i for i, draws in enumerate(wanted) if draws]
            if not pending:
                break
            last = attempt == attempts - 1
            make = self._compose if drafters[0].composes else self._decode
            made = make(
                [drafters[i] for i in pending], [wanted[i] for i in pending], last, on_progress
            )
            for i, candidates in zip(pending, made, strict=True):
                for draw, draft in zip(wanted[i], candidates, strict=True):
                    if draft is not None:
                        drafts[i][draw.candidate] = draft
            for i in pending:
                drop_repeats(drafts[i])

    def _compose(
        self,
        drafters: list[Drafter],
        draws: list[list[Draw]],
        last: bool,
        on_progress: OnProgress | None,
    ) -> list[list[Draft | None]]:
        """Drafts of each drafter's prompt, of notes that suit it."""
        made: list[list[Draft | None]] = []

        def texts() -> list[str]:
            return [", ".join(draft.added) for drafts in made for draft in drafts if draft]

        for drafter, wanted in zip(drafters, draws, strict=True):
            made.append([drafter.compose(d, _temperature(drafter, d), last) for d in wanted])
            if on_progress is not None:
                on_progress(Progress(len(made), len(drafters), texts, "prompt"))
        return made

    def _decode(
        self,
        drafters: list[Drafter],
        draws: list[list[Draw]],
        last: bool,
        on_progress: OnProgress | None,
    ) -> list[list[Draft | None]]:
        """Drafts of each drafter's prompt, of what the model writes in one decoding."""
        total = max(d.longest for d in drafters)
        on_token = None
        if on_progress is not None:
            streams: list[list[int]] = [[] for candidates in draws for _ in candidates]

            def texts() -> list[str]:
                return [self.model.decode(ids).strip() for ids in streams]

            def on_token(step, ids) -> None:
                for stream, new in zip(streams, ids.tolist(), strict=True):
                    if new >= 0 and new != self.model.eos_id:
                        stream.append(new)
                on_progress(Progress(step + 1, total, texts))

        params = sampling_params(drafters[0].settings, total)
        params = replace(params, temperature=_temperature(drafters[0], draws[0][0]))
        generations = write(self.model, drafters, draws, params, on_token)
        return [
            [drafter.draft(generation, last) for generation in candidates]
            for drafter, candidates in zip(drafters, generations, strict=True)
        ]

    def _finish(self, drafter: Shaper, drafts: dict[int, Draft]) -> Result:
        """Rank the drafts of one prompt and choose the text to use."""
        settings, prompt = drafter.settings, drafter.prompt
        dialect = settings.dialect if drafter.taught else TAGS
        if not drafts:
            return Result(prompt, prompt, (), drafter.obstacle, dialect)
        candidates = [
            Candidate(
                draft.text,
                index,
                draft.added,
                draft.kept,
                draft.lost,
                drafter.count(draft.text),
                draft.logprob,
                mended=draft.mended,
            )
            for index, draft in sorted(drafts.items())
        ]
        if not self._ranks:
            candidates.sort(key=lambda c: (-c.kept, -c.logprob))
            return Result(prompt, candidates[0].text, tuple(candidates), dialect=dialect)
        if self._knows_itself:
            scores = [(drafts[c.index].appeal, None) for c in candidates]
        else:
            scores = self._scores(drafter, [drafts[c.index].prose for c in candidates])
        candidates = [
            replace(candidate, score=score, aesthetic=aesthetic)
            for candidate, (score, aesthetic) in zip(candidates, scores, strict=True)
        ]
        best, *_ = candidates = sorted(candidates, key=lambda c: -c.score)
        if settings.accept == "auto" and best.score < settings.margin:
            return Result(prompt, prompt, tuple(candidates), remarks.NO_BETTER, dialect)
        return Result(prompt, best.text, tuple(candidates), dialect=dialect)

    def _scores(self, drafter: Shaper, proses: list[str]) -> list[tuple[float, float | None]]:
        """Score and, from a reward, its aesthetic part, of each rewrite of one prompt."""
        settings, raw = drafter.settings, drafter.parsed.prose
        if self.preference is not None:
            from .score.preference import Reading

            readings = [Reading(raw, settings.mode, settings.dialect, prose) for prose in proses]
            return [(odds, None) for odds in self.preference.score(readings).tolist()]
        base, *scores = self.reward.score([raw, *proses], raw=[raw] * (len(proses) + 1))
        return [(score.total - base.total, score.aesthetic) for score in scores]


def _temperature(drafter: Drafter, draw: Draw) -> float:
    """Higher each time that a candidate is drawn again."""
    return drafter.settings.temperature * (1 + _BOLDER * draw.attempt)
