"""Label pairs with image scores: render every prompt from several seeds, score, average.

    python train/label.py --config train/configs/paper_label.yaml

In: Parquet or CSV with raw_prompt and prompt (the pairs of `train/collect.py`). Out: a folder with
`labels.parquet` (raw_prompt, prompt, images, and mean and spread over the seeds of pick_score, of
the image against the *raw* prompt, and of aesthetic), which `train/reward.py` learns from.

The work is cut into batches of prompts by their order alone. A finished batch is one shard, moved
into place whole; begun again after whatever end, the run skips the shards that are there. Within a
batch, pictures are scored in one thread while the next are drawn. `--workers ray` gives the batches
to the actors of a Ray cluster, which write the same shards.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

import train
from bp_core.models.vision import define_operators
from train.data.pairs import distinct_pairs
from train.data.plan import keep_plan
from train.data.progress import bar
from train.rewards import labelling_ray
from train.rewards.labelling import LabelArguments, Labeller, shard_path, write_whole


def plan(pairs: pd.DataFrame, size: int) -> list[pd.DataFrame]:
    """Batches of `size` distinct prompts with all their pairs, in order of first appearance."""
    rank = pairs.groupby("prompt", sort=False).ngroup()
    return [part for _, part in pairs.groupby(rank // size, sort=True)]


def prepare(out: Path, pairs: pd.DataFrame, args: LabelArguments) -> None:
    """Make the folder, or check that it holds labels of these very pairs and settings."""
    (out / "shards").mkdir(parents=True, exist_ok=True)
    # What decides the labels: where it runs and what it keeps besides does not.
    elsewhere = {"pairs", "out", "device", "thumbnails", "workers", "ray_actors"}
    about = {k: v for k, v in asdict(args).items() if k not in elsewhere}
    rows = json.dumps(pairs.to_numpy().tolist()).encode()
    about["pairs_sha256"] = hashlib.sha256(rows).hexdigest()
    if keep_plan(out / "plan.json", about, "labels"):
        for draft in (out / "shards").glob(".*"):
            draft.unlink(missing_ok=True)


def run(args: LabelArguments, load: Callable | None = None) -> Path:
    """Label all pairs, or what is left of them; the path of labels.parquet."""
    pairs = distinct_pairs(args.pairs)
    out = Path(args.out)
    prepare(out, pairs, args)
    batches = plan(pairs, args.batch_prompts)
    todo = [(i, b) for i, b in enumerate(batches) if not shard_path(out, i).is_file()]
    if todo and args.workers == "ray":
        labelling_ray.label(args, todo, load)
    elif todo:
        labeller = Labeller(args, load)
        pictures = sum(b.prompt.nunique() for _, b in todo) * args.seeds
        with bar(pictures, "labelling") as progress:
            for index, batch in todo:
                labeller(index, batch, progress.update)
    shards = [pd.read_parquet(shard_path(out, i)) for i in range(len(batches))]
    labels = pairs.merge(pd.concat(shards), on=["raw_prompt", "prompt"], how="left")
    write_whole(labels, out / "labels.parquet")
    return out / "labels.parquet"


def main(argv: list[str] | None = None) -> None:
    define_operators()
    (args,) = train.parse(LabelArguments, argv)
    print(f"wrote {run(args)}", file=sys.stderr)


if __name__ == "__main__":
    train.run(main)
