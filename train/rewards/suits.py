"""A reward by a writer's own judgement: do the added phrases suit the prompt?

A writer that was taught from readers' judgements (`bp_core/models/suitability.py`) tells how likely
a reader would strike a phrase out, and how likely it is among the best to say. It stays as it is
while another one, or its own upper layers, learn. Mixed with r_aes as the paper mixes its two.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from bp_core.errors import InputError
from bp_core.models.load import Model, load
from bp_core.score.text_reward import Score, TextReward
from bp_core.text.dialect import BOORU, TAGS, dialect_of
from bp_core.text.notes import origins
from bp_core.text.words import clauses

# A wrong phrase costs as much as two of the best are worth: readers lower a whole addition for it.
_WRONG = 2.0


class SuitsReward:
    """r = α · suits + (1 - α) · z(r_aes).

    Args:
        writer: folder of a writer that judges phrases, or "starter".
        aesthetic: r_aes, or None to do without (α = 1).
        alpha: weight of what suits, 0-1.
    """

    def __init__(
        self,
        writer: str | Path,
        aesthetic: TextReward | None,
        alpha: float,
        device: str | torch.device = "cpu",
    ) -> None:
        self.model = load(str(writer), device)
        if self.model.suitability is None or self.model.concepts is None:
            raise InputError(f"{writer} judges no phrases: train it with sft.py --judgements")
        self.aesthetic, self.alpha = aesthetic, alpha if aesthetic is not None else 1.0

    def score(self, prompts: Sequence[str], raw: Sequence[str]) -> list[Score]:
        """One Score a rewrite; its `relevance` is the sum over what it adds (see `worth`)."""
        suits = [worth(self.model, *pair) for pair in zip(raw, prompts, strict=True)]
        beauty = [0.0] * len(suits)
        if self.aesthetic is not None:
            beauty = self.aesthetic.score(prompts).tolist()
        return [
            Score(self.alpha * s + (1 - self.alpha) * b, s, b)
            for s, b in zip(suits, beauty, strict=True)
        ]


def worth(model: Model, raw: str, rewrite: str) -> float:
    """The sum over the phrases that a rewrite adds of the probability that each is among the best
    less twice that it is wrong; 0 where it adds none."""
    added = rewrite[len(raw) :] if rewrite.startswith(raw) else rewrite
    said = {clause.lower() for clause in clauses(raw)}
    phrases = [p for p in dict.fromkeys(c.lower() for c in clauses(added)) if p not in said]
    known = {phrase.lower(): note for phrase, note in origins(model.concepts.named(raw)).items()}
    # Sentences are answered in phrases, and read without their full stop.
    dialect = BOORU if dialect_of(raw) == BOORU else TAGS
    read = raw.rstrip(" .!?") or raw
    verdicts = model.suitability.of(model, read, dialect, [known.get(p, p) for p in phrases])
    return sum((verdict.best_less_wrong(_WRONG) for verdict in verdicts.values()), 0.0)
