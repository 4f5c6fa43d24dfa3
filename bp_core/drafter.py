"""Prompts on their way through a model of ours: what it reads, and the drafts of what it writes.

Inference and the rollouts of training both come through here. A model whose folder says that it
composes is asked which of the notes suit, and they are the addition, or in a rewrite what is said
anew of the things that the prompt names; others read the notes and write on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .decode.generate import Generation, OnToken, generate
from .decode.sampling import Draw, SamplingParams
from .draft import Draft, Shaper
from .settings import Settings
from .text import remarks
from .text.composition import compose, form_of
from .text.concepts import ANYTHING
from .text.dialect import PROSE, TAGS
from .text.prompt import inert
from .text.rewording import Rewording
from .text.words import clauses, words

if TYPE_CHECKING:
    from .models.load import Model
    from .models.suitability import Verdict
    from .score.taste import Taste
    from .text.notes import Note

# The model reads this many characters of a prompt's prose: training prompts were shorter, and
# reading costs time. The rest is kept all the same.
_READ = 1000
# Phrases that a model is told of what its prompt names, and of how many they are chosen by one
# that can tell what suits.
_NOTES, _CHOSEN, _POOL = 14, 9, 24
# Notes that one may choose an addition from.
_COMPOSED = 40
# Candidates but the first may be wrong by so many times the limit: else they would be alike.
_LOOSER = 2.0
# With so many notes that are no likelier wrong than this share of the limit, no others are taken:
# of readers' marks and of what they find wrong this is the best of both.
_ENOUGH, _SURE = 8, 0.6
# However little suits, so many phrases of an addition stay.
_SUREST = 3
# Nats by which a free rewrite is leaned towards the artist's next word.
_RECALL = 8.0


def sampling_params(settings: Settings, longest: int | None = None) -> SamplingParams:
    """How the model's tokens are drawn; at most `longest` new ones, or what the settings say."""
    expand = settings.mode == "expand"
    return SamplingParams(
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        repetition_penalty=settings.repetition_penalty,
        max_new_tokens=longest or settings.max_new_tokens,
        min_new_tokens=min(settings.min_new_tokens, settings.max_new_tokens),
        penalise_prompt=expand,
        recall=0.0 if expand else _RECALL,
    )


