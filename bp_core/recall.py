"""Reminds a free rewrite of the artist's words while it is written.

A small model loses words, and a guard can only put them back where they happen to fit. Leaning
each step towards the artist's next word makes the model itself say them, in order, with whatever
it likes in between; a word that it passes over is given up as soon as it says one of the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# One token may be passed over for one of so many that follow it.
_AHEAD = 3
# A word once begun is to be ended: its other tokens are leaned on so many times as much.
_BEGUN = 2.0

Words = Sequence[Sequence[int]]


class Recall:
    """What each row should yet say. Its tensors keep their shapes, as a captured graph needs.

    Args:
        wanted: for each row, words to be said in order, each as its token ids.
        strength: nats added to the logit of the next word's first token.
    """

    def __init__(
        self, wanted: Sequence[Words], strength: float, device: torch.device | str = "cpu"
    ) -> None:
        room = max(sum(map(len, words)) for words in wanted) + _AHEAD
        ids, extra = [], []
        for words in wanted:
            flat = [(i, _BEGUN if k else 1.0) for word in words for k, i in enumerate(word)]
            flat += [(-1, 0.0)] * (room - len(flat))
            ids.append([i for i, _ in flat])
            extra.append([strength * share for _, share in flat])
        self._ids = torch.tensor(ids, device=device)  # (rows, room), -1 behind the last
        self._extra = torch.tensor(extra, device=device)
        self._said = torch.zeros(len(ids), dtype=torch.long, device=device)
        self._ahead = torch.arange(_AHEAD, device=device)

    @property
    def room(self) -> int:
        return self._ids.shape[1]

    def lean(self, logits: Tensor) -> None:
        """Add to the logits (rows, V), in place."""
        said = self._said[:, None]
        following = self._ids.gather(1, said).clamp(min=0)
        logits.scatter_add_(1, following, self._extra.gather(1, said))

    def hear(self, ids: Tensor) -> None:
        """Take note of what the rows have said: ids (rows,)."""
        found = self._ids.gather(1, self._said[:, None] + self._ahead) == ids[:, None]
        steps = found.int().argmax(1) + 1
        self._said += torch.where(found.any(1), steps, torch.zeros_like(steps))

    def select(self, rows: Tensor) -> Recall:
        """Of some rows, where these stand now."""
        chosen = object.__new__(Recall)
        chosen._ids, chosen._extra, chosen._said = (
            t[rows] for t in (self._ids, self._extra, self._said)
        )
        chosen._ahead = self._ahead
        return chosen

    def copy_(self, other: Recall) -> None:
        """Take over another's rows, which are as many and as long."""
        for mine, theirs in (
            (self._ids, other._ids),
            (self._extra, other._extra),
            (self._said, other._said),
        ):
            mine.copy_(theirs)
