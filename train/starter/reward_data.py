"""Data of the starter's reward: human scores per prompt, and unlabelled prompts to distil over.

    python -m train.starter.reward_data --data data --out runs/reward

Writes `human.parquet` (prompt, score, images, cluster, split, half), `pool.parquet` (prompt,
source), `transfer.parquet` (agiqa3k: prompt, score, subject, modifiers) and `pairs.parquet`
(raw_prompt, prompt: descriptions and the prompts that artists made of them), which
`teacher.py` and `train/reward.py` read.

A score is the mean over a prompt's images of their human opinion score, ranked within the image's
generator and mapped to a standard normal, since the generator alone explains half of the variance.
Clusters of near-duplicates go whole to train, validation or test, and whole to half A or B, by a
hash of their first prompt: the same on every machine, and other rows do not change it.

`--vocabulary` learns a tokenizer of so many entries from what the student reads, `tokenizer.json`:
one that knows more words than the rewriter's makes a better student of the same speed.

`--more` adds scored images for half A to train on, which leaves the judge (half B) and every
held-out prompt as they are: what comes near one of those is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

import train
from bp_core.errors import InputError
from train.data.cleaning import clean
from train.data.dedup import clusters
from train.data.pools import read_evaluation_sets, read_podvodka
from train.data.vocabulary import learn, save
from train.starter.reward_pool import pool

# Shares of the published marks' split: 10,882 / 1,427 / 1,312.
_TRAIN, _VALIDATION = 0.80, 0.105
SIZES = {
    "rich": 36_000,
    "plain": 12_000,
    "mixed": 30_000,
    "short": 16_000,
    "rewritten": 4_000,
    "stuffed": 3_000,
}


def rank_normal(values: np.ndarray) -> np.ndarray:
    """Ranks (n,) mapped to the quantiles of a standard normal (Blom's scores, offset 1/2)."""
    from scipy.stats import norm, rankdata

    return norm.ppf((rankdata(values) - 0.5) / len(values))


def _generator(names: pd.Series) -> pd.Series:
    return names.str.replace(r"_\d+\.\w+$", "", regex=True)


def _uniform(text: str, salt: str) -> float:
    """A number in [0, 1) that hangs on `text` alone."""
    digest = hashlib.sha256(f"{salt} {text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def read_images(path: Path) -> pd.DataFrame:
    """Scored images: name (its generator first), prompt, mos. Raises InputError for other files."""
    images = pd.read_csv(path, header=None)
    if (
        images.shape[1] != 3
        or not pd.api.types.is_numeric_dtype(images[2])
        or images.isna().any(axis=None)
    ):
        raise InputError(f"{path}: give name, prompt and mean opinion score in each row, no header")
    images.columns = ["name", "prompt", "mos"]
    images["prompt"] = images.prompt.astype(str).str.split().str.join(" ")
    return images


def _scored(images: pd.DataFrame) -> pd.DataFrame:
    """`images` with their scores, ranked within each generator."""
    by_generator = images.groupby(_generator(images.name)).mos
    return images.assign(score=by_generator.transform(lambda s: rank_normal(s.to_numpy())))


def _by_prompt(images: pd.DataFrame) -> pd.DataFrame:
    prompts = images.groupby("prompt", sort=True)
    return prompts.agg(score=("score", "mean"), images=("score", "size")).reset_index()


def human_scores(data: Path) -> pd.DataFrame:
    """AIGIQA-20K by prompt: prompt, score (z), images, cluster, split, half ("A" or "B")."""
    frame = _by_prompt(_scored(read_images(data / "aigiqa20k/prompt_mos.csv")))
    frame["cluster"] = clusters(frame.prompt.tolist())
    first = frame.groupby("cluster").prompt.min()
    share = frame.cluster.map(first.map(lambda p: _uniform(p, "split")))
    frame["split"] = np.select(
        [share < _TRAIN, share < _TRAIN + _VALIDATION], ["train", "validation"], "test"
    )
    half = frame.cluster.map(first.map(lambda p: _uniform(p, "half")))
    frame["half"] = np.where(half < 0.5, "A", "B")
    return frame


def more_scores(human: pd.DataFrame, data: Path, more: Path) -> pd.DataFrame:
    """`human` with the images of another file, in half A's training part.

    Left out are prompts of a cluster (of all prompts together) with one of half B, validation or
    test, which keep their rows; scores are ranked among the images of both files.
    """
    old, new = read_images(data / "aigiqa20k/prompt_mos.csv"), read_images(more)
    images = _scored(pd.concat([old, new], ignore_index=True))
    prompts = images.prompt.drop_duplicates().sort_values(ignore_index=True)
    cluster = pd.Series(clusters(prompts.tolist()), index=prompts)
    mine = (human.half == "A") & (human.split == "train")
    closed = cluster.isin(cluster[human.prompt[~mine]])
    added = _by_prompt(images[images.prompt.map(~closed)])
    added = added.assign(split="train", half="A")
    rest = human[~human.prompt.isin(added.prompt)]
    frame = pd.concat([rest, added], ignore_index=True)
    return frame.assign(cluster=frame.prompt.map(cluster))


def transfer_scores(data: Path) -> pd.DataFrame:
    """AGIQA-3K by prompt: prompt, score (z), subject, modifiers (in their order, or empty)."""
    images = pd.read_csv(data / "agiqa3k/data.csv", keep_default_na=False)
    images = _scored(images.rename(columns={"mos_quality": "mos"}))
    frame = images.groupby("prompt", sort=True).agg(
        score=("score", "mean"),
        adj1=("adj1", "first"),
        adj2=("adj2", "first"),
        style=("style", "first"),
    )
    frame = frame.reset_index()
    frame["modifiers"] = [
        [m for m in row if m] for row in frame[["adj1", "adj2", "style"]].to_numpy()
    ]
    frame["subject"] = [
        ",".join(p.split(",")[: len(p.split(",")) - len(m)]).strip()
        for p, m in zip(frame.prompt, frame.modifiers, strict=True)
    ]
    return frame[["prompt", "score", "subject", "modifiers"]]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="see docs/training.md")
    parser.add_argument("--out", type=Path, default=Path("runs/reward"))
    parser.add_argument("--more", type=Path, help="csv of scored images for half A, as above")
    for source, size in SIZES.items():
        parser.add_argument(f"--{source}", type=int, default=size, help="prompts of the pool")
    parser.add_argument("--vocabulary", type=int, default=0, help="entries of a tokenizer; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    try:
        human, transfer = human_scores(args.data), transfer_scores(args.data)
        if args.more:
            human = more_scores(human, args.data, args.more)
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename} is missing: give the data's folder as --data"
        ) from error
    evaluation = [p for prompts in read_evaluation_sets(args.data).values() for p in prompts]
    held_out = evaluation + human.prompt[human.split != "train"].tolist()
    size = {source: getattr(args, source) for source in SIZES}
    unlabelled = pool(args.data, held_out, size, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    pairs = [(clean(low), clean(high)) for low, high in read_podvodka(args.data)]
    written = {
        "human": human,
        "transfer": transfer,
        "pool": unlabelled,
        "pairs": pd.DataFrame(pairs, columns=["raw_prompt", "prompt"]),
    }
    for name, frame in written.items():
        frame.to_parquet(args.out / f"{name}.parquet", index=False)
    if args.vocabulary:
        seen = human.prompt[human.split == "train"]
        texts = sorted({*unlabelled.prompt, *seen, *seen.map(clean)})
        save(learn(texts, args.vocabulary), args.out / "tokenizer.json")
    report = {
        "splits": human.groupby(["split", "half"]).size().unstack().to_dict("index"),
        "pool": unlabelled.source.value_counts().to_dict(),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    train.run(main)
