"""The decode loop: tokens in, tokens out. It knows nothing of text.

Each prompt is read once; its key/value cache is then shared out to its candidates, and the
candidates of all prompts advance together, one token a step. Rollouts of training and rewrites of
inference both come from here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..errors import InputError, ModelError
from .recall import Recall, Words
from .sampling import Draw, Sampler, SamplingParams, uniforms, window

OnToken = Callable[[int, Tensor], None]

# Looking at the end flags waits for the device, so an accelerator is asked only now and then.
_POLL_EVERY = {"cpu": 1}
_POLL_EVERY_ELSEWHERE = 8


class Cache(Protocol):
    """What a network remembers of the rows it has read."""

    def select(self, rows: Tensor) -> Cache:
        """The cache of the given rows, each any number of times; this one is then used up."""


class Network(Protocol):
    """What `generate` needs of a language model; `Transformer` and `HFNetwork` are two."""

    device: torch.device
    vocab_size: int
    # Called instead of `decode`, with the same arguments but for the network.
    loop: Callable[..., tuple[Tensor, Tensor]] | None

    def prefill(self, prompts: Sequence[Sequence[int]], room: int) -> tuple[Tensor, Cache]:
        """Logits (n, vocab_size) after each prompt, and a cache with room for more tokens."""

    def step(self, ids: Tensor, cache: Cache) -> Tensor:
        """Logits (n, vocab_size) after one more token (n,) a row."""


@dataclass
class Generation:
    """One candidate.

    Attributes:
        tokens: ids after the prompt, without the end token.
        logprobs: log-probability of each token under the model's own distribution (temperature 1,
            no penalty, no truncation); one more, the end token's, when `finished`.
        finished: ended by the end token, not by max_new_tokens.
    """

    tokens: list[int]
    logprobs: list[float]
    finished: bool

    @property
    def logprob(self) -> float:
        """Mean of `logprobs`."""
        return sum(self.logprobs) / len(self.logprobs)


class Start(NamedTuple):
    """A decoding whose prompts have been read.

    Attributes:
        logits: (rows, vocab_size) after the prompts.
        cache: of the same rows.
        history: (rows, T + steps) all ids so far, and places for the new ones.
        recent: (rows, window) the last ids, -1 before the prompt.
        chance: (rows, steps) a uniform number for each token to come.
        recall: what rows are to be reminded of, if anything.
    """

    logits: Tensor
    cache: Cache
    history: Tensor
    recent: Tensor
    chance: Tensor
    recall: Recall | None = None


@torch.inference_mode()
def generate(
    network: Network,
    prompts: Sequence[Sequence[int]],
    *,
    eos: int,
    n: int = 4,
    seed: int | Sequence[int] = 0,
    draws: Sequence[Sequence[Draw]] | None = None,
    params: SamplingParams | None = None,
    blocked: Sequence[Sequence[int]] = (),
    wanted: Sequence[Words] | None = None,
    on_token: OnToken | None = None,
) -> list[list[Generation]]:
    """Continue each prompt n times.

    Args:
        prompts: token ids, no prompt empty; lengths may differ.
        eos: the end token's id.
        n: candidates a prompt.
        seed: of all prompts, or one each. Candidate i depends on its prompt, the seed and i, and
            not on n or on the other prompts.
        draws: instead of n and seed, the candidates wanted of each prompt by name.
        params: how tokens are chosen; SamplingParams() when None.
        blocked: token sequences that no candidate may contain.
        wanted: words, as token ids, of which each prompt's candidates are reminded as strongly
            as `params.recall` says.
        on_token: called after each step with its index and the new ids (rows,), -1 for rows that
            have ended; rows are the candidates of the first prompt, then of the second, …
            What it raises (Cancelled, say) ends the decoding and reaches the caller.

    Returns:
        One list of candidates per prompt, in order.

    Raises:
        InputError: no prompt, an empty one, or n under 1.
        ModelError: the network computes what is no number.
    """
    params = params or SamplingParams()
    draws = _draws(prompts, n, seed) if draws is None else draws
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise InputError("every prompt needs at least one token")
    if len(draws) != len(prompts) or not all(draws):
        raise InputError("every prompt needs at least one candidate")

    device, steps = network.device, params.max_new_tokens
    owner = [index for index, wanted in enumerate(draws) for _ in wanted]
    logits, cache = network.prefill(prompts, steps)
    if not bool(logits.isfinite().any(1).all()) or bool(logits.isnan().any()):
        raise ModelError(
            "the model computes no numbers: its weights are damaged, download it again"
        )
    if len(owner) > len(prompts):
        parents = torch.tensor(owner, device=device)
        logits, cache = logits[parents], cache.select(parents)

    chance = uniforms([draw for wanted in draws for draw in wanted], steps).to(device)
    blocked = tuple(tuple(sequence) for sequence in blocked)
    history, recent = _histories([prompts[index] for index in owner], steps, window(blocked))
    if not params.penalise_prompt:
        # One token stands for all of the prompt's: one that is never drawn, if there is any.
        never = next((torch.tensor(s[0]) for s in blocked if len(s) == 1), history[:, :1])
        history.copy_(never.expand_as(history).clone())
    recall = None
    if wanted is not None and params.recall:
        recall = Recall.of([wanted[i] for i in owner], params.recall, device)
    start = Start(logits, cache, history.to(device), recent.to(device), chance, recall)
    run = network.loop or functools.partial(decode, network)
    found = run(start, params, blocked, eos, on_token)
    candidates = iter(zip(*(each.tolist() for each in found), strict=True))
    return [[_generation(*next(candidates), eos) for _ in wanted] for wanted in draws]


def decode(
    network: Network,
    start: Start,
    params: SamplingParams,
    blocked: tuple[tuple[int, ...], ...],
    eos: int,
    on_token: OnToken | None,
) -> tuple[Tensor, Tensor]:
    """The loop: ids (rows, steps), -1 after the end, and their log-probabilities."""
    logits, cache, history, recent, chance, recall = start
    device, (total, steps) = network.device, chance.shape
    length = history.shape[1] - steps
    sampler = Sampler(params, blocked, device)
    rows = None  # where the rows that are still decoded stand among all; None before any was left
    live = torch.ones(total, dtype=torch.bool, device=device)
    written = []  # per step: ids and log-probabilities of all rows, -1 where a row has ended
    poll_every = _POLL_EVERY.get(device.type, _POLL_EVERY_ELSEWHERE)

    for step in range(steps):
        logits = logits.float()
        own = logits.log_softmax(1)
        if step < params.min_new_tokens:
            logits[:, eos] = -torch.inf
        if recall is not None:
            recall.lean(logits)
        ids = sampler(logits, history[:, : length + step], recent, chance[:, step])
        found = torch.where(live, ids, -1), own.gather(1, ids[:, None])[:, 0]
        if rows is not None:
            found = tuple(t.new_full((total,), -1).index_copy(0, rows, t) for t in found)
        written.append(found)
        if on_token is not None:
            on_token(step, found[0])
        if step + 1 == steps:
            break
        live = live & (ids != eos)
        history[:, length + step] = ids
        if recall is not None:
            recall.hear(ids)
        if sampler.window:
            recent = torch.cat((recent[:, 1:], ids[:, None]), 1)
        if (step + 1) % poll_every == 0:
            alive = int(live.sum())
            if not alive:
                break
            # Leaving rows out copies the cache, so wait until a quarter of them have ended.
            if alive <= len(live) * 3 // 4:
                keep = live.nonzero()[:, 0]
                cache, rows = cache.select(keep), keep if rows is None else rows[keep]
                ids, live, chance = ids[keep], live[keep], chance[keep]
                history, recent = history[keep], recent[keep]
                recall = recall and recall.select(keep)
        logits = network.step(ids, cache)
    tokens, logprobs = (torch.stack(each, 1) for each in zip(*written, strict=True))
    return tokens, logprobs


def _draws(prompts: Sequence, n: int, seed: int | Sequence[int]) -> list[list[Draw]]:
    if n < 1:
        raise InputError(f"n is {n}: ask for at least one candidate")
    seeds = [seed] * len(prompts) if isinstance(seed, int) else seed
    if len(seeds) != len(prompts):
        raise InputError(f"{len(seeds)} seeds for {len(prompts)} prompts: give one seed, or each")
    return [[Draw(one, candidate) for candidate in range(n)] for one in seeds]


def _histories(prompts: Sequence[Sequence[int]], steps: int, window: int) -> tuple[Tensor, Tensor]:
    """What the sampler looks back on: all ids (n, T + steps), and the last ones (n, window)."""
    length = max(map(len, prompts))
    history = [[p[0]] * (length - len(p)) + list(p) + [p[0]] * steps for p in prompts]
    recent = [([-1] * window + list(p))[len(p) :] for p in prompts]
    return torch.tensor(history), torch.tensor(recent, dtype=torch.long)


def _generation(tokens: list[int], logprobs: list[float], eos: int) -> Generation:
    """Cut one row of the loop's buffers at its end."""
    used = tokens.index(-1) if -1 in tokens else len(tokens)
    finished = tokens[used - 1] == eos
    return Generation(tokens[: used - finished], logprobs[:used], finished)
