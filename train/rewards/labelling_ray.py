"""Labelling on a Ray cluster: Ray Data gives the batches to a pool of GPU actors.

Every actor loads its own models and writes its batches' shards itself, into a folder that all
machines see. A shard is written whole and skipped when it is there, so a batch that Ray hands out
again, after an actor or a machine died, costs its own time and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from train.data.workers_ray import mapped
from train.rewards.labelling import LabelArguments, Labeller


class Actor:
    """A Labeller behind Ray Data's calling convention."""

    def __init__(self, args: LabelArguments, load: Callable | None) -> None:
        self.labeller = Labeller(args, load)

    def __call__(self, row: dict) -> dict:
        batch = pd.DataFrame({"raw_prompt": row["raw_prompt"], "prompt": row["prompt"]})
        self.labeller(int(row["index"]), batch)
        return {"index": row["index"]}


def label(
    args: LabelArguments, todo: list[tuple[int, pd.DataFrame]], load: Callable | None
) -> None:
    """Label the batches (index, rows) with `args.ray_actors` actors, one GPU each if there are."""
    rows = [
        {"index": i, "raw_prompt": b.raw_prompt.tolist(), "prompt": b.prompt.tolist()}
        for i, b in todo
    ]
    for _ in mapped(rows, Actor, (args, load), args.ray_actors):
        pass
