"""Work on a Ray cluster: Ray Data gives chunks to a pool of actors, and brings their results.

Nothing is written by an actor, so they need no folder that all machines see. A chunk that was open
when its actor, or its machine, died is given to another.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

from bp_core.errors import BeautifulPromptError, InputError


class Actor:
    """A worker behind Ray Data's calling convention; its errors are results, so as not to be tried
    again."""

    def __init__(self, make: Callable[[], Callable[[list], list]]) -> None:
        self._fault = None
        try:
            self._worker = make()
        except BeautifulPromptError as error:
            self._fault = error

    def __call__(self, row: dict) -> dict:
        try:
            if self._fault is not None:
                raise self._fault
            said = self._worker(pickle.loads(row["items"]))
        except BeautifulPromptError as error:
            said = error
        return {"index": row["index"], "said": pickle.dumps(said)}


def stream(
    make: Callable[[], Callable[[list], list]], parts: list[list], actors: int
) -> Iterator[tuple[int, list]]:
    """(index, results) of each part, as they come; raises what a worker raised."""
    rows = [{"index": i, "items": pickle.dumps(part)} for i, part in enumerate(parts)]
    for row in mapped(rows, Actor, (make,), min(actors, len(rows))):
        said = pickle.loads(row["said"])
        if isinstance(said, BeautifulPromptError):
            raise said
        yield int(row["index"]), said


def mapped(rows: list[dict], actor: type, arguments: tuple, actors: int) -> Iterator[dict]:
    """What a pool of actors, one GPU each if there are, makes of each row, as it comes.

    Raises:
        InputError: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("workers ray needs Ray: pip install 'ray[data]', or local") from error
    if not ray.is_initialized():
        # Actors find this package where the driver does.
        root = str(Path(__file__).resolve().parents[2])
        ray.init(log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": root}})
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        actor,
        fn_constructor_args=arguments,
        concurrency=actors,
        num_gpus=1 if ray.cluster_resources().get("GPU") else 0,
        max_restarts=-1,
        max_task_retries=-1,
    )
    yield from done.iter_rows()
