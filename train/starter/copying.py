"""Drills that teach a small model to copy the artist's words.

    python -m train.starter.copying --pairs runs/pairs --out runs/copying

A model of a few million parameters, shown prompts and their rewrites alone, learns to write a
likely prompt on another subject: most words of a rewrite are guessed without looking. Random words
to be repeated cannot be guessed, so that copying is all there is to learn. `first.parquet` is
mostly drills of common words, which are easy to tell apart; `second.parquet` is mostly pairs of
`train/collect.py`, whose columns all have, beside longer drills, half of them of any word that
somebody typed: names, numbers and signs, in several tokens each. `validation.parquet` has pairs
alone.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

import pandas as pd

import train
from bp_core.errors import InputError

COLUMNS = ["raw_prompt", "prompt", "mode", "source"]


def common_words(captions: list[str]) -> list[str]:
    """Words that at least five captions share, for want of a reason to choose rarer ones."""
    count = Counter(w for text in captions for w in text.lower().rstrip(".").split())
    return [word for word, times in count.items() if times >= 5 and word.isalpha()]


def typed_words(prompts: list[str]) -> list[str]:
    """Every word of the prompts once, capitals and signs as typed."""
    return sorted({word for text in prompts for word in text.split()})


def drills(words: list[str], count: int, sizes: tuple[int, int], seed: int) -> pd.DataFrame:
    """`count` rows to be repeated, each of as many random words as `sizes` allows."""
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(words, k=rng.randint(*sizes))) for _ in range(count)]
    rows = [(text, text, "rewrite", "drill") for text in texts]
    return pd.DataFrame(rows, columns=COLUMNS)


def short(pairs: pd.DataFrame, modes: list[str], raw: int, tail: int, count: int) -> pd.DataFrame:
    """At most `count` pairs of no more words than `raw` and, behind them, `tail`."""
    before, after = (pairs[c].str.split().str.len() for c in ("raw_prompt", "prompt"))
    longest = tail + before.where(pairs["mode"] == "rewrite", 0)
    fit = pairs[pairs["mode"].isin(modes) & (before <= raw) & (after <= longest)]
    return fit.sample(min(count, len(fit)), random_state=0)[COLUMNS]


def build(pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Both files' rows, shuffled."""
    words = common_words(pairs[pairs["mode"] == "text"].prompt.tolist())
    if not words:
        raise InputError("the pairs hold no captions (mode text): make them with train/collect.py")
    first = [drills(words, 40_000, (3, 10), 0), short(pairs, ["expand", "rewrite"], 12, 24, 20_000)]
    typed = typed_words(pairs[pairs["mode"] == "rewrite"].raw_prompt.tolist())
    second = [
        drills(words, 13_000, (4, 16), 1),
        drills(typed, 26_000, (2, 12), 2),
        short(pairs, ["rewrite"], 40, 26, 40_000),
        short(pairs, ["expand"], 40, 28, 16_000),
    ]
    return {
        name: pd.concat(parts).sample(frac=1, random_state=1)
        for name, parts in (("first", first), ("second", second))
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, default=Path("runs/pairs"))
    parser.add_argument("--out", type=Path, default=Path("runs/copying"))
    args = parser.parse_args(argv)
    try:
        pairs, held_out = (
            pd.read_parquet(args.pairs / f"{name}.parquet") for name in ("train", "validation")
        )
    except OSError as error:
        raise InputError(f"cannot read {args.pairs}: run train/collect.py first") from error
    args.out.mkdir(parents=True, exist_ok=True)
    files = build(pairs) | {"validation": held_out[held_out["mode"] != "text"][COLUMNS]}
    for name, frame in files.items():
        frame.to_parquet(args.out / f"{name}.parquet", index=False)
        print(f"{name}: {len(frame)} rows", file=sys.stderr)


if __name__ == "__main__":
    train.run(main)
