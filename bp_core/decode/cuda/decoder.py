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

from ..generate import OnToken, Start, decode
from ..sampling import Sampler, SamplingParams
from ..transformer import Engine, KVCache, Transformer
from .nvrtc import KernelError, Recording
from .state import StaticPrompt, StaticState
from .step import OwnStep, can_choose, fits

# Rooms are rounded up to a multiple of so many tokens, so that prompts share captures.
_BUCKET, _PROMPT_BUCKET = 64, 16
# Of prompts beyond, launching takes no longer than running.
_LONGEST_PROMPT = 256
_POLL_EVERY = 8
_KEPT = 4
# Relative error of logits; 0.2 to 1.5 % is what half precision itself errs by.
_TOLERANCE = 0.1

log = logging.getLogger(__name__)


class Step:
    """A decoding's state, and what chooses and reads a token a row: our kernels where they can,
    PyTorch's operations where not.

    Attributes:
        all_ours: no operation of PyTorch's takes part.
    """

    def __init__(self, state: StaticState, kernels: OwnStep | None) -> None:
        self.state, self.kernels = state, kernels
        chooses = can_choose(state.sampler.params, state.network.vocab_size)
        self.all_ours = kernels is not None and chooses

    def begin(self, start: Start) -> None:
        """Take over a decoding whose prompts have been read."""
        self.state.begin(start)
        if self.kernels is not None:
            self.kernels.begin(self.state.logits)

    def advance(self) -> None:
        """Choose one token a row and read it."""
        if self.all_ours:
            self.kernels.choose(self.state)
        else:
            sums = self.state.logits if self.kernels is None else self.kernels.parts
            self.state.choose(sums.logsumexp(1))
        if self.kernels is None:
            self.state.read()
        else:
            self.kernels.read(self.state)


class CudaNetwork(Engine):
    """A network whose decoding runs over static states and, on CUDA, captured graphs of their step.

    States are kept for the next call with the same rows, room, settings and weights; when the
    weights have moved, all are dropped.

    Args:
        network: the one to decode, which stays as it is and may go on learning.
        alone: nothing else in this process draws random numbers on the GPU while something is
            captured, which PyTorch would not allow. Then prompts, too, are captured, and steps
            that our own kernels cannot do (see `step`); otherwise these are done as ever.
        own_kernels: use ours where they run.
    """

    def __init__(self, network: Transformer, alone: bool = False, own_kernels: bool = True) -> None:
        self.model = network
        self._alone, self._use_own_kernels = alone, own_kernels
        self._lock = threading.RLock()  # a state serves one decoding at a time
        self._captures = True
        self._states: dict[Hashable, Captured] = {}
        self._prompts: dict[Hashable, Captured] = {}
        self._weights: tuple[int, ...] = ()

    def step(self, ids: Tensor, cache: KVCache) -> Tensor:
        """See `generate.Network.step`."""
        return self.model.step(ids, cache)

    def loop(
        self,
        start: Start,
        params: SamplingParams,
        blocked: tuple[tuple[int, ...], ...],
        eos: int,
        on_token: OnToken | None,
    ) -> tuple[Tensor, Tensor]:
        """Decode to the end: ids (rows, steps), -1 after the end, and their log-probabilities."""
        network = self.model
        rows, steps = start.chance.shape
        if not self._alone and not self._all_ours(rows, params):
            return decode(network, start, params, blocked, eos, on_token)
        with self._lock, _on(network.device):
            self._look_at_weights()
            room = _up(start.cache.length + steps, _BUCKET)
            words = start.recall and start.recall.room
            key = (rows, room, words, params, blocked, eos, torch.is_autocast_enabled())

            def make() -> Step:
                sampler = Sampler(params, blocked, network.device)
                ours = self._use_own_kernels and fits(network, rows)
                kernels = OwnStep(network, rows) if ours else None
                return Step(StaticState(network, sampler, eos, room, start), kernels)

            try:
                step, advance = self._prepared(self._states, key, make, start)
            except KernelError as error:
                log.warning("%s: decoding by PyTorch's kernels", error)
                self._use_own_kernels = False
                return self.loop(start, params, blocked, eos, on_token)
            state = step.state
            step.begin(start)
            for index in range(params.max_new_tokens):
                advance()
                if on_token is not None:
                    on_token(index, state.tokens[:, index].clone())
                if (index + 1) % _POLL_EVERY == 0 and not state.live.any():
                    break
            return state.tokens.clone(), state.logprobs.clone()

    def prefill(self, prompts: Sequence[Sequence[int]], room: int) -> tuple[Tensor, KVCache]:
        """What `Transformer.prefill` does; a prompt by itself is read by a captured graph.

        No prompts are kept here as `kept.KeptPrompts` does on a CPU: the network may go on
        learning, in place, which nothing here would notice, and reading a prompt in one graph takes
        about as long as a step.
        """
        network, length = self.model, len(prompts[0])
        if not self._alone or len(prompts) > 1 or length > _LONGEST_PROMPT:
            return network.prefill(prompts, room)
        with self._lock, _on(network.device):
            self._look_at_weights()
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

    def _all_ours(self, rows: int, params: SamplingParams) -> bool:
        return (
            self._use_own_kernels
            and self._captures
            and fits(self.model, rows)
            and can_choose(params, self.model.vocab_size)
        )

    def release(self) -> None:
        """Give back what captures hold of the GPU's memory; they are made anew when needed."""
        with self._lock:
            self._states.clear()
            self._prompts.clear()
            self._weights = ()

    def _look_at_weights(self) -> None:
        weights = tuple(p.data_ptr() for p in self.model.parameters())
        if weights != self._weights:
            self.release()
            self._weights = weights

    def _prepared(
        self,
        kept: dict[Hashable, Captured],
        key: Hashable,
        make: Callable[[], Step | StaticPrompt],
        start: Start | Sequence[int],
    ) -> Captured:
        """What works on a state of this kind, and what advances it."""
        if key not in kept:
            while len(kept) >= _KEPT:
                del kept[next(iter(kept))]
            made = make()
            advance = made.advance
            if self.device.type == "cuda" and self._captures:
                try:
                    advance = _capture(made, start, self.device).replay
                except KernelError:
                    raise
                except RuntimeError as error:
                    # Slower, but something more important on the GPU may be the reason.
                    log.warning("no CUDA graph (%s): decoding without", error)
                    self._captures = False
            kept[key] = Captured(made, advance)
        return kept[key]


