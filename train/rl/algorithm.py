"""The arithmetic of PPO: advantages, losses, and the two things that adapt while it runs.

Tensors in, tensors out. Nothing here knows of models, text or devices, and whatever is averaged
takes its denominator from outside where several processes share one batch.

Sources: PPO (arXiv 1707.06347), GAE (arXiv 1506.02438), KL penalty and controller (arXiv
1909.08593, section 2.2), the details as in summarize_from_feedback (arXiv 2009.01325).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor


def gae(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates and returns, both (n, T); arXiv 1506.02438, equation 16.

    Args:
        rewards: (n, T), 0 after a row's end.
        values: (n, T) of the state before each token, 0 after a row's end: what comes after the
            last token is worth nothing.
        gamma: discount, 0-1.
        lam: λ, 0-1; 1 is the Monte-Carlo return.
    """
    advantages = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])  # advantage and value of the next token
    next_value = torch.zeros_like(following)
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        following = delta + gamma * lam * following
        advantages[:, t] = following
        next_value = values[:, t]
    return advantages, advantages + values


class Sums(NamedTuple):
    """Sum, sum of squares and count of a set of numbers; sets add up by their sums."""

    total: Tensor
    squares: Tensor
    count: Tensor

    @classmethod
    def of(cls, x: Tensor, mask: Tensor) -> Sums:
        """Of the elements of `x` where `mask` is true; float64, so that parts add up exactly."""
        chosen = x[mask].double()
        count = torch.tensor(float(chosen.numel()), dtype=torch.float64, device=x.device)
        return cls(chosen.sum(), chosen.square().sum(), count)

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        """Mean, and variance with Bessel's correction (0 for a single number)."""
        mean = self.total / self.count
        spread = (self.squares - self.count * mean.square()).clamp(min=0)
        return mean, spread / (self.count - 1).clamp(min=1)


def whiten(x: Tensor, mask: Tensor, sums: Sums | None = None) -> Tensor:
    """`x` shifted and scaled to mean 0 and variance 1 over `mask`, 0 elsewhere.

    Args:
        sums: of a larger batch that `x` is a part of; of `x` itself when None.
    """
    mean, variance = (sums or Sums.of(x, mask)).mean_and_variance()
    whitened = (x - mean.to(x.dtype)) * torch.rsqrt(variance.to(x.dtype) + 1e-8)
    return torch.where(mask, whitened, 0)


def token_rewards(kl: Tensor, scores: Tensor, mask: Tensor, beta: float) -> Tensor:
    """Rewards (n, T): -β · KL at every token, and the score at the last one.

    Args:
        kl: (n, T) log π - log π_ref of the drawn tokens, in nats.
        scores: (n,) of whole rewrites.
        mask: (n, T), true on the tokens that were drawn, each row's from the left.
    """
    rewards = torch.where(mask, -beta * kl, 0)
    last = mask.sum(1) - 1
    rows = torch.arange(len(rewards), device=rewards.device)
    rewards[rows, last] += scores
    return rewards


class Loss(NamedTuple):
    """A loss and the sum over tokens of what is worth watching beside it."""

    loss: Tensor
    clipped: Tensor  # tokens on which the clipped branch was taken


def policy_loss(
    new: Tensor, old: Tensor, advantages: Tensor, clip: float, count: Tensor | float
) -> Loss:
    """Clipped surrogate, negated; arXiv 1707.06347, equation 7.

    Args:
        new, old: (tokens,) log-probabilities under the policy now and when it drew.
        advantages: (tokens,).
        clip: ε.
        count: what the sum is divided by: tokens of the whole minibatch.
    """
    ratio = torch.exp(new - old)
    plain = -advantages * ratio
    bounded = -advantages * ratio.clamp(1 - clip, 1 + clip)
    return Loss(torch.max(plain, bounded).sum() / count, (bounded > plain).sum())


def value_loss(
    new: Tensor, old: Tensor, returns: Tensor, clip: float, count: Tensor | float
) -> Loss:
    """Half the squared error, at least that of the prediction clipped around the old one.

    Arguments as in `policy_loss`, all (tokens,); values in the units of the scaled reward.
    """
    bounded = torch.clamp(new, old - clip, old + clip)
    plain, limited = (new - returns).square(), (bounded - returns).square()
    return Loss(0.5 * torch.max(plain, limited).sum() / count, (limited > plain).sum())


@dataclass
class KLController:
    """β that keeps the KL of a rewrite near a target; arXiv 1909.08593, section 2.2.

    Attributes:
        beta: weight of the penalty now.
        target: nats a rewrite; 0 leaves β as it is.
        horizon: rewrites over which β adapts.
    """

    beta: float
    target: float
    horizon: float

    def update(self, kl: float, rewrites: int) -> None:
        """Move β after `rewrites` rewrites with a mean KL of `kl` nats."""
        if self.target:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.beta *= 1 + error * rewrites / self.horizon

    def state_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass
class RunningMoments:
    """Mean and variance of all scores so far; parallel update of Chan et al. (1979)."""

    count: float = 0.0
    mean: float = 0.0
    squares: float = 0.0  # sum of squared deviations

    def update(self, scores: Tensor) -> None:
        """Take in scores (n,)."""
        scores = scores.double()
        n, mean = len(scores), float(scores.mean())
        squares = float((scores - mean).square().sum())
        delta, total = mean - self.mean, self.count + n
        self.mean += delta * n / total
        self.squares += squares + delta**2 * self.count * n / total
        self.count = total

    @property
    def std(self) -> float:
        """Standard deviation; 1 until there are two scores that differ by more than rounding."""
        if self.squares <= 1e-10 * self.count:
            return 1.0
        return (self.squares / (self.count - 1)) ** 0.5

    def state_dict(self) -> dict[str, float]:
        return asdict(self)
