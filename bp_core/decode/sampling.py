"""From logits to the next token of many candidates at once, reproducible from one seed.

Every random number is drawn before decoding starts, from a CPU generator of the candidate's own,
and turned into a token by inverting the CDF on the model's device. A candidate's text therefore
depends neither on how many others are decoded beside it nor on the device's generator, and the
global one is never touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError

# Rows are searched chunk by chunk for a few of their numbers from this length on.
_LARGE, _CHUNK, _FEW = 2**16, 64, 256


@dataclass(frozen=True)
class SamplingParams:
    """How the next token is chosen. Applied in the order of transformers' `generate`.

    Attributes:
        temperature: 0 takes the most likely token; 1 the model's own distribution.
        top_k: only the k most likely tokens; 0 for all.
        top_p: only the most likely tokens that together reach this probability; 1 for all.
        repetition_penalty: divides the positive logits of tokens already in prompt or output, and
            multiplies the negative ones (CTRL, arXiv 1909.05858); 1 for none.
        penalise_prompt: the penalty counts the prompt's tokens, too, as transformers does. That
            costs a free rewrite the artist's words, which it should repeat.
        recall: nats by which the artist's next word is made likelier in a free rewrite (see
            `recall`); 0 for none.
        max_new_tokens: longest output, in tokens, the end token included.
        min_new_tokens: the end token is not drawn before this many others.

    Raises:
        InputError: a value out of range.
    """

    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 0.95
    repetition_penalty: float = 1.1
    max_new_tokens: int = 64
    min_new_tokens: int = 0
    penalise_prompt: bool = True
    recall: float = 0.0

    def __post_init__(self) -> None:
        for name, allowed, good in (
            ("temperature", "0 (greedy) to 10", lambda v: 0 <= v <= 10),
            ("top_k", "a whole number, 0 (all tokens) or more", lambda v: v == int(v) >= 0),
            ("top_p", "above 0, up to 1", lambda v: 0 < v <= 1),
            ("repetition_penalty", "above 0, up to 10", lambda v: 0 < v <= 10),
            ("max_new_tokens", "a whole number from 1 to 4096",
             lambda v: v == int(v) and 1 <= v <= 4096),
            ("min_new_tokens", "a whole number, 0 or more", lambda v: v == int(v) >= 0),
            ("recall", "from 0 to 100", lambda v: 0 <= v <= 100),
        ):  # fmt: skip
            value = getattr(self, name)
            try:
                fits = good(value)
            except (TypeError, ValueError, OverflowError):
                fits = False
            if not fits:
                raise InputError(f"{name} is {value!r}: it must be {allowed}")


class Draw(NamedTuple):
    """Names one candidate's stream of random numbers.

    Attributes:
        seed: the user's seed.
        candidate: its index among the candidates of one prompt.
        attempt: 0 first; 1, 2, … when a candidate was refused and is drawn again.
    """

    seed: int
    candidate: int
    attempt: int = 0


def uniforms(draws: Sequence[Draw], steps: int) -> Tensor:
    """One uniform number in [0, 1) per draw and step: (len(draws), steps), float32, on the CPU.

    A row depends on its draw alone, and a shorter row is the beginning of a longer one.
    """
    rows = []
    for draw in draws:
        digest = hashlib.sha256(repr(tuple(map(int, draw))).encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
        rows.append(torch.rand(steps, generator=generator))
    return torch.stack(rows)


def window(blocked: Sequence[Sequence[int]]) -> int:
    """How many tokens before the next one can belong to a blocked sequence."""
    return max((len(sequence) - 1 for sequence in blocked if len(sequence)), default=0)


class Sampler:
    """Chooses the next token of every row. Holds no state: rows may come and go between calls."""

    def __init__(
        self,
        params: SamplingParams,
        blocked: Sequence[Sequence[int]] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepare for one decoding.

        Args:
            blocked: token sequences that must not appear; the token that would complete one gets
                no probability. A sequence may begin in the prompt.

        Attributes:
            single: (s,) ids that must not appear at all.
            heads, lasts: (b, window) and (b,) the longer sequences; -2 in a head fits any token.
        """
        self.params = params
        blocked = sorted({tuple(sequence) for sequence in blocked if len(sequence)})
        single = [s[0] for s in blocked if len(s) == 1]
        longer = [s for s in blocked if len(s) > 1]
        self._limit = torch.full((1, 1), float(params.top_p), device=device)
        self.window = window(longer)
        # -2 fits any token, and -1, a place before the prompt, fits no token.
        heads = [[-2] * (self.window + 1 - len(s)) + list(s[:-1]) for s in longer]
        self.single = torch.tensor(single, dtype=torch.long, device=device)
        self.heads = torch.tensor(heads, dtype=torch.long, device=device)
        self.heads = self.heads.view(len(longer), self.window)
        self.lasts = torch.tensor([s[-1] for s in longer], dtype=torch.long, device=device)
        self._any = self.heads == -2

    def __call__(self, logits: Tensor, history: Tensor, recent: Tensor, uniform: Tensor) -> Tensor:
        """The next token of each row: (n,) ids.

        Args:
            logits: (n, V) float32; overwritten.
            history: (n, T) ids of prompt and output, for the repetition penalty; a row's padding
                repeats one of its own ids.
            recent: (n, window) the last ids of prompt and output, -1 where there is none.
            uniform: (n,) in [0, 1), float32.
        """
        params = self.params
        if params.repetition_penalty != 1:
            scores = logits.gather(1, history)
            scores = torch.where(
                scores < 0, scores * params.repetition_penalty, scores / params.repetition_penalty
            )
            logits.scatter_(1, history, scores)
        if len(self.single):
            logits.index_fill_(1, self.single, -torch.inf)
        if self.window:
            complete = ((recent[:, None] == self.heads) | self._any).all(2)  # (n, sequences)
            penalty = torch.zeros_like(complete, dtype=logits.dtype)
            penalty.masked_fill_(complete, -torch.inf)
            logits.scatter_add_(1, self.lasts.expand_as(penalty), penalty)
        if params.temperature == 0:
            return logits.argmax(1)
        return self._draw(logits, uniform)

    def _draw(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """Invert the CDF over the tokens that top-k and top-p leave, most likely first."""
        params = self.params
        scores, ids = logits, None
        if params.top_k or params.top_p < 1:
            scores, ids = _topk(logits, min(params.top_k or logits.shape[1], logits.shape[1]))
        cdf = (scores / params.temperature).softmax(1).cumsum(1)
        # The nucleus ends with the first token at which the sum reaches top_p: its mass is there.
        limit = self._limit.expand(len(cdf), 1).contiguous()
        last = torch.searchsorted(cdf, limit).clamp_(max=cdf.shape[1] - 1)
        target = uniform[:, None] * cdf.gather(1, last)
        chosen = torch.searchsorted(cdf, target)
        return (chosen if ids is None else ids.gather(1, chosen))[:, 0]


def _topk(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k highest of each row, sorted, and their ids; (n, k) each."""
    vocabulary = logits.shape[1]
    if logits.device.type != "cuda" or vocabulary < _LARGE or k > _FEW or vocabulary % _CHUNK:
        return logits.topk(k, dim=1)
    return topk_by_chunks(logits, k)


def topk_by_chunks(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k highest of each row (n, V), sorted, and their ids; (n, k) each.

    CUDA's own topk passes over a long row many times. The k highest lie in the k chunks whose
    highest are the highest.
    """
    chunks = logits.view(len(logits), -1, _CHUNK)
    best = chunks.amax(2).topk(k, dim=1, sorted=False).indices
    near = chunks.gather(1, best[:, :, None].expand(-1, -1, _CHUNK)).flatten(1)
    scores, at = near.topk(k, dim=1)
    return scores, best.gather(1, at // _CHUNK) * _CHUNK + at % _CHUNK
