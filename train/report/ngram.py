"""Interpolated Kneser-Ney n-grams over token ids: the baseline that a language model must beat."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence


class KneserNey:
    """Interpolated Kneser-Ney with one absolute discount (Chen & Goodman 1999, section 4.1.6).

    Args:
        sequences: token ids to count.
        vocabulary: number of ids; the lowest order falls back to 1 / vocabulary.
        order: longest n-gram.
    """

    def __init__(
        self,
        sequences: Iterable[Sequence[int]],
        vocabulary: int,
        order: int = 3,
        discount: float = 0.75,
    ) -> None:
        self.order, self.vocabulary, self.discount = order, vocabulary, discount
        full: Counter[tuple[int, ...]] = Counter()
        for ids in sequences:
            padded = [-1] * (order - 1) + list(ids)
            full.update(tuple(padded[i : i + order]) for i in range(len(padded) - order + 1))
        # Lower orders count in how many contexts an n-gram occurs, not how often.
        self.levels: list[tuple[dict, dict, dict]] = []
        counts: Counter[tuple[int, ...]] = full
        for _ in range(order):
            totals: dict = defaultdict(int)
            kinds: dict = defaultdict(int)
            for gram, k in counts.items():
                totals[gram[:-1]] += k
                kinds[gram[:-1]] += 1
            self.levels.append((counts, totals, kinds))
            counts = Counter(gram[1:] for gram in counts)

    def probability(self, context: Sequence[int], token: int) -> float:
        """P(token | the last order - 1 ids of context)."""
        padded = [-1] * (self.order - 1) + list(context)
        p = 1 / self.vocabulary
        for level in reversed(range(self.order)):
            counts, totals, kinds = self.levels[level]
            size = self.order - 1 - level
            history = tuple(padded[len(padded) - size :])
            total = totals.get(history, 0)
            if total:
                seen = counts.get((*history, token), 0)
                p = (max(seen - self.discount, 0) + self.discount * kinds[history] * p) / total
        return p

    def perplexity(self, examples: Iterable[dict]) -> float:
        """Over the labelled tokens of examples as `train/sft.py` makes them."""
        loss, count = 0.0, 0
        for example in examples:
            ids, labels = example["input_ids"], example["labels"]
            for i, label in enumerate(labels):
                if label != -100:
                    loss -= math.log(self.probability(ids[max(0, i - self.order + 1) : i], label))
                    count += 1
        return math.exp(loss / count)
