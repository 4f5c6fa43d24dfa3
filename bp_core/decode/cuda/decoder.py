"""The decode step of a CUDA GPU, sampling included, captured once and replayed for every token.

A small network's step is hundreds of short kernels, and launching them takes longer than running
them. Replaying a captured graph launches all at once. For that, the state of a decoding lies at
fixed addresses in fixed shapes, and a step neither asks the host nor tells it anything.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from ..bloom import MASKED, Bloom, KVCache, alibi_slopes
from ..generate import OnToken, Start, decode
from ..sampling import Sampler, SamplingParams
from .nvrtc import KernelError, Recording
from .step import FusedStep, can_choose, fits

# Rooms are rounded up to a multiple of so many tokens, so that prompts share captures.
_BUCKET, _PROMPT_BUCKET = 64, 16
# Of prompts beyond, launching takes no longer than running.
_LONGEST_PROMPT = 256
_POLL_EVERY = 8
_KEPT = 4
# Relative error of logits; 0.2 to 1.5 % is what half precision itself errs by.
_TOLERANCE = 0.1

log = logging.getLogger(__name__)


class StaticState:
    """One decoding of `rows` sequences with room for `room` tokens and `steps` new ones.

    Args:
        kernels: our own for this network and so many rows, if they are to be used.
    """

    def __init__(
        self,
        network: Bloom,
        sampler: Sampler,
        eos: int,
        room: int,
        start: Start,
        kernels: FusedStep | None,
    ) -> None:
        rows, steps = start.chance.shape
        c, device, params = network.config, network.device, sampler.params
        self.network, self.sampler, self.eos, self.kernels = network, sampler, eos, kernels
        # Whether a step is done by our own kernels, and nothing else.
        self.all_ours = kernels is not None and can_choose(params, c.vocab_size)
        # Zeros, because a masked NaN would still be a NaN.
        self.data = torch.zeros(
            c.n_layer, rows, c.n_head, 2, room, c.head_dim, dtype=network.dtype, device=device
        )
        self.slopes = torch.tensor(alibi_slopes(c.n_head), device=device)
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
        if self.kernels is not None:
            self.kernels.begin(self.logits)
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

    def advance(self) -> None:
        """Choose one token a row and read it."""
        if self.all_ours:
            self.kernels.choose(self)
        else:
            self._choose()
        if self.kernels is None:
            self._read()
        else:
            self.kernels.read(self)

    def _choose(self) -> None:
        scores = self.scores.copy_(self.logits)
        total = (self.logits if self.kernels is None else self.kernels.parts).logsumexp(1)
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

    def _read(self) -> None:
        hidden = self.network.advance(self.ids[:, None], self._bias(), self.data, self.length)
        self.logits.copy_(self.network.logits(hidden))
        self.length.add_(1)
        self.step.add_(1)

    def _bias(self) -> Tensor:
        """ALiBi and mask of the token about to be read: (rows, n_head, 1, room)."""
        distance = self.at - self.length
        hidden = (distance > 0) | (self.at < self.pad[:, None])
        bias = self.slopes[:, None] * distance
        bias = bias.masked_fill(hidden[:, None], MASKED)
        return bias[:, :, None].to(self.data.dtype)


class StaticPrompt:
    """One prompt of up to `room` tokens, padded on the left, with the cache that it fills."""

    all_ours = False

    def __init__(self, network: Bloom, room: int) -> None:
        c, device = network.config, network.device
        self.network, self.room = network, room
        self.data = torch.zeros(
            c.n_layer, 1, c.n_head, 2, room, c.head_dim, dtype=network.dtype, device=device
        )
        self.bias = network.bias(room)
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
        """Read it: `data` and `logits` follow."""
        bias = self.bias.masked_fill(self.at < self.pad, MASKED)
        hidden = self.network.advance(self.ids, bias, self.data)
        self.logits.copy_(self.network.logits(hidden))


class GraphDecoder:
    """Runs `generate`'s inner loop over static states and, on CUDA, captured graphs of their step.

    States are kept for the next call with the same rows, room, settings and weights; when the
    weights have moved, all are dropped.

    Args:
        alone: nothing else in this process draws random numbers on the GPU while something is
            captured, which PyTorch would not allow. Then prompts, too, are captured, and steps
            that our own kernels cannot do (see `fused`); otherwise these are done as ever.
        own_kernels: use ours where they run.
    """

    def __init__(self, alone: bool = False, own_kernels: bool = True) -> None:
        self._alone, self._use_own_kernels = alone, own_kernels
        self._lock = threading.RLock()  # a state serves one decoding at a time
        self._captures = True
        self._states: dict[Hashable, Captured] = {}
        self._prompts: dict[Hashable, Captured] = {}
        self._weights: tuple[int, ...] = ()

    def __call__(
        self,
        network: Bloom,
        start: Start,
        params: SamplingParams,
        blocked: tuple[tuple[int, ...], ...],
        eos: int,
        on_token: OnToken | None,
    ) -> tuple[Tensor, Tensor]:
        """Decode to the end: ids (rows, steps), -1 after the end, and their log-probabilities."""
        rows, steps = start.chance.shape
        if not self._alone and not self._all_ours(network, rows, params):
            return decode(network, start, params, blocked, eos, on_token)
        with self._lock, _on(network.device):
            self._look_at(network)
            room = _up(start.cache.length + steps, _BUCKET)
            words = start.recall and start.recall.room
            key = (rows, room, words, params, blocked, eos, torch.is_autocast_enabled())

            def make() -> StaticState:
                sampler = Sampler(params, blocked, network.device)
                ours = self._use_own_kernels and fits(network, rows)
                kernels = FusedStep(network, rows) if ours else None
                return StaticState(network, sampler, eos, room, start, kernels)

            try:
                state, advance = self._prepared(self._states, key, make, start)
            except KernelError as error:
                log.warning("%s: decoding by PyTorch's kernels", error)
                self._use_own_kernels = False
                return self(network, start, params, blocked, eos, on_token)
            state.begin(start)
            for step in range(params.max_new_tokens):
                advance()
                if on_token is not None:
                    on_token(step, state.tokens[:, step].clone())
                if (step + 1) % _POLL_EVERY == 0 and not state.live.any():
                    break
            return state.tokens.clone(), state.logprobs.clone()

    def prefill(
        self, network: Bloom, prompts: Sequence[Sequence[int]], room: int
    ) -> tuple[Tensor, KVCache]:
        """What `Bloom.prefill` does; a prompt by itself is read by a captured graph."""
        length = len(prompts[0])
        if not self._alone or len(prompts) > 1 or length > _LONGEST_PROMPT:
            return network.prefill(prompts, room)
        with self._lock, _on(network.device):
            self._look_at(network)
            size = _up(length, _PROMPT_BUCKET)
            state, advance = self._prepared(
                self._prompts,
                (size, torch.is_autocast_enabled()),
                lambda: StaticPrompt(network, size),
                prompts[0],
            )
            state.begin(prompts[0])
            advance()
            cache = network.cache(1, length + room)
            cache.grow(length).copy_(state.data.narrow(4, size - length, length))
            return state.logits.clone(), cache

    def _all_ours(self, network: Bloom, rows: int, params: SamplingParams) -> bool:
        return (
            self._use_own_kernels
            and self._captures
            and fits(network, rows)
            and can_choose(params, network.vocab_size)
        )

    def release(self) -> None:
        """Give back what captures hold of the GPU's memory; they are made anew when needed."""
        with self._lock:
            self._states.clear()
            self._prompts.clear()
            self._weights = ()

    def _look_at(self, network: Bloom) -> None:
        weights = tuple(p.data_ptr() for p in network.parameters())
        if weights != self._weights:
            self.release()
            self._weights = weights

    def _prepared(
        self,
        kept: dict[Hashable, Captured],
        key: Hashable,
        make: Callable[[], StaticState | StaticPrompt],
        start: Start | Sequence[int],
    ) -> Captured:
        """A state of this kind, and what advances it."""
        if key not in kept:
            while len(kept) >= _KEPT:
                del kept[next(iter(kept))]
            state = make()
            advance = state.advance
            if state.network.device.type == "cuda" and self._captures:
                try:
                    advance = _capture(state, start).replay
                except KernelError:
                    raise
                except RuntimeError as error:
                    # Slower, but something more important on the GPU may be the reason.
                    log.warning("no CUDA graph (%s): decoding without", error)
                    self._captures = False
            kept[key] = Captured(state, advance)
        return kept[key]


