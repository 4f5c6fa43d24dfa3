"""A sentence encoder fine-tuned on human scores: a second teacher of the starter's reward.

    python -m train.starter.tune --out runs/reward --half A --encoder all-mpnet-base-v2

Reads what `reward_data.py` wrote and writes `A/tuned.parquet` (prompt, score): what the
encoder, tuned on all scores of that half, expects of every cleaned prompt, and of those that it
was tuned on what five others say that saw none of their cluster. `teacher.py --tuned 0.5`
averages it with its kernel ridge. Two minutes on an H200, for which it is meant; hours on a CPU.

The head starts from a ridge regression on the encoder's own vectors, so that the first steps do not
undo what it knows (linear probing, then fine-tuning: arXiv 2202.10054).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

import train
from bp_core.models.vision import define_operators
from train.data.cleaning import clean
from train.data.progress import watched
from train.models.sentences import last_layer, padding_tokenizer
from train.rewards.ranking import report
from train.starter.reward_tables import read_tables

_TOKENS = 65536  # of a batch that is only read
_PENALTY = 0.28  # of the ridge that the head starts from, a labelled prompt


@dataclass(frozen=True)
class Tuning:
    """How an encoder is tuned: the one setting that was tried (docs/experiments/reward.md)."""

    rate: float = 3e-5
    head_rate: float = 5.0  # in units of `rate`
    epochs: int = 2
    batch: int = 64
    warmup: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.1
    folds: int = 5


class Scorer(nn.Module):
    """An encoder's mean over tokens, normalised and centred, and a linear head: z-scores."""

    def __init__(self, encoder: nn.Module, dropout: float) -> None:
        super().__init__()
        size = encoder.config.hidden_size
        self.encoder, self.dropout = encoder, dropout
        self.register_buffer("centre", torch.zeros(size))
        self.head = nn.Linear(size, 1)

    def vectors(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(n, T) ids and mask to (n, hidden_size) float32, of norm √hidden_size before centring."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return nn.functional.normalize(mean, dim=-1) * mean.shape[1] ** 0.5 - self.centre

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        vectors = nn.functional.dropout(self.vectors(ids, mask), self.dropout, self.training)
        # In float32, which a linear layer would not be under autocast.
        return (vectors * self.head.weight).sum(1) + self.head.bias


class Tuner:
    """Tunes an encoder on scored prompts, and asks it for the scores of any.

    Args:
        encoder: folder of a transformers encoder with a tokenizer.json.
    """

    def __init__(self, encoder: Path, tuning: Tuning, device: torch.device) -> None:
        self._folder, self._tuning, self._device = encoder, tuning, device
        self._tokenizer = padding_tokenizer(encoder)

    def fit(
        self, prompts: list[str], scores: np.ndarray, trust: np.ndarray, seed: int = 0
    ) -> Scorer:
        """An encoder tuned on prompts (n), their z-scores (n,) and sample weights (n,)."""
        define_operators()
        from transformers import AutoModel

        t, device = self._tuning, self._device
        torch.manual_seed(seed)
        encoder = AutoModel.from_pretrained(self._folder, dtype=torch.float32)
        network = Scorer(encoder, t.dropout).to(device)
        y = torch.tensor(scores, dtype=torch.float32, device=device)
        w = torch.tensor(trust / trust.mean(), dtype=torch.float32, device=device)
        self._start_head(network, prompts, y, w)
        optimizer = torch.optim.AdamW(_groups(network, t), t.rate)
        parameters = list(network.parameters())
        batches = list(self._batches(prompts, seed))
        warm = max(1, round(t.warmup * len(batches)))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: min((step + 1) / warm, (len(batches) - step) / (len(batches) - warm + 1)),
        )
        network.train()
        for rows in watched(batches, len(batches), "tuning"):
            ids, mask = self._tokens([prompts[i] for i in rows])
            with self._autocast():
                predictions = network(ids, mask)
            loss = (w[rows] * (predictions - y[rows]) ** 2).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        return network.eval()

    @torch.no_grad()
    def read(self, network: Scorer, prompts: list[str], vectors: bool = False) -> np.ndarray:
        """Expected z-scores (n,) of prompts, or their vectors (n, hidden_size)."""
        network.eval()
        lengths = self._lengths(prompts)
        order = np.argsort(-lengths, kind="stable")
        parts, start = [], 0
        while start < len(order):
            rows = order[start : start + max(8, _TOKENS // int(lengths[order[start]]))]
            ids, mask = self._tokens([prompts[i] for i in rows])
            with self._autocast():
                predictions = network.vectors(ids, mask) if vectors else network(ids, mask)
            parts.append(predictions.float().cpu().numpy())
            start += len(rows)
        out = np.concatenate(parts)
        out[order] = out.copy()
        return out

    def _start_head(self, network: Scorer, prompts: list[str], y: Tensor, w: Tensor) -> None:
        x = torch.tensor(self.read(network, prompts, vectors=True), device=self._device).double()
        y, w = y.double(), w.double()
        centre, middle = x.mean(0), (y * w).sum() / w.sum()
        x = x - centre
        gram = x.T @ (x * w[:, None]) + _PENALTY * len(y) * torch.eye(x.shape[1]).to(x)
        with torch.no_grad():
            network.centre.copy_(centre)
            network.head.weight.copy_(torch.linalg.solve(gram, x.T @ (w * (y - middle)))[None])
            network.head.bias.fill_(float(middle))

    def _batches(self, prompts: list[str], seed: int) -> Iterator[np.ndarray]:
        """Rows of each step: prompts of like length together, in random order."""
        rng, lengths = np.random.default_rng(seed), self._lengths(prompts)
        size = self._tuning.batch
        for _ in range(self._tuning.epochs):
            order, batches = rng.permutation(len(prompts)), []
            for start in range(0, len(order), 16 * size):
                some = order[start : start + 16 * size]
                some = some[np.argsort(lengths[some], kind="stable")]
                batches += [some[i : i + size] for i in range(0, len(some), size)]
            yield from (batches[i] for i in rng.permutation(len(batches)))

    def _lengths(self, prompts: list[str]) -> np.ndarray:
        return np.array([sum(e.attention_mask) for e in self._tokenizer.encode_batch(prompts)])

    def _tokens(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        encoded = self._tokenizer.encode_batch(prompts)
        ids = torch.tensor([e.ids for e in encoded], device=self._device)
        return ids, torch.tensor([e.attention_mask for e in encoded], device=self._device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16)


def _groups(network: Scorer, t: Tuning) -> list[dict]:
    """What AdamW is to learn: matrices decay, the head goes faster."""
    body = list(network.encoder.parameters())
    return [
        {"params": [p for p in body if p.ndim > 1], "weight_decay": t.weight_decay},
        {"params": [p for p in body if p.ndim < 2], "weight_decay": 0.0},
        {"params": network.head.parameters(), "weight_decay": 0.0, "lr": t.rate * t.head_rate},
    ]


def folds(clusters: np.ndarray, count: int) -> np.ndarray:
    """A fold (n,) for each row; those of a cluster share theirs."""
    names = np.unique(clusters)
    place = dict(zip(np.random.default_rng(0).permutation(names), range(len(names)), strict=True))
    return np.array([place[c] % count for c in clusters])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/reward"))
    parser.add_argument("--half", choices=["A", "B", "AB"], default="A")
    parser.add_argument("--encoder", type=Path, required=True, help="a folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name in ("rate", "epochs", "folds"):
        default = getattr(Tuning, name)
        parser.add_argument(f"--{name}", type=type(default), default=default, help="of Tuning")
    args = parser.parse_args(argv)
    last_layer(args.encoder)  # says so when the folder holds no encoder
    human, transfer, pool = read_tables(args.out)
    human["clean"] = human.prompt.map(clean)
    scored = human[human.half.isin(list(args.half)) & (human.split == "train")]
    prompts, trust = scored.clean.tolist(), scored.images.to_numpy(float)
    # Scores are z-scores within a generator already; of this half they may lie a little aside.
    middle = np.average(scored.score, weights=trust)
    scale = np.average((scored.score - middle) ** 2, weights=trust) ** 0.5
    scores = (scored.score.to_numpy() - middle) / scale
    tuning = Tuning(rate=args.rate, epochs=args.epochs, folds=args.folds)
    tuner = Tuner(args.encoder, tuning, torch.device(args.device))

    everything = sorted({*human.clean, *transfer.prompt, *pool.prompt})
    network = tuner.fit(prompts, scores, trust)
    predicted = pd.Series(tuner.read(network, everything) * scale + middle, everything)
    fold, blind = folds(scored.cluster.to_numpy(), tuning.folds), np.empty(len(scored))
    for k in range(tuning.folds):
        seen, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        network = tuner.fit([prompts[i] for i in seen], scores[seen], trust[seen], seed=k + 1)
        blind[held] = tuner.read(network, [prompts[i] for i in held]) * scale + middle
    predicted[prompts] = blind
    folder = args.out / args.half
    folder.mkdir(exist_ok=True)
    predicted.rename_axis("prompt").rename("score").reset_index().to_parquet(
        folder / "tuned.parquet", index=False
    )
    figures = {"cross-validation": report(scored.score.to_numpy(), blind)}
    for name in ("validation", "test"):
        part = human[human.split == name]
        figures[name] = report(part.score.to_numpy(), predicted[part.clean].to_numpy())
    figures["transfer"] = report(transfer.score.to_numpy(), predicted[transfer.prompt].to_numpy())
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    train.run(main)
