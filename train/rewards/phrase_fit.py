"""How well a phrase fits a prompt, learned from what people write behind such prompts.

Two small networks, one over the vector of a prompt, one over that of a phrase; their product learns
to tell the phrase that somebody put behind a prompt from those behind others (InfoNCE; van den Oord
et al. 2018, arXiv 1807.03748), and so the pointwise mutual information of the two: in nats, how
much likelier the phrase is behind this prompt than behind prompts at large. "Lush vegetation" has
+1.8 behind a cottage, "long hair" -2.6 behind a boy with a kite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bp_core.errors import InputError
from bp_core.score.taste import HIDDEN, WIDTH
from bp_core.text.words import clauses
from train.data.progress import watched

# Rarer phrases are not learned.
_LEARNED = 2
_DROPOUT = 0.3
_EPOCHS, _BATCH, _RATE = 12, 512, 1e-3
Embed = Callable[[list[str]], np.ndarray]


def tower(size: int) -> nn.Sequential:
    """From a sentence's vector (…, size) to (…, 128)."""
    return nn.Sequential(
        nn.Dropout(_DROPOUT),
        nn.Linear(size, HIDDEN),
        nn.ReLU(),
        nn.Dropout(_DROPOUT),
        nn.Linear(HIDDEN, WIDTH),
    )


class Fit(nn.Module):
    """Pointwise mutual information of prompts and phrases, in nats.

    Args:
        size: of a vector.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.prompt, self.phrase = tower(size), tower(size)

    def products(self, prompts: Tensor, phrases: Tensor) -> Tensor:
        """Of vectors (n, size) and (m, size): (n, m)."""
        return self.prompt(prompts) @ self.phrase(phrases).T / WIDTH**0.5

    def loss(self, prompts: Tensor, phrases: Tensor, same: Tensor) -> Tensor:
        """InfoNCE of pairs (n, size), both ways; `same` (n, n) marks what is no other pair."""
        products = self.products(prompts, phrases).masked_fill(same, -torch.inf)
        diagonal = torch.arange(len(prompts))
        return (cross_entropy(products, diagonal) + cross_entropy(products.T, diagonal)) / 2


def tails(rows: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    """Prompt and each phrase that somebody put behind it, lower case."""
    return [
        (row["raw_prompt"], phrase.lower())
        for row in rows
        if row["mode"] == "expand"
        for phrase in clauses(row["prompt"])
    ]


def learn(pairs: Sequence[tuple[str, str]], encode: Embed, seed: int = 0) -> Fit:
    """A `Fit` of (prompt, phrase) as people wrote them."""
    counts = {p: n for p, n in Counter(p for _, p in set(pairs)).items() if n >= _LEARNED}
    if not counts:
        raise InputError("no phrase stands in two of the pairs: give more pairs")
    prompts = sorted({prompt for prompt, _ in pairs})
    phrases = sorted(counts)
    vectors = torch.from_numpy(encode([*prompts, *phrases]))
    prompt_vectors, phrase_vectors = vectors[: len(prompts)], vectors[len(prompts) :]
    place = {prompt: i for i, prompt in enumerate(prompts)}
    column = {phrase: i for i, phrase in enumerate(phrases)}
    data = torch.tensor([[place[x], column[y]] for x, y in pairs if y in counts])
    torch.manual_seed(seed)
    fit = Fit(vectors.shape[1]).train()
    optimiser = torch.optim.AdamW(fit.parameters(), lr=_RATE, weight_decay=0.01)
    for _ in watched(range(_EPOCHS), _EPOCHS, "learning"):
        for part in data[torch.randperm(len(data))].split(_BATCH):
            x, y = part.T
            same = (x[:, None] == x) | (y[:, None] == y)
            loss = fit.loss(prompt_vectors[x], phrase_vectors[y], same.fill_diagonal_(False))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return fit.eval()


def above(fits: Sequence[float], other: Sequence[float]) -> float:
    """How often one of the first is above one of the second: the area under the ROC curve."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(fits, other).statistic / (len(fits) * len(other)))
