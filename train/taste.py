"""What suits a prompt, learned from a reader's judgements.

    python train/taste.py --pairs runs/pairs --reward bp_core/starter/reward

`starter/labels/taste_labels.tsv` has prompts, written for it, phrases that the bundled model had
added to them, and whether a reader judged each good, doubtful or wrong there (`taste_rules.md`).
Two small networks over the vectors that a reward's trunk makes of a prompt and of a phrase
(`bp_core/score/taste.py`) begin as those of `rewards/phrase_fit.py`, which know what people write
behind such prompts, and learn the judgements: 1 for good, a half for doubtful, 0 for wrong, by
cross-entropy.

Writes `taste.safetensors` beside the reward's weights and prints how well prompts that a network
did not learn from are judged (five folds): how often a good phrase scores above a wrong one (area
under the curve), what a threshold would cut, and the same area for another reader's labels of
other prompts (`fit_labels.tsv`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

import train
from bp_core.models.checkpoint import write_safetensors
from bp_core.score.taste import FILE, WIDTH, Taste, fingerprint, shapes, standard
from bp_core.score.text_reward import TextReward
from train.data.judgements import (
    DOUBTFUL,
    FIT_LABELS,
    GOOD,
    TASTE_LABELS,
    WRONG,
    Judgement,
    read_judgements,
)
from train.data.pairs import read_pairs
from train.rewards import phrase_fit

_FOLDS = 5
_EPOCHS, _BATCH, _RATE, _DECAY = 40, 256, 1e-3, 0.01
_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
_STANDARD = 5000  # prompts that vectors are standardised by


class TasteNetwork(nn.Module):
    """The taste in training: log-odds that phrases suit prompts; its weights have the names of
    `bp_core.score.taste.shapes`.

    Args:
        mean, std: (size,) of the vectors of prompts.
        start: networks to begin from.
    """

    def __init__(self, mean: Tensor, std: Tensor, start: phrase_fit.Fit) -> None:
        super().__init__()
        self.prompt, self.phrase = phrase_fit.tower(len(mean)), phrase_fit.tower(len(mean))
        self.prompt.load_state_dict(start.prompt.state_dict())
        self.phrase.load_state_dict(start.phrase.state_dict())
        self.prompt_alone, self.phrase_alone = nn.Linear(WIDTH, 1), nn.Linear(WIDTH, 1)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, prompts: Tensor, phrases: Tensor) -> Tensor:
        """Of standardised vectors (n, size) each: (n,)."""
        x, y = self.prompt(prompts), self.phrase(phrases)
        alone = self.prompt_alone(x) + self.phrase_alone(y)
        return (x * y).sum(-1) / WIDTH**0.5 + alone.squeeze(-1)


class Vectors:
    """What a reward's trunk makes of texts, standardised: (n, size) float32. Read once each.

    Args:
        prompts: what vectors are standardised by, the first of them.
    """

    def __init__(self, reader: TextReward, prompts: Sequence[str]) -> None:
        some = reader.vectors(prompts[:_STANDARD])
        self.reader, self.mean, self.std = reader, some.mean(0), some.std(0)
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            made = standard(self.reader.vectors(new), self.mean, self.std)
            self._known.update(zip(new, made.numpy(), strict=True))
        return np.stack([self._known[text] for text in texts])


def sides(judged: Sequence[Judgement], vectors: Vectors) -> tuple[Tensor, Tensor]:
    """Vectors of prompts and of phrases, (n, size) each."""
    prompts, phrases = ([row[i] for row in judged] for i in (0, 1))
    return torch.from_numpy(vectors(prompts)), torch.from_numpy(vectors(phrases))


def learn(
    judged: Sequence[Judgement], vectors: Vectors, start: phrase_fit.Fit, seed: int
) -> TasteNetwork:
    """A network that judges likewise."""
    torch.manual_seed(seed)
    network = TasteNetwork(vectors.mean, vectors.std, start).train()
    prompts, phrases = sides(judged, vectors)
    targets = torch.tensor([judgement for *_, judgement in judged])
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    for _ in range(_EPOCHS):
        for part in torch.randperm(len(judged)).split(_BATCH):
            logits = network(prompts[part], phrases[part])
            loss = binary_cross_entropy_with_logits(logits, targets[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval()


def cross_validate(
    judged: Sequence[Judgement], vectors: Vectors, start: phrase_fit.Fit, seed: int
) -> np.ndarray:
    """Probabilities (n,) by networks that did not learn from the prompt."""
    from train.data.dedup import clusters

    prompts = list(dict.fromkeys(prompt for prompt, *_ in judged))
    cluster = dict(zip(prompts, clusters(prompts), strict=True))
    drawn = np.random.default_rng(seed).integers(_FOLDS, size=max(cluster.values()) + 1)
    folds = np.array([drawn[cluster[prompt]] for prompt, *_ in judged])
    chances = np.empty(len(judged))
    for fold in range(_FOLDS):
        held = np.flatnonzero(folds == fold)
        if not len(held):
            continue
        network = learn([judged[i] for i in np.flatnonzero(folds != fold)], vectors, start, seed)
        with torch.inference_mode():
            chances[held] = network(*sides([judged[i] for i in held], vectors)).sigmoid().numpy()
    return chances


def report(judgements: np.ndarray, chances: np.ndarray) -> dict[str, object]:
    """How well probabilities (n,) tell a reader's judgements (n,)."""
    of = {"good": GOOD, "doubtful": DOUBTFUL, "wrong": WRONG}
    shares = {name: float((judgements == value).mean()) for name, value in of.items()}
    cut = {}
    for threshold in _THRESHOLDS:
        gone = chances < threshold
        cut[str(threshold)] = {"all": float(gone.mean())} | {
            name: float(gone[judgements == value].mean()) for name, value in of.items()
        }
        cut[str(threshold)]["wrong of the rest"] = float((judgements[~gone] == WRONG).mean())
    good, wrong = chances[judgements == GOOD], chances[judgements == WRONG]
    return {
        "judged": len(judgements),
        "shares": shares,
        "good above wrong": phrase_fit.above(good, wrong),
        "others above wrong": phrase_fit.above(chances[judgements != WRONG], wrong),
        "cut below": cut,
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, default=Path("runs/pairs"), help="train/collect.py's")
    parser.add_argument("--labels", type=Path, default=TASTE_LABELS)
    parser.add_argument("--reward", type=Path, required=True, help="folder; the file goes there")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    judged, reader = read_judgements(args.labels), TextReward.load(args.reward)
    people = phrase_fit.tails(read_pairs(args.pairs / "train.parquet"))
    vectors = Vectors(reader, sorted({prompt for prompt, _ in people}))
    start = phrase_fit.learn(people, vectors, args.seed)
    chances = cross_validate(judged, vectors, start, args.seed)
    figures = report(np.array([judgement for *_, judgement in judged]), chances)
    network = learn(judged, vectors, start, args.seed)
    state = network.state_dict()
    state = {name: state[name].half().contiguous() for name in shapes(len(vectors.mean))}
    about = {"format": "pt", "reward": fingerprint(reader)}
    write_safetensors(state, args.reward / FILE, metadata=about)
    # As written, rounding included.
    taste = Taste.load(args.reward, reader)
    other = read_judgements(FIT_LABELS)
    chances = np.array([taste.of(prompt)([phrase])[0] for prompt, phrase, _ in other])
    fits = np.array([value == GOOD for *_, value in other])
    figures["another reader"] = {
        "judged": len(other),
        "fitting above others": phrase_fit.above(chances[fits], chances[~fits]),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    train.run(main)
