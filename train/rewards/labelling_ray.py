"""Labelling on a Ray cluster: Ray Data gives the batches to a pool of GPU actors.

Every actor loads its own models and writes its batches' shards itself, into a folder that all
machines see. A shard is written whole and skipped when it is there, so a batch that Ray hands out
again, after an actor or a machine died, costs its own time and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bp_core.errors import InputError
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
    try:
        import ray
    except ImportError as error:
        raise InputError("workers ray needs Ray: pip install 'ray[data]', or local") from error
    if not ray.is_initialized():
        # Actors find this package where the driver does.
        root = str(Path(__file__).resolve().parents[2])
        ray.init(log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": root}})
    rows = [
        {"index": i, "raw_prompt": b.raw_prompt.tolist(), "prompt": b.prompt.tolist()}
        for i, b in todo
    ]
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    batches = ray.data.from_items(rows, override_num_blocks=len(rows))
    done = batches.map(
        Actor,
        fn_constructor_args=(args, load),
        concurrency=args.ray_actors,
        num_gpus=gpus,
        max_restarts=-1,
        max_task_retries=-1,
    )
    for _ in done.iter_rows():
        pass
