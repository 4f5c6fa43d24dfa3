"""Suitability: which phrases suit a prompt, told by the first layers of the writer itself.

Of what is known of a coat (`text.concepts`), its wide lapels suit a man who waits in the rain and
its wooden hanger does not. The writer reads the prompt and the phrases behind it; two directions
in its states at the end of each phrase say what readers would make of it, who judged notes of some
ten thousand prompts (`train/sft.py --judgements`). It needs no second network. Where a phrase
is from is weighed with it: a place told of the main thing is likelier right than one of the third,
a note that readers liked elsewhere than one that they did not, and the look of a frog is likelier
wrong where "frog eggs" are asked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import linear

from ..decode.generate import Network
from ..errors import ModelError
from ..text.notes import FIELDS, ROLES, Note
from .checkpoint import write_safetensors

FILE = "suitability.safetensors"
_EPSILON = 1e-6  # of the norm
# What is weighed for wrong and for best: what the directions say, then where the phrase is from.
FEATURES = (
    "reads wrong",
    "reads best",
    "grade",
    "made up",
    "of a name of several words",
    "leads",
    "follows",
    "look that leads",
    "look that follows",
    *(f"{field} of {role}" for field in FIELDS for role in ROLES),
)
_AT = {name: place for place, name in enumerate(FEATURES)}
# How much more it counts that a phrase is right than that it is among the best. Of 1, 2 and 4
# blind readers like 4 best, and find least that is wrong.
_CAUTION = 4.0
# What a wrong phrase takes from an addition beside what one of the best gives. Of 0 to 4, 2.5
# orders additions to one prompt most like readers' marks: the first gets the best ones.
_COST = 2.5
# A choice of notes has one palette, one light; looks and tags are as many as there are.
_ONCE = frozenset(("place", "light", "colour", "view"))


class Reader(Protocol):
    """What is asked of a writer; `models.load.Model` is one."""

    network: Network

    def encode_phrases(
        self, raw: str, dialect: str, phrases: Sequence[str]
    ) -> tuple[list[int], list[int]]: ...


class Verdict(NamedTuple):
    """Log-odds that a reader strikes the phrase out, and that it is among the best to say."""

    wrong: float
    best: float

    @property
    def doubt(self) -> float:
        """Probability (0-1) that the phrase is wrong for the prompt."""
        return math.exp(_log_sigmoid(self.wrong))

    @property
    def worth(self) -> float:
        """How likely the phrase is right, above all, and among the best: log-probabilities added,
        at most 0."""
        return _CAUTION * _log_sigmoid(-self.wrong) + _log_sigmoid(self.best)

    @property
    def gain(self) -> float:
        """From -1 to 1: how much likelier the phrase is among the best than wrong."""
        return self.best_less_wrong(1)

    @property
    def appeal(self) -> float:
        """What the phrase adds to an addition's rank among others."""
        return self.best_less_wrong(_COST)

    def best_less_wrong(self, cost: float) -> float:
        """The probability that the phrase is among the best, less `cost` times that it is wrong."""
        return math.exp(_log_sigmoid(self.best)) - cost * self.doubt


