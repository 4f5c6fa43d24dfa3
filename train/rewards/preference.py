"""What readers kept, learned: rankings of drafts as pairs, and a Bradley-Terry head over a trunk.

A file of rankings, `train/starter/preferences/*.jsonl`, has a prompt a row: `prompt`, `dialect`,
`reader`, `batch`, and `ranked`, its additions from the one that the reader would keep to the one
that they would delete first, each with `text`, `source` (who wrote it: writer, starter, written, or
a name of your own) and `flaw` ("", or what is wrong with it). A ranking of five is ten judgements
of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from bp_core.errors import InputError
from bp_core.score.preference import HIDDEN
from bp_core.settings import DIALECTS
from bp_core.text.words import words
from train.data.json_lines import read_json_lines


class Addition(NamedTuple):
    """One addition, where it came from, and what a reader found wrong with it."""

    text: str
    source: str
    flaw: str


class Ranking(NamedTuple):
    """One reader's order of the additions to one prompt, best first."""

    prompt: str
    dialect: str
    ranked: tuple[Addition, ...]
    reader: str
    batch: str


class Pairs(NamedTuple):
    """Judgements of two: rows of the kept and of the left addition, and of what prompt they are."""

    kept: Tensor
    left: Tensor
    prompt: Tensor


def read_rankings(path: Path) -> list[Ranking]:
    """The rows of a file or of all files of a folder; InputError for a row of another form."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise InputError(f"no rankings at {path}: give a .jsonl file, or a folder of them")
    return [ranking for file in files for ranking in read_json_lines(file, _ranking)]


def _ranking(fields: dict) -> Ranking:
    ranked = tuple(Addition(**addition) for addition in fields.pop("ranked"))
    ranking = Ranking(ranked=ranked, **fields)
    named = all(addition.source for addition in ranked)
    if ranking.dialect not in DIALECTS or len(ranked) < 2 or not named:
        raise ValueError("give a dialect and two or more additions, each with its source")
    if not words(ranking.prompt):
        raise ValueError("the prompt has no words")
    return ranking


def pairs(rankings: Sequence[Ranking], sources: Sequence[str] | None = None) -> Pairs:
    """All judgements of two that rankings hold, or those between additions of some sources alone.

    Rows count the additions of all rankings, one after another.
    """
    judged, first = [], 0
    for number, ranking in enumerate(rankings):
        rows = range(first, first + len(ranking.ranked))
        allowed = [
            row
            for row, addition in zip(rows, ranking.ranked, strict=True)
            if sources is None or addition.source in sources
        ]
        judged += [(kept, left, number) for kept, left in combinations(allowed, 2)]
        first += len(ranking.ranked)
    return Pairs(*torch.tensor(judged, dtype=torch.long).view(-1, 3).T)


def agreement(one: Sequence[Ranking], other: Sequence[Ranking]) -> float:
    """Share (0-1) of judgements of two on which readers agree, over prompts that both ranked."""
    by_prompt = {ranking.prompt: [a.text for a in ranking.ranked] for ranking in other}
    agreed = []
    for ranking in one:
        places = {text: place for place, text in enumerate(by_prompt.get(ranking.prompt, []))}
        texts = [a.text for a in ranking.ranked if a.text in places]
        agreed += [places[kept] < places[left] for kept, left in combinations(texts, 2)]
    if not agreed:
        raise InputError("the readers ranked no prompt in common")
    return sum(agreed) / len(agreed)


class Head(nn.Module):
    """Two layers over standardised features, (n, 2 hidden_size) to (n,)."""

    def __init__(self, mean: Tensor, std: Tensor, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.add_module("1", nn.Linear(len(mean), HIDDEN))
        self.add_module("2", nn.Linear(HIDDEN, 1))
        self._drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self._drop((x - self.mean) / self.std)
        return self._modules["2"](self._drop(torch.relu(self._modules["1"](x)))).squeeze(-1)


def learn(
    x: Tensor,
    judged: Pairs,
    *,
    epochs: int = 30,
    dropout: float = 0.3,
    weight_decay: float = 0.1,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> Head:
    """A head that gives kept additions the higher scores.

    Args:
        x: features of all additions, (n, 2 hidden_size).
        judged: judgements to learn from; each prompt counts as much as any other.
    """
    torch.manual_seed(seed)
    used = torch.cat((judged.kept, judged.left)).unique()
    head = Head(x[used].mean(0), x[used].std(0).clamp(min=1e-4), dropout)
    optimizer = torch.optim.AdamW(head.parameters(), learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs)
    weight = 1.0 / torch.bincount(judged.prompt)[judged.prompt]
    for _ in range(epochs):
        for part in torch.randperm(len(judged.kept)).split(512):
            odds = head(x[judged.kept[part]]) - head(x[judged.left[part]])
            loss = -(weight[part] * logsigmoid(odds)).sum() / weight[part].sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return head.eval()


@torch.inference_mode()
def accuracy(head: nn.Module, x: Tensor, judged: Pairs) -> tuple[float, float]:
    """Share (0-1) of judgements whose kept addition scores higher, and its standard error, over
    prompts."""
    right = (head(x[judged.kept]) > head(x[judged.left])).double().numpy()
    prompts, at = np.unique(judged.prompt.numpy(), return_inverse=True)
    if not len(prompts):
        return float("nan"), float("nan")
    shares = np.bincount(at, right) / np.bincount(at)
    return float(right.mean()), float(shares.std() / len(shares) ** 0.5)
