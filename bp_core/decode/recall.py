"""Reminds a free rewrite of the artist's words while it is written.

A small model loses words, and a guard can only put them back where they happen to fit. Leaning
each step towards the artist's next word makes the model itself say them, in order, with whatever
it likes in between; a word that it passes over is given up as soon as it says one of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# One token may be passed over for one of so many that follow it.
AHEAD = 3
# A word once begun is to be ended: its other tokens are leaned on so many times as much.
_BEGUN = 2.0

Words = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Recall:
    """What each row should yet say. Its tensors keep their shapes, as a captured graph needs.

    Attributes:
        ids: (rows, room) tokens to be said in order, -1 behind the last.
        extra: (rows, room) nats added to the logit of each when it is the next.
        said: (rows,) how many are said or given up.
    """

    ids: Tensor
    extra: Tensor
    said: Tensor

    @classmethod
    def of(
        cls, wanted: Sequence[Words], strength: float, device: torch.device | str = "cpu"
    ) -> Recall:
        """For each row the words to be said, each as its token ids.

        Args:
            strength: nats for a word's first token.
        """
        room = max(sum(map(len, words)) for words in wanted) + AHEAD
        ids, extra = [], []
        for words in wanted:
            flat = [(i, _BEGUN if k else 1.0) for word in words for k, i in enumerate(word)]
            flat += [(-1, 0.0)] * (room - len(flat))
            ids.append([i for i, _ in flat])
            extra.append([strength * share for _, share in flat])
        said = torch.zeros(len(ids), dtype=torch.long, device=device)
        return cls(torch.tensor(ids, device=device), torch.tensor(extra, device=device), said)

    @property
    def room(self) -> int:
        return self.ids.shape[1]

    def lean(self, logits: Tensor) -> None:
        """Add to the logits (rows, V), in place."""
        following = self.ids.gather(1, self.said[:, None]).clamp(min=0)
        logits.scatter_add_(1, following, self.extra.gather(1, self.said[:, None]))

    def hear(self, ids: Tensor) -> None:
        """Take note of what the rows have said: ids (rows,)."""
        ahead = torch.arange(AHEAD, device=ids.device)
        found = self.ids.gather(1, self.said[:, None] + ahead) == ids[:, None]
        steps = found.int().argmax(1) + 1
        self.said.add_(torch.where(found.any(1), steps, torch.zeros_like(steps)))

    def select(self, rows: Tensor) -> Recall:
        """Of some rows, where these stand now."""
        return Recall(self.ids[rows], self.extra[rows], self.said[rows])

    def copy_(self, other: Recall) -> None:
        """Take over another's rows, which are as many and as long."""
        self.ids.copy_(other.ids)
        self.extra.copy_(other.extra)
        self.said.copy_(other.said)
