"""Raw prompts for reinforcement learning, and held-out ones to judge it on.

    python -m train.starter.prompts --pairs runs/pairs --out runs/prompts

From the pairs of `train/collect.py`: `train.txt` has the low sides of the training pairs, captions
among them, one in twenty of those that begin with an article typed as "a photo of" it;
`validation.txt` those of held-out clusters and held-out captions in equal parts, and
`coco1000.txt` 1,000 captions that are in neither. One prompt a line.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import train
from bp_core.text.words import words
from train.data.pairs import read_pairs

_CAPTIONS = 1000  # judged at the end
_VALIDATION = 128  # of each kind
_ARTICLES = (["a"], ["an"], ["the"])
_PHOTOS = 0.05  # of the prompts that begin with an article


def split(pairs: dict[str, list[dict]], seed: int) -> dict[str, list[str]]:
    """Prompts by file name, from the rows of train.parquet and validation.parquet."""
    rng = random.Random(seed)
    rows = pairs["train"] + pairs["validation"]
    captions = sorted({row["prompt"] for row in rows if row["mode"] == "text"})
    rng.shuffle(captions)
    judged, watched = captions[:_CAPTIONS], captions[_CAPTIONS : _CAPTIONS + _VALIDATION]
    held_out = {_key(p) for p in judged + watched}

    def low_sides(name: str) -> list[str]:
        low = {row["raw_prompt"] for row in pairs[name] if row["mode"] == "expand"}
        low = sorted(p for p in low if _key(p) not in held_out)
        rng.shuffle(low)
        return low

    watched += low_sides("validation")[:_VALIDATION]
    rng.shuffle(watched)
    train = [
        f"a photo of {p[0].lower()}{p[1:]}"
        if rng.random() < _PHOTOS and words(p)[:1] in _ARTICLES
        else p
        for p in low_sides("train")
    ]
    return {"train": train, "validation": watched, "coco1000": judged}


def _key(prompt: str) -> tuple[str, ...]:
    """What two ways of typing one prompt share."""
    run = words(prompt)
    return tuple(run[run[:1] in _ARTICLES :])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, default=Path("runs/pairs"))
    parser.add_argument("--out", type=Path, default=Path("runs/prompts"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    pairs = {n: read_pairs(args.pairs / f"{n}.parquet") for n in ("train", "validation")}
    args.out.mkdir(parents=True, exist_ok=True)
    for name, prompts in split(pairs, args.seed).items():
        (args.out / f"{name}.txt").write_text("\n".join(prompts) + "\n", encoding="utf-8")
        print(f"{name}: {len(prompts)} prompts", file=sys.stderr)


if __name__ == "__main__":
    train.run(main)
