"""From rollouts to what PPO learns from: log-probabilities, values, advantages and returns.

Several processes hold parts of one batch; whatever is averaged is averaged over all of it, so that
the losses do not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from train.rl.algorithm import KLController, Sums, gae, token_rewards, whiten
from train.rl.policy import Policy, Sequences

# Adds a tensor up over all processes.
Reduce = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Experience:
    """One process's rollouts of one step.

    Attributes:
        sequences: prompts and responses, n rows.
        trunk: input of the trained layers, (tokens that are read of the row, hidden) for each row.
        old, values, advantages, returns: a tensor (tokens of the row,) for each row.
        kl: (n,) nats between policy and reference, summed over each response.
    """

    sequences: Sequences
    trunk: tuple[Tensor, ...]
    old: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    advantages: tuple[Tensor, ...]
    returns: tuple[Tensor, ...]
    kl: Tensor

    @property
    def lengths(self) -> list[int]:
        """Tokens of each response."""
        return [len(row) for row in self.old]


@torch.no_grad()
def experience(
    policy: Policy,
    sequences: Sequences,
    scores: Tensor,
    kl: KLController,
    gamma: float,
    lam: float,
    rows: int,
    reduce: Reduce,
) -> Experience:
    """Judge rollouts token by token.

    Args:
        scores: (n,) scaled rewards of the rollouts.
        rows: rows in one forward.
        reduce: adds up over processes.
    """
    device = sequences.ids.device
    count = len(sequences.ids)
    lengths = sequences.predicts.sum(1)
    sizes = lengths.tolist()
    by_row: list[tuple[Tensor, ...]] = [()] * count
    # Rows of like length share a forward, so that little attention is paid to padding.
    read = sequences.sizes
    order = sorted(range(count), key=read.__getitem__)
    for start in range(0, count, rows):
        chosen = order[start : start + rows]
        part = sequences.rows(chosen)
        below = policy.trunk(part.ids, part.predicts)
        targets = part.targets
        logprobs, values = policy(below, part.predicts, targets)
        judged = logprobs, values, policy.reference(below, part.predicts, targets)
        cut = [each.split([sizes[row] for row in chosen]) for each in judged]
        trunks = below.split([read[row] for row in chosen])
        for row, *of_row in zip(chosen, trunks, *cut, strict=True):
            by_row[row] = tuple(of_row)
    trunk, *judged = zip(*by_row, strict=True)
    old, values, reference = map(torch.cat, judged)

    mask = torch.arange(int(lengths.max()), device=device) < lengths[:, None]

    def padded(flat: Tensor) -> Tensor:
        out = flat.new_zeros(mask.shape)
        out[mask] = flat
        return out

    divergence = padded(old - reference)
    rewards = token_rewards(divergence, scores.to(divergence), mask, kl.beta)
    advantages, returns = gae(rewards, padded(values), gamma, lam)
    sums = Sums(*reduce(torch.stack(Sums.of(advantages, mask))))
    advantages = whiten(advantages, mask, sums)
    return Experience(
        sequences,
        trunk,
        old.split(sizes),
        values.split(sizes),
        advantages[mask].split(sizes),
        returns[mask].split(sizes),
        divergence.sum(1),
    )


def minibatches(count: int, parts: int, seed: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Rows of each of `parts` minibatches of a shuffled epoch over `count` rollouts.

    Rollouts are cut into runs of `parts` neighbours, and every minibatch gets one of each run, in
    random order. A process that holds whole runs holds its share of every minibatch, so that
    minibatches are the same on any number of processes.

    Args:
        count: rollouts of all processes, a multiple of `parts`.
    """
    rng = np.random.default_rng(seed)
    runs = np.arange(count).reshape(-1, parts)
    yield from rng.permuted(runs, axis=1).T