@dataclass
class Suitability:
    """Two directions in the states of one writer, and weights of FEATURES.

    Attributes:
        directions: (2, hidden_size) and `bias` (2,): of wrong, and of best.
        depth: how many of the writer's layers read.
        weights: (2, len(FEATURES) + 1), the last of a constant, as the directions are in order.
        limit: a phrase that is likelier wrong than this (0-1) is left out.
        ranking: how a draft's mean log-probability and mean log-odds of wrong are weighed, and a
            constant: together the log-odds that a reader keeps it before an average draft.
    """

    directions: Tensor
    bias: Tensor
    depth: int
    weights: Tensor | None = None
    limit: float = 0.4
    ranking: tuple[float, float, float] = (1.0, -1.0, 0.0)

    def __post_init__(self) -> None:
        if self.weights is None:  # the directions as they are
            self.weights = torch.eye(2, len(FEATURES) + 1)

    @classmethod
    def load(cls, folder: Path, size: int) -> Suitability | None:
        """That of a model folder whose network is `size` wide; None where there is none.

        Raises:
            ModelError: the file is damaged, or of another model.
        """
        from safetensors import safe_open

        path = folder / FILE
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                stated = json.loads((file.metadata() or {})["suitability"])
                depth, limit, names = int(stated["depth"]), float(stated["limit"]), stated["names"]
                names_there = ("directions", "bias", "weights")
                tensors = {name: file.get_tensor(name).float() for name in names_there}
            ranking = tuple(map(float, stated["ranking"]))
            weights = tensors["weights"]
            read = cls(tensors["directions"], tensors["bias"], depth, weights, limit, ranking)
        except Exception as error:  # safetensors raises its own
            raise ModelError(f"cannot read {path} ({error}): copy the folder again") from None
        shapes = [tuple(t.shape) for t in (read.directions, read.bias, read.weights)]
        right = shapes == [(2, size), (2,), (2, len(FEATURES) + 1)] and len(ranking) == 3
        if not right or tuple(names) != FEATURES:
            raise ModelError(f"{path} is of another model: copy the folder again")
        return read

    def save(self, folder: Path) -> None:
        """Write the file of a model folder."""
        stated = {"depth": self.depth, "limit": self.limit, "ranking": self.ranking}
        stated["names"] = FEATURES
        tensors = {"directions": self.directions, "bias": self.bias, "weights": self.weights}
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        write_safetensors(tensors, folder / FILE, metadata={"suitability": json.dumps(stated)})

    def of(
        self, model: Reader, raw: str, dialect: str, phrases: Sequence[Note | str]
    ) -> dict[str, Verdict]:
        """What readers would make of each note, or phrase that is none, behind a prompt."""
        if not phrases:
            return {}
        x = self.features(model, raw, dialect, phrases)
        verdicts = linear(x, self.weights[:, :-1], self.weights[:, -1]).tolist()
        return {_text(phrase): Verdict(*v) for phrase, v in zip(phrases, verdicts, strict=True)}

    @torch.inference_mode()
    def features(
        self, model: Reader, raw: str, dialect: str, phrases: Sequence[Note | str]
    ) -> Tensor:
        """(n, len(FEATURES)) of n phrases behind a prompt, each read with those before it."""
        ids, ends = model.encode_phrases(raw, dialect, [_text(phrase) for phrase in phrases])
        tokens = torch.tensor([ids], device=model.network.device)
        states = model.network.states(tokens, self.depth)[0, ends].float().cpu()
        read = linear(normed(states), self.directions, self.bias)
        x = torch.zeros(len(phrases), len(FEATURES))
        x[:, :2] = read
        for row, phrase in zip(x, phrases, strict=True):
            if isinstance(phrase, Note):
                row[_AT["grade"]] = phrase.grade / 4.5 - 1
                row[_AT[f"{phrase.field} of {phrase.role}"]] = 1
                row[_AT["of a name of several words"]] = " " in phrase.concept
                for way, joined in (("leads", phrase.leads), ("follows", phrase.follows)):
                    row[_AT[way]] = joined
                    row[_AT[f"look that {way}"]] = joined and phrase.field == "look"
            else:
                row[_AT["made up"]] = 1
        return x

    def score(self, logprob: float, wrong: Sequence[float]) -> float:
        """Log-odds that a reader keeps a draft before an average one (Bradley and Terry 1952).

        Args:
            logprob: mean of its tokens, in nats.
            wrong: log-odds of each of its phrases; where there are none, the likelihood decides.
        """
        of_logprob, of_wrong, constant = self.ranking
        return of_logprob * logprob + of_wrong * sum(wrong) / max(1, len(wrong)) + constant

    def choose(
        self, verdicts: Mapping[str, Verdict], notes: Sequence[Note], n: int
    ) -> list[list[str]]:
        """Two choices of `n` notes, of those that are worth most and none that is likely wrong.

        They share the best third and part the others between them, so that drafts of one and of
        the other tell of different things. Where there are few, one choice holds them all.
        """
        right = [note for note in notes if verdicts[note.text].doubt <= self.limit]
        right.sort(key=lambda note: -verdicts[note.text].worth)
        shared = n // 3
        if len(right) <= 2 * shared:
            return [[note.text for note in right]]
        choices: list[list[Note]] = [[], []]

        def takes(choice: list[Note], note: Note) -> bool:
            once = note.field in _ONCE and any(other.field == note.field for other in choice)
            return len(choice) < n and not once

        for rank, note in enumerate(right):
            turn = choices if rank % 2 else choices[::-1]
            takers = [choice for choice in turn if takes(choice, note)]
            for choice in takers if rank < shared else takers[:1]:
                choice.append(note)
        return [[note.text for note in choice] for choice in choices]


def normed(states: Tensor) -> Tensor:
    """States (..., hidden_size) at a mean square of 1, as the directions take them."""
    return states * torch.rsqrt(states.pow(2).mean(-1, keepdim=True) + _EPSILON)


def _text(phrase: Note | str) -> str:
    return phrase.text if isinstance(phrase, Note) else phrase


def _log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > -30 else x
