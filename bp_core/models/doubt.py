"""Doubt: how likely a phrase of a writer is wrong for the prompt, told by how sure it was of it.

A small writer knows more than it says: the phrases that readers found wrong are those of whose
words it was least sure, and those that it made up where notes (`text.concepts`) offered others. A
handful of weights, learned from readers' marks by `train/starter/doubt.py`, lie in its folder.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError
from .checkpoint import read_json

FILE = "doubt.json"
# What is weighed, in this order; log-probabilities are cut off where more tells no more.
FEATURES = ("mean logprob", "least logprob", "log tokens", "is a note", "words in notes")
_LEAST_MEAN, _LEAST = -6.0, -10.0
_WORD = re.compile(r"[a-z0-9]+")


def features(phrase: str, logprobs: Sequence[float], notes: Sequence[str]) -> list[float]:
    """Those of FEATURES.

    Args:
        logprobs: of the phrase's tokens, in nats.
        notes: that the writer read.
    """
    spoken = _WORD.findall(phrase.lower())
    noted = [_WORD.findall(note.lower()) for note in notes]
    known = {word for note in noted for word in note}
    return [
        max(_LEAST_MEAN, sum(logprobs) / len(logprobs)),
        max(_LEAST, min(logprobs)),
        math.log(len(logprobs)),
        float(spoken in noted),
        sum(word in known for word in spoken) / max(1, len(spoken)),
    ]


@dataclass(frozen=True)
class Doubt:
    """Weights of FEATURES.

    Attributes:
        limit: a phrase that is likelier wrong than this (0-1) is left out.
        usual: mean log-probability of an average draft, in nats.
        worth: log-odds, a nat above it, that a reader keeps a draft before an average one.
    """

    weights: tuple[float, ...]
    bias: float
    limit: float
    usual: float = 0.0
    worth: float = 1.0

    @classmethod
    def load(cls, folder: Path) -> Doubt | None:
        """That of a model folder; None where there is none. Raises ModelError."""
        path = folder / FILE
        if not path.is_file():
            return None
        stated = read_json(path)
        try:
            weights = tuple(float(stated["weights"][name]) for name in FEATURES)
            rest = [float(stated[name]) for name in ("bias", "limit", "usual", "worth")]
            return cls(weights, *rest)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{path} lacks weights, bias, limit, usual or worth ({error}): make it with "
                "train.starter.doubt"
            ) from None

    def of(self, phrase: str, logprobs: Sequence[float], notes: Sequence[str]) -> float:
        """Probability (0-1) that a reader would call the phrase wrong."""
        values = features(phrase, logprobs, notes)
        return 1 / (1 + math.exp(-self.bias - sum(map(float.__mul__, self.weights, values))))

    def score(self, logprob: float) -> float:
        """Log-odds that a reader keeps a draft of this mean log-probability before an average one
        (Bradley and Terry 1952)."""
        return self.worth * (logprob - self.usual)
