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
# Sentences are of another grain, and the bundled writer writes none.
_DIALECTS = ("tags", "booru")


class Marked(NamedTuple):
    """Of phrases features (n, len(FEATURES)), whether wrong (n,) and number of the prompt (n,); of
    each prompt the mean log-probabilities of its drafts, best first."""

    x: np.ndarray
    wrong: np.ndarray
    prompt: np.ndarray
    drafts: list[list[float]]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder that gets doubt.json")
    parser.add_argument("--marked", type=Path, default=MARKED, help=".jsonl of marked drafts")
    parser.add_argument("--limit", type=float, default=0.2, help="doubt above which phrases go")
    args = parser.parse_args(argv)
    from sklearn.metrics import roc_auc_score

    train.make_folder(args.model)
    marked = read_marked(args.marked)
    doubt = np.empty(len(marked.wrong))
    for fold in range(_FOLDS):
        away = marked.prompt % _FOLDS == fold
        doubt[away] = probabilities(learn(marked.x[~away], marked.wrong[~away]), marked.x[away])
    kept = doubt <= args.limit
    area, left = roc_auc_score(marked.wrong, doubt), marked.wrong[kept].mean()
    print(
        f"{len(doubt)} phrases, {marked.wrong.mean():.1%} wrong; area under the curve {area:.3f}; "
        f"{kept.mean():.1%} stay, {left:.1%} of them wrong",
        file=sys.stderr,
    )
    *weights, bias = learn(marked.x, marked.wrong)
    usual = float(np.mean([logprob for row in marked.drafts for logprob in row]))
    stated = {"weights": dict(zip(FEATURES, weights, strict=True)), "bias": bias}
    stated |= {"limit": args.limit, "usual": usual, "worth": worth(marked.drafts)}
    text = json.dumps(stated, indent=2) + "\n"
    (args.model / FILE).write_text(text, encoding="utf-8")


def read_marked(path: Path) -> Marked:
    """The drafts of a file; raises InputError for a row of another form."""
    rows = list(read_json_lines(path, _row))
    phrases = [(x, wrong, i) for i, (marks, _) in enumerate(rows) for x, wrong in marks]
    x, wrong, prompt = map(np.array, zip(*phrases, strict=True))
    return Marked(x, wrong, prompt, [logprobs for _, logprobs in rows if logprobs])


def worth(drafts: list[list[float]]) -> float:
    """Log-odds, a nat of mean log-probability, that a reader puts one draft before another."""
    gains = np.array([a - b for row in drafts for a, b in combinations(row, 2)])
    # Each judgement both ways, so that there is something to tell apart.
    x, first = np.concatenate((gains, -gains)), np.repeat((True, False), len(gains))
    return float(_regression(np.inf).fit(x[:, None], first).coef_[0, 0])


def _row(fields: dict) -> tuple[list[tuple[list[float], bool]], list[float]]:
    """Features and mark of each phrase, and each draft's mean log-probability; none of both of a
    dialect that the doubt is not of."""
    if fields["dialect"] not in _DIALECTS:
        return [], []
    phrases = [phrase for draft in fields["drafts"] for phrase in draft["phrases"]]
    marked = [(_features(phrase, fields["notes"]), bool(phrase["wrong"])) for phrase in phrases]
    return marked, [float(draft["logprob"]) for draft in fields["drafts"]]


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
    *scaled, bias = _regression(1.0).fit(z, wrong).coef_[0]
    weights = scaled / spread
    return [*map(float, weights), float(bias - weights @ mean)]


def _regression(prior: float):
    """A logistic regression without a bias of its own; `prior` is the variance of its weights."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=prior, fit_intercept=False, tol=1e-8, solver="newton-cholesky")


def probabilities(weights: list[float], x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x @ np.array(weights[:-1]) - weights[-1]))


if __name__ == "__main__":
    train.run(main)
