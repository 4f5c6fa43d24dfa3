"""What a captured decoding works on: tensors at fixed addresses, in fixed shapes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..generate import Start
from ..sampling import Sampler
from ..transformer import MASKED, Transformer


class StaticState:
    """One decoding of `rows` sequences with room for `room` tokens and `steps` new ones, and how
    PyTorch's operations choose and read a token a row."""

    def __init__(
        self,
        network: Transformer,
        sampler: Sampler,
        eos: int,
        room: int,
        start: Start,
    ) -> None:
        rows, steps = start.chance.shape
        c, device, params = network.config, network.device, sampler.params
        self.network, self.sampler, self.eos = network, sampler, eos
        # Zeros, because a masked NaN would still be a NaN.
        self.data = torch.zeros(
            c.n_layer, rows, c.n_key_head, 2, room, c.head_dim, dtype=network.dtype, device=device
        )
        self.slopes = network.slopes()
        self.at = torch.arange(room, device=device)
        self.logits = torch.zeros(rows, c.vocab_size, device=device)
        self.scores = torch.zeros_like(self.logits)
        self.history = torch.zeros(rows, room, dtype=torch.long, device=device)
        self.recent = torch.zeros(rows, sampler.window, dtype=torch.long, device=device)
        self.chance = torch.zeros(rows, steps, device=device)
        self.pad = torch.zeros(rows, dtype=torch.long, device=device)
        self.length = torch.zeros(1, dtype=torch.long, device=device)
        self.step = torch.zeros(1, dtype=torch.long, device=device)
        self.live = torch.ones(rows, dtype=torch.bool, device=device)
        self.ids = torch.zeros(rows, dtype=torch.long, device=device)
        self.tokens = torch.zeros(rows, steps, dtype=torch.long, device=device)
        self.logprobs = torch.zeros(rows, steps, device=device)
        self.settings = torch.tensor(
            [params.temperature, params.top_p, params.repetition_penalty], device=device
        )
        self.recall = start.recall and start.recall.select(torch.arange(rows, device=device))

    def begin(self, start: Start) -> None:
        """Take over a decoding whose prompts have been read."""
        logits, cache, history, recent, chance, recall = start
        length = cache.length
        self.data.narrow(4, 0, length).copy_(cache.data.narrow(4, 0, length))
        self.logits.copy_(logits)
        self.scores.copy_(logits)
        self.history.copy_(history[:, :1].expand_as(self.history))
        self.history[:, :length].copy_(history[:, :length])
        self.recent.copy_(recent)
        self.chance.copy_(chance)
        self.pad.zero_() if cache.pad is None else self.pad.copy_(cache.pad)
        if recall is not None:
            self.recall.copy_(recall)
        self.length.fill_(length)
        self.step.zero_()
        self.live.fill_(True)
        self.tokens.fill_(-1)

    def choose(self, total: Tensor) -> None:
        """The next token of each row.

        Args:
            total: (rows,) logarithm of the sum of the logits' exponentials.
        """
        scores = self.scores.copy_(self.logits)
        least = self.sampler.params.min_new_tokens
        if least:
            end = scores[:, self.eos]
            scores[:, self.eos] = end.masked_fill(self.step < least, -torch.inf)
        chance = self.chance.index_select(1, self.step)[:, 0]
        if self.recall is not None:
            self.recall.lean(scores)
        ids = self.ids.copy_(self.sampler(scores, self.history, self.recent, chance))
        chosen = ids[:, None]
        self.tokens.index_copy_(1, self.step, torch.where(self.live, ids, -1)[:, None])
        self.logprobs.index_copy_(1, self.step, self.logits.gather(1, chosen) - total[:, None])
        self.live.logical_and_(ids != self.eos)
        self.history.index_copy_(1, self.length, chosen)
        if self.recall is not None:
            self.recall.hear(ids)
        if self.sampler.window:
            self.recent.copy_(torch.cat((self.recent[:, 1:], chosen), 1))

    def read(self) -> None:
        """Read it: keys, values and `logits` follow, and the step is over."""
        view = self.network.placed(self._bias(), (self.length - self.pad)[:, None])
        hidden = self.network.advance(self.ids[:, None], view, self.data, self.length)
        self.logits.copy_(self.network.logits(hidden))
        self.length.add_(1)
        self.step.add_(1)

    def _bias(self) -> Tensor:
        """ALiBi and mask of the token about to be read: (rows, 1 or n_head, 1, room)."""
        distance = self.at - self.length
        hidden = (distance > 0) | (self.at < self.pad[:, None])
        bias = self.slopes[:, None] * distance
        bias = bias.masked_fill(hidden[:, None], MASKED)
        return bias[:, :, None].to(self.data.dtype)


class StaticPrompt:
    """One prompt of up to `room` tokens, padded on the left, with the cache that it fills."""

    def __init__(self, network: Transformer, room: int) -> None:
        c, device = network.config, network.device
        self.network, self.room = network, room
        self.data = torch.zeros(
            c.n_layer, 1, c.n_key_head, 2, room, c.head_dim, dtype=network.dtype, device=device
        )
        self.bias = network.view(room).bias
        self.at = torch.arange(room, device=device)
        self.ids = torch.zeros(1, room, dtype=torch.long, device=device)
        self.pad = torch.zeros(1, dtype=torch.long, device=device)
        self.logits = torch.zeros(1, c.vocab_size, dtype=network.dtype, device=device)

    def begin(self, prompt: Sequence[int]) -> None:
        """Take over a prompt's tokens."""
        pad = self.room - len(prompt)
        self.ids.copy_(torch.tensor([[0] * pad + list(prompt)]))
        self.pad.fill_(pad)

    def advance(self) -> None:
        """Read them: `data` and `logits` follow."""
        bias = self.bias.masked_fill(self.at < self.pad, MASKED)
        view = self.network.placed(bias, (self.at - self.pad)[None])
        hidden = self.network.advance(self.ids, view, self.data)
        self.logits.copy_(self.network.logits(hidden))
