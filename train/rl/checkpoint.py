"""Checkpoints that are there whole or not at all, and a log that agrees with them.

A checkpoint is a folder `checkpoint-000120`: written under another name, flushed to the disk, and
renamed. It holds tensors and plain numbers only, so reading one runs no code.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path

import torch

from bp_core.errors import InputError

_NAME = re.compile(r"checkpoint-(\d+)")


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint in a run's folder."""
    checkpoints = [p for p in folder.glob("checkpoint-*") if _NAME.fullmatch(p.name)]
    return max(checkpoints, key=step_of, default=None)


def step_of(path: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(_NAME.fullmatch(path.name)[1])


def latest_step(folder: Path) -> int:
    """The step of the newest checkpoint; 0 when there is none."""
    last = latest(folder)
    return step_of(last) if last else 0


def begin(folder: Path, config: dict, free: frozenset[str], resume: bool) -> Path | None:
    """The checkpoint that a run goes on from; None for a run from its start.

    Args:
        config: the run's arguments; `free` of them may differ from those it was begun with.

    Raises:
        InputError: the folder is another run's.
    """
    last = latest(folder)
    if last is None:
        return None
    if not resume:
        raise InputError(
            f"{folder} holds a run: go on with --resume true, or give another output_dir"
        )
    before = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    changed = sorted(k for k in config if k not in free and before.get(k) != config[k])
    if changed:
        raise InputError(
            f"{folder} was begun with another {', '.join(changed)}: go on with the same, or give "
            "another output_dir"
        )
    return last


def write(folder: Path, step: int, tensors: dict, numbers: dict, keep: int) -> Path:
    """Write one, and remove all but the newest `keep`.

    Args:
        tensors: whatever `torch.load(weights_only=True)` reads back.
        numbers: what JSON holds exactly.

    Raises:
        InputError: the disk is full; earlier checkpoints are untouched.
    """
    path = folder / f"checkpoint-{step:06d}"
    draft = folder / f".{path.name}"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        torch.save(tensors, draft / "tensors.pt")
        (draft / "state.json").write_text(json.dumps(numbers), encoding="utf-8")
        for file in draft.iterdir():
            _flush(file)
        if path.exists():
            shutil.rmtree(path)
        draft.rename(path)
        _flush(folder)
    except (OSError, RuntimeError) as error:
        # torch.save reports a full disk as a RuntimeError of its zip writer.
        shutil.rmtree(draft, ignore_errors=True)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or isinstance(error, RuntimeError):
            raise InputError(
                f"cannot write {path}, the disk may be full ({error}): free some space and go on "
                "with --resume true; earlier checkpoints are whole"
            ) from error
        raise
    for old in sorted(folder.glob("checkpoint-*"), key=step_of)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def read(path: Path) -> tuple[dict, dict]:
    """(tensors on the CPU, numbers) of a checkpoint."""
    tensors = torch.load(path / "tensors.pt", map_location="cpu", weights_only=True)
    return tensors, json.loads((path / "state.json").read_text(encoding="utf-8"))


def check_room(folder: Path, needed: int) -> None:
    """Raise InputError unless `needed` bytes can be written below `folder`, made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): give another") from error
    if free < needed:
        raise InputError(
            f"{folder} has {free >> 20} MiB free, checkpoints need {needed >> 20}: free some space "
            "or lower keep_checkpoints"
        )


class Log:
    """One JSON object a step; what a killed run logged after its checkpoint goes.

    Args:
        step: the last step that counts; 0 begins anew.
    """

    def __init__(self, folder: Path, step: int, name: str = "log.jsonl") -> None:
        self.path = folder / name
        rows = read_log(folder, name) if step else []
        self.rows = [row for row in rows if row["step"] <= step]
        draft = self.path.with_name(f".{name}")
        draft.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
        draft.replace(self.path)

    def add(self, row: dict) -> None:
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def read_log(folder: Path, name: str = "log.jsonl") -> list[dict]:
    """Rows of a run's log; a last line that was cut by a kill is left out."""
    path = folder / name
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