class Drafter(Shaper):
    """Reads one prompt for a model of ours and turns the model's tokens into drafts.

    Args:
        composing: False has a model that composes write word by word, as it is trained.

    Attributes:
        read: what the model reads of the prose; "" where there is nothing to rewrite.
        longest: tokens that a continuation may take.
        lead: what the continuation is made to begin with.
        rewords: the notes go into the prompt where it has room for them, the rest behind it.
    """

    def __init__(
        self,
        model: Model,
        prompt: str,
        settings: Settings,
        taste: Taste | None = None,
        *,
        composing: bool = True,
    ) -> None:
        sentences = PROSE in model.dialects
        self._composing = model.composes and composing
        self.rewords = self._composing and settings.mode == "rewrite"
        if self.rewords:  # what it is made of is chosen as for an addition
            settings = replace(settings, mode="expand")
        super().__init__(
            prompt, settings, taste, taught=model.template.dialects, sentences=sentences
        )
        self.model = model
        self._reason = remarks.NO_WORDS
        self.longest = self.settings.max_new_tokens
        self.lead = self.read = ""
        self._verdicts: dict[str, Verdict] = {}
        if words(self.raw):
            read = self.raw if len(self.raw) <= _READ else self.raw[:_READ].rsplit(" ", 1)[0]
            mode = self.settings.mode
            if mode == "expand" and self.taught and not self.writes_sentences:
                # Behind a full stop a phrase would begin with a capital, and notes do not.
                read = read.rstrip(" .!?") or read
            self.read = read
            self.lead = self._lead(read) if mode == "expand" else ""
            if mode == "rewrite":
                self.longest += sum(map(len, self.wanted))

    @property
    def composes(self) -> bool:
        """Whether what is added is chosen from the notes."""
        return self._composing and self.settings.mode == "expand"

    @cached_property
    def wanted(self) -> list[list[int]]:
        """The artist's words as ids, of which a free rewrite is reminded."""
        if self.settings.mode != "rewrite" or not self.read:
            return []
        # A comma behind the last word, or it would be lengthened.
        return self.model.encode_words(self.read.rstrip(" .,;") + ",")

    @cached_property
    def readings(self) -> list[list[int]]:
        """What the model reads, as ids; candidates take turns where there are several. Empty when
        there is nothing to rewrite."""
        if not self.read:
            return []
        mode, dialect = self.settings.mode, self._written
        return [
            self.model.encode(self.read, mode, self.lead, dialect, notes) for notes in self._choices
        ]

    @property
    def ids(self) -> list[int]:
        """The first of the readings, [] where there is none."""
        return self.readings[0] if self.readings else []

    @property
    def notes(self) -> list[str]:
        """What the first reading tells of the things that the prompt names."""
        return self._choices[0] if self.read else []

    @property
    def _written(self) -> str:
        """The dialect that the model is asked for."""
        return TAGS if self._joins_sentences else self.settings.dialect

    def _judge(self, phrases: Sequence[Note | str]) -> dict[str, Verdict]:
        return self.model.suitability.of(self.model, self.read, self._written, phrases)

    @cached_property
    def _choices(self) -> list[list[str]]:
        """Notes for each reading; other ones each seed."""
        concepts, suitability = self.model.concepts, self.model.suitability
        if concepts is None:
            return [[]]
        rng = self._rng()
        if suitability is None:
            notes = concepts.notes(self.read, self._written, _NOTES, rng)
            return [[note.text for note in notes]]
        pool = concepts.notes(self.read, self._written, _POOL, rng)
        verdicts = self._judge(pool)
        # A note may be a palette of several colours, which the writer's commas part.
        self._verdicts = {part: v for note, v in verdicts.items() for part in clauses(note)}
        choices = suitability.choose(verdicts, pool, _CHOSEN)
        if self.settings.mode == "rewrite":
            del choices[1:]
        for chosen in choices:
            rng.shuffle(chosen)
        return choices

    @cached_property
    def _pool(self) -> list[Note]:
        """The notes that an addition may be chosen from, those that are worth most first."""
        pool = self.model.concepts.notes(self.read, self._written, _COMPOSED, self._rng())
        self._verdicts = self._judge(pool)
        return sorted(pool, key=lambda note: -self._verdicts[note.text].worth)

    def _suiting(self, first: bool) -> list[Note]:
        """Notes of the pool that suit, or the surest few: for the first of several candidates
        those alone that are hardly wrong, for the others more. Where many notes are sure, less
        sure ones are left out."""
        looser = 1 if first else _LOOSER
        least = form_of(self._written).least
        doubt = {note.text: self._verdicts[note.text].doubt / looser for note in self._pool}
        limit = self.model.suitability.limit
        of_enough = sorted([*doubt.values(), 1.0])[:_ENOUGH][-1]
        most = min(limit, max(_SURE * limit, of_enough))
        right = [note for note in self._pool if doubt[note.text] <= most]
        gains = [note for note in right if self._verdicts[note.text].gain > least]
        return gains if len(gains) >= _SUREST else self._pool[:_SUREST]

    def _rng(self, *more: int) -> random.Random:
        # Of a string the generator makes the same numbers on every Python and machine.
        return random.Random(" ".join(["notes", *map(str, (self.settings.seed, *more))]))

    def compose(self, draw: Draw, temperature: float, last: bool = True) -> Draft | None:
        """A draft of notes that suit; None as of `shape`.

        Args:
            temperature: how freely they are drawn.
        """
        first = draw.candidate == 0
        notes = self._suiting(first)
        worth = {note.text: self._verdicts[note.text].worth for note in notes}
        rng = self._rng(draw.candidate, draw.attempt)
        chosen = compose(notes, worth, form_of(self._written), rng, temperature, first)
        texts = [note.text for note in chosen]
        while len(texts) > 1 and self._length(", ".join(texts)) > self.longest:
            texts.pop()
        draft = self.shape(", ".join(texts), True, last)
        if draft is None:
            return None
        # What is true of anything gains this prompt nothing.
        appeals = [self._verdicts[note.text].appeal for note in chosen if note.concept != ANYTHING]
        return replace(draft, appeal=float(sum(appeals)))

    @cached_property
    def _known(self) -> dict[str, Note]:
        """The notes of the pool by their texts."""
        return {note.text: note for note in self._pool}

    @cached_property
    def _rewording(self) -> Rewording:
        settings = self.settings
        return Rewording(self.parsed, self.model.concepts, settings.dialect, tuple(settings.keep))

    def _with(self, added: list[str]) -> str:
        if not self.rewords:
            return super()._with(added)
        known = self._known
        woven, left = self._rewording.weave([known[text] for text in added if text in known])
        left = {note.text for note in left}
        behind = [text for text in added if text in left or text not in known]
        return self._behind(woven, behind)

    def _lead(self, read: str) -> str:
        """What an addition is made to begin with."""
        if not self.taught:
            return f"{self.style}," if self.style else ""
        joint = "" if read.endswith(tuple(",.;:!?")) else ","
        if self.style:
            return f"{joint} {self.style},"
        # Without its comma a phrase might lengthen the artist's last word: "gym", "nasium".
        return "" if self.writes_sentences else joint

    def refused(self, phrase: str) -> list[str]:
        """As of `Shaper`; and words that are none, where the model's are listed."""
        lexicon = self.model.lexicon
        return super().refused(phrase) or (
            lexicon.unknown(phrase, self._brought) if lexicon is not None else []
        )

    @cached_property
    def _brought(self) -> frozenset[str]:
        """The words that the prompt, its notes and the settings bring."""
        texts = [self.prompt, self.settings.style, *self.settings.keep]
        texts += self._verdicts
        return frozenset(word for text in texts for word in words(text))

    def leave_alone(self, reason: str) -> None:
        """Have nothing written; `reason` is one line."""
        self.read, self._reason = "", reason

    @property
    def obstacle(self) -> str:
        """Why there is no draft, in one line."""
        if not self.read:
            return self._reason
        return remarks.NOTHING_NEW

    def _length(self, text: str) -> int:
        return len(self.model.tokenizer.encode(text, add_special_tokens=False).ids)

    def draft(self, generation: Generation, last: bool = True) -> Draft | None:
        """The draft that the model's tokens make; as for `shape`."""
        tokens = generation.tokens[: self.longest]
        finished = generation.finished and len(generation.tokens) <= self.longest
        # Half a character at the cut decodes to the replacement sign.
        output = self.model.decode(tokens).replace("\ufffd", "")
        verdicts = self._judged(output)
        doubtful = self._doubtful(verdicts)
        draft = self.shape(output, finished, last, generation.logprob, doubtful)
        if draft is None or self.model.suitability is None:
            return draft
        wrong = [verdicts[phrase].wrong for phrase in draft.added if phrase in verdicts]
        return replace(draft, appeal=self.model.suitability.score(draft.logprob, wrong))

    def _judged(self, output: str) -> dict[str, Verdict]:
        """What readers would make of each phrase of an addition, where the model can tell."""
        if self.model.suitability is None or self.settings.mode == "rewrite":
            return {}
        phrases = clauses(inert(output))
        # Notes have been judged before they were told.
        made_up = [phrase for phrase in phrases if phrase not in self._verdicts]
        verdicts = self._judge(phrases) if made_up else {}
        return {phrase: self._verdicts.get(phrase) or verdicts[phrase] for phrase in phrases}

    def _doubtful(self, verdicts: dict[str, Verdict]) -> set[str]:
        """Phrases of an addition that are likely wrong for the prompt, but for the best few."""
        surest = sorted(verdicts, key=lambda phrase: verdicts[phrase].wrong)[:_SUREST]
        wrong = {p for p, v in verdicts.items() if v.doubt > self.model.suitability.limit}
        return wrong - set(surest)