class Captured(NamedTuple):
    """A state, and what advances it: its own method or a graph of that."""

    state: StaticState | StaticPrompt
    advance: Callable[[], None]


def _on(device: torch.device) -> AbstractContextManager:
    """Where launches of our own, which name no device, go to this one."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _check(state: StaticState, start: Start) -> None:
    """Makes sure that our own kernels say what PyTorch's do, on whatever GPU this is.

    Raises:
        KernelError: they do not.
    """
    state.begin(start)
    state.kernels.choose(state)
    ours = state.ids.clone()
    state.kernels.read(state)
    rows = torch.arange(len(ours), device=ours.device)
    want = state.network.step(ours, start.cache.select(rows)).float()
    error = (state.logits - want).norm() / want.norm()
    state.begin(start)
    state._choose()
    if not (error < _TOLERANCE and torch.equal(ours, state.ids)):
        raise KernelError(f"our kernels err by {float(error):.1%} on this GPU")


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _capture(
    state: StaticState | StaticPrompt, start: Start | Sequence[int]
) -> torch.cuda.CUDAGraph | Recording:
    """A graph of `state.advance`; leaves the state in disorder."""
    # Under autocast a graph must cast the weights itself: copies that are kept outside of it would
    # be of today's weights, and gone tomorrow.
    kept = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        return _captured(state, start)
    finally:
        torch.set_autocast_cache_enabled(kept)


def _captured(
    state: StaticState | StaticPrompt, start: Start | Sequence[int]
) -> torch.cuda.CUDAGraph | Recording:
    # Libraries allocate and choose kernels in their first calls, which a capture must not see.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        state.begin(start)
        state.advance()
    torch.cuda.current_stream().wait_stream(side)
    if state.all_ours:
        _check(state, start)
        return Recording(state.advance, state.network.device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(side):
        # torch.cuda.graph would collect garbage and empty the allocator's cache, which are the
        # host's.
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            state.advance()
        finally:
            graph.capture_end()
    torch.cuda.current_stream().wait_stream(side)
    return graph