class Captured(NamedTuple):
    """What works on a state, and what advances it: its own method or a graph of that."""

    step: Step | StaticPrompt
    advance: Callable[[], None]


def _on(device: torch.device) -> AbstractContextManager:
    """Where launches of our own, which name no device, go to this one."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _check(step: Step, start: Start) -> None:
    """Makes sure that our own kernels say what PyTorch's do, on whatever GPU this is.

    Raises:
        KernelError: they do not.
    """
    state = step.state
    step.begin(start)
    step.kernels.choose(state)
    ours = state.ids.clone()
    step.kernels.read(state)
    rows = torch.arange(len(ours), device=ours.device)
    want = state.network.step(ours, start.cache.select(rows)).float()
    error = (state.logits - want).norm() / want.norm()
    step.begin(start)
    state.choose(step.kernels.parts.logsumexp(1))
    if not (error < _TOLERANCE and torch.equal(ours, state.ids)):
        raise KernelError(f"our kernels err by {float(error):.1%} on this GPU")


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _capture(
    step: Step | StaticPrompt, start: Start | Sequence[int], device: torch.device
) -> torch.cuda.CUDAGraph | Recording:
    """A graph of `step.advance`; leaves the state in disorder."""
    # Under autocast a graph must cast the weights itself: copies that are kept outside of it would
    # be of today's weights, and gone tomorrow.
    kept = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        return _captured(step, start, device)
    finally:
        torch.set_autocast_cache_enabled(kept)


def _captured(
    step: Step | StaticPrompt, start: Start | Sequence[int], device: torch.device
) -> torch.cuda.CUDAGraph | Recording:
    # Libraries allocate and choose kernels in their first calls, which a capture must not see.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step.begin(start)
        step.advance()
    torch.cuda.current_stream().wait_stream(side)
    if isinstance(step, Step) and step.all_ours:
        _check(step, start)
        return Recording(step.advance, device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(side):
        # torch.cuda.graph would collect garbage and empty the allocator's cache, which are the
        # host's.
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            step.advance()
        finally:
            graph.capture_end()
    torch.cuda.current_stream().wait_stream(side)
    return graph
