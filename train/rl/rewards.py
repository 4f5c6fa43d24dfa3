"""What a rollout earns: the reward of its text above a baseline, and terms that keep it honest.

The paper's reward (arXiv 2311.06752, section 3.3) rises for anything its models like: other
subjects, endless praise, one tail for every prompt. Each term here closes one such way; each is
off at weight 0 and is logged apart. All are in standard deviations of the reward.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch
from torch import Tensor

from bp_core.errors import InputError
from bp_core.score.text_reward import Reward
from bp_core.text.prompt import parse
from bp_core.text.words import content_stems, words
from train.rl.rollouts import Prompt, Rollout

BASELINES = ("raw", "dataset", "none")


@dataclass(frozen=True)
class Terms:
    """Weights of the terms, and the limits that they are measured from.

    Attributes:
        kept: times the share (0-1) of the artist's words that the model itself lost.
        length: times how far the number of added words lies outside `words_min` to `words_max`,
            as a share of that limit.
        end: for a rewrite without an end token.
        copies: times the share (0-1) of the added word pairs that other rollouts of the same
            prompt have, too.
        stock: times the share (0-1) by which each added word is used in more than `stock_limit`
            of what artists would lately have been shown, summed over the words. Words, because
            phrases are varied to get round it ("high resolution", "ultra high resolution", "8k
            resolution"); what is shown, because ranking gathers what rollouts have spread.
        refused: times the share (0-1) of the written phrases that the guard left out.
    """

    kept: float = 0.0
    length: float = 0.0
    end: float = 0.0
    copies: float = 0.0
    stock: float = 0.0
    refused: float = 0.0
    words_min: int = 8
    words_max: int = 30
    stock_limit: float = 0.1


class StockWords:
    """How common each content word is among what `shown` rollouts of the last steps add, over all
    processes; forms of one word count as one."""

    def __init__(self, steps: int = 16) -> None:
        self._recent: deque[tuple[int, Counter[str]]] = deque(maxlen=steps)
        self._count: Counter[str] = Counter()
        self._rollouts = 0

    def add(self, additions: Sequence[Sequence[str]]) -> None:
        """Take in what one step's shown rollouts add, the phrases of each."""
        if len(self._recent) == self._recent.maxlen:
            rollouts, count = self._recent[0]
            self._count -= count
            self._rollouts -= rollouts
        count = Counter(stem for added in additions for stem in _stems(added))
        self._recent.append((len(additions), count))
        self._count += count
        self._rollouts += len(additions)

    def share(self, stem: str) -> float:
        """Share (0-1) of the recent shown rollouts that add the word."""
        return self._count[stem] / max(1, self._rollouts)

    def commonest(self) -> tuple[str, float]:
        """The word used most, as a stem, and its share; ("", 0) before any."""
        stem = max(self._count, key=self._count.get, default="")
        return stem, self.share(stem)

    def excess(self, added: Sequence[str], limit: float) -> float:
        """By how much the words of `added` are used more than `limit`, shares summed."""
        return sum(max(0.0, self.share(stem) - limit) for stem in _stems(added))

    def state_dict(self) -> list[tuple[int, dict[str, int]]]:
        return [(rollouts, dict(count)) for rollouts, count in self._recent]

    def load_state_dict(self, state: list[tuple[int, dict[str, int]]]) -> None:
        self._recent.clear()
        self._count, self._rollouts = Counter(), 0
        for rollouts, count in state:
            self._recent.append((rollouts, Counter(count)))
            self._count += Counter(count)
            self._rollouts += rollouts


class RolloutReward:
    """Scores rollouts.

    Args:
        reward: the model or models that train the policy.
        baseline: whose reward is taken off: the raw prompt's, the data set's own rewrite's, or
            nothing.
        guarded: judge what the artist would be shown, not what the model wrote.
    """

    def __init__(self, reward: Reward, baseline: str, terms: Terms, guarded: bool) -> None:
        if baseline not in BASELINES:
            raise InputError(
                f"no reward_baseline '{baseline}': choose one of {', '.join(BASELINES)}"
            )
        self.reward, self.baseline, self.terms, self.guarded = reward, baseline, terms, guarded

    def __call__(
        self, rollouts: Sequence[Rollout], stock: StockWords
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores (n,), and what they are the sum of: "reward" and the terms in use, (n,) each.

        Args:
            rollouts: those of one prompt side by side.
            stock: words of the steps before this one.
        """
        terms = self.terms
        parts = {"reward": self.gain(rollouts)}
        for name, shares in (
            ("kept", [1 - r.kept for r in rollouts]),
            ("length", [self._off_length(r) for r in rollouts]),
            ("end", [float(not r.finished) for r in rollouts]),
            ("copies", copied(rollouts)),
            ("stock", [stock.excess(r.added, terms.stock_limit) for r in rollouts]),
            ("refused", [r.refused for r in rollouts]),
        ):
            weight = getattr(terms, name)
            if weight:
                parts[name] = -weight * torch.tensor(shares)
        return torch.stack(list(parts.values())).sum(0), parts

    def gain(self, rollouts: Sequence[Rollout]) -> Tensor:
        """Reward (n,) above the baseline's, in standard deviations."""
        raw = [r.prompt.raw for r in rollouts]
        texts = [parse(r.text if self.guarded else r.written).prose for r in rollouts]
        scores = torch.tensor([s.total for s in self.reward.score(texts, raw)])
        if self.baseline == "none":
            return scores
        # A prompt's baseline is the same for all of its rollouts.
        prompts = list(dict.fromkeys(r.prompt for r in rollouts))
        texts = [parse(self._base_text(p)).prose for p in prompts]
        base = self.reward.score(texts, [p.raw for p in prompts])
        base = dict(zip(prompts, (s.total for s in base), strict=True))
        return scores - torch.tensor([base[r.prompt] for r in rollouts])

    def _base_text(self, prompt: Prompt) -> str:
        return prompt.given if self.baseline == "dataset" else prompt.raw

    def _off_length(self, rollout: Rollout) -> float:
        count, low, high = rollout.added_words, self.terms.words_min, self.terms.words_max
        return max(0.0, (low - count) / max(1, low), (count - high) / high)


def _stems(added: Sequence[str]) -> set[str]:
    return set(content_stems(" ".join(added)))


def shown(rollouts: Sequence[Rollout], gains: Tensor) -> list[Rollout]:
    """Of each prompt's rollouts, side by side, the one that ranking by gain (n,) would show."""
    best: list[Rollout] = []
    for _, group in groupby(range(len(rollouts)), key=lambda i: rollouts[i].prompt):
        best.append(rollouts[max(group, key=lambda i: float(gains[i]))])
    return best


def copied(rollouts: Sequence[Rollout]) -> list[float]:
    """Share (0-1) of each rollout's added word pairs that another one of its prompt has, too."""
    pairs = [{pair for p in r.added for pair in pairwise(words(p.lower()))} for r in rollouts]
    users: dict[Prompt, Counter] = {}
    for rollout, of_rollout in zip(rollouts, pairs, strict=True):
        users.setdefault(rollout.prompt, Counter()).update(of_rollout)
    return [
        sum(users[r.prompt][pair] > 1 for pair in of_rollout) / len(of_rollout)
        if of_rollout
        else 0.0
        for r, of_rollout in zip(rollouts, pairs, strict=True)
    ]