def write(
    model: Model,
    drafters: Sequence[Drafter],
    draws: Sequence[Sequence[Draw]],
    params: SamplingParams,
    on_token: OnToken | None = None,
) -> list[list[Generation]]:
    """What the model writes for each prompt, one generation a draw, all decoded together.

    Args:
        drafters: of one mode, each with `readings`.
        draws: the candidates wanted of each.
        params: from `sampling_params`.
        on_token: as of `generate`.
    """
    # Rows by the reading that they go on from, and where each stands among the draws.
    places: dict[tuple[int, int], list[int]] = {}
    flat = [(i, draw) for i, wanted in enumerate(draws) for draw in wanted]
    for place, (i, draw) in enumerate(flat):
        reading = draw.candidate % len(drafters[i].readings)
        places.setdefault((i, reading), []).append(place)
    order = [place for rows in places.values() for place in rows]

    def in_order(step: int, ids: Tensor) -> None:
        asked = torch.empty_like(ids)
        asked[torch.tensor(order, device=ids.device)] = ids
        on_token(step, asked)

    rows = generate(
        model.network,
        [drafters[i].readings[reading] for i, reading in places],
        eos=model.eos_id,
        draws=[[flat[place][1] for place in rows] for rows in places.values()],
        params=params,
        # Only the end token of the control tokens means anything in an output.
        blocked=[(i,) for i in model.special_ids if i != model.eos_id],
        wanted=[drafters[i].wanted for i, _ in places],
        on_token=on_token and in_order,
    )
    by_place = dict(zip(order, (generation for each in rows for generation in each), strict=True))
    written = iter(by_place[place] for place in range(len(flat)))
    return [[next(written) for _ in wanted] for wanted in draws]


def batches(drafters: Sequence[Drafter], size: int) -> Iterator[list[int]]:
    """Indices of the drafters to decode together: of one mode, and of like length, so that little
    of a batch is padding."""

    def mode(i: int) -> str:
        return drafters[i].settings.mode

    readable = [i for i, drafter in enumerate(drafters) if drafter.read]
    order = sorted(readable, key=lambda i: (mode(i), len(drafters[i].read)))
    for _, group in groupby(order, mode):
        alike = list(group)
        for start in range(0, len(alike), size):
            yield alike[start : start + size]
