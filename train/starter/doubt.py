"""How sure a writer must be of a phrase: learn its doubt from readers' marks.

    python -m train.starter.doubt --model runs/starter_writer/model

Each row of `phrases/marked.jsonl` is a prompt with its notes and drafts of the writer, best first
as a reader ranked them, each with its mean log-probability and its phrases: their tokens' mean and
least log-probability, and whether the reader called them wrong. Five folds by prompt tell how well
the doubt knows; all rows' weights are written to `doubt.json` in the model's folder, with what a
draft's own likelihood is worth.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

import train
from bp_core.models.doubt import FEATURES, FILE, features
from train.data.json_lines import read_json_lines

MARKED = Path(__file__).parent / "phrases" / "marked.jsonl"
_FOLDS = 5
_ROUNDS = 30  # of Newton's method, which has settled by then
# Sentences are of another grain, and the bundled writer writes none.
_DIALECTS = ("tags", "booru")


class Marked(NamedTuple):
    """Phrases: features (n, len(FEATURES)), whether wrong (n,), number of the prompt (n,)."""

    x: np.ndarray
    wrong: np.ndarray
    prompt: np.ndarray


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder that gets doubt.json")
    parser.add_argument("--marked", type=Path, default=MARKED, help=".jsonl of marked drafts")
    parser.add_argument("--limit", type=float, default=0.2, help="doubt above which phrases go")
    args = parser.parse_args(argv)
    train.make_folder(args.model)
    marked = read_marked(args.marked)
    doubt = np.empty(len(marked.wrong))
    for fold in range(_FOLDS):
        away = marked.prompt % _FOLDS == fold
        doubt[away] = probabilities(learn(marked.x[~away], marked.wrong[~away]), marked.x[away])
    kept = doubt <= args.limit
    print(
        f"{len(doubt)} phrases, {marked.wrong.mean():.1%} wrong; area under the curve "
        f"{area(doubt, marked.wrong):.3f}; {kept.mean():.1%} stay, {marked.wrong[kept].mean():.1%} "
        "of them wrong",
        file=sys.stderr,
    )
    *weights, bias = learn(marked.x, marked.wrong)
    usual, worth = read_worth(args.marked)
    stated = {"weights": dict(zip(FEATURES, weights, strict=True)), "bias": bias}
    stated |= {"limit": args.limit, "usual": usual, "worth": worth}
    text = json.dumps(stated, indent=2) + "\n"
    (args.model / FILE).write_text(text, encoding="utf-8")


def read_marked(path: Path) -> Marked:
    """The phrases of a file; raises InputError for a row of another form."""
    rows = list(read_json_lines(path, _row))
    phrases = [(x, wrong, i) for i, row in enumerate(rows) for x, wrong in row]
    x, wrong, prompt = zip(*phrases, strict=True)
    return Marked(np.array(x), np.array(wrong, float), np.array(prompt))


def read_worth(path: Path) -> tuple[float, float]:
    """Mean log-probability of a draft, and what a nat above it is worth in log-odds that a reader
    puts one draft before another."""
    rows = [
        [float(draft["logprob"]) for draft in fields["drafts"]]
        for fields in read_json_lines(path, dict)
        if fields["dialect"] in _DIALECTS
    ]
    gains = np.array([a - b for row in rows for a, b in combinations(row, 2)])
    worth = 0.0
    for _ in range(_ROUNDS):
        p = 1 / (1 + np.exp(-worth * gains))
        worth += float(((1 - p) * gains).sum() / (p * (1 - p) * gains**2).sum())
    return float(np.mean([logprob for row in rows for logprob in row])), worth


def _row(fields: dict) -> list[tuple[list[float], bool]]:
    if fields["dialect"] not in _DIALECTS:
        return []
    phrases = [phrase for draft in fields["drafts"] for phrase in draft["phrases"]]
    return [(_features(phrase, fields["notes"]), bool(phrase["wrong"])) for phrase in phrases]


def _features(phrase: dict, notes: list[str]) -> list[float]:
    """As `features` has them, of log-probabilities with this mean, least and number."""
    mean, least, tokens = phrase["mean"], phrase["least"], phrase["tokens"]
    rest = (mean * tokens - least) / max(1, tokens - 1)
    return features(phrase["text"], [least, *[rest] * (tokens - 1)], notes)


def learn(x: np.ndarray, wrong: np.ndarray) -> list[float]:
    """Weights of a logistic regression and its bias, last; the weights of like features, scaled to
    one spread, are held by a prior of one."""
    mean, spread = x.mean(0), x.std(0) + 1e-6
    z = np.column_stack(((x - mean) / spread, np.ones(len(x))))
    w = np.zeros(z.shape[1])
    for _ in range(_ROUNDS):
        p = 1 / (1 + np.exp(-z @ w))
        curvature = (z * (p * (1 - p))[:, None]).T @ z + np.eye(len(w))
        w -= np.linalg.solve(curvature, z.T @ (p - wrong) + w)
    weights = w[:-1] / spread
    return [*map(float, weights), float(w[-1] - weights @ mean)]


def probabilities(weights: list[float], x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x @ np.array(weights[:-1]) - weights[-1]))


def area(doubt: np.ndarray, wrong: np.ndarray) -> float:
    """Chance that a wrong phrase is doubted more than a right one."""
    right = np.sort(doubt[wrong == 0])
    bad = doubt[wrong == 1]
    below, upto = (np.searchsorted(right, bad, side) for side in ("left", "right"))
    return float((below + upto).mean() / 2 / len(right))


if __name__ == "__main__":
    train.run(main)
