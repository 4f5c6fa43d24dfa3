"""`--dry_run` of every command: files and options are checked, a little of the work is tried, and
what all of it would take is said.

Nothing is trained or written. The figures are of this machine, under what else it does just then.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bp_core.errors import InputError
from train.data.progress import memory

HELP = "check files and options, say how much time and memory it would take, and end"
_FEW = 4  # items of paid or slow work that are tried
_STEPS = 3  # of a trainer, the first one to warm up


@dataclass
class DryRun:
    """The argument, for `train.parse`."""

    dry_run: bool = field(default=False, metadata={"help": HELP})


@dataclass
class Findings:
    """What a dry run tells.

    Attributes:
        checked: what was read and is sound, a line each.
        times: what takes how many seconds.
        basis: what the figures rest on, a line each.
    """

    checked: list[str] = field(default_factory=list)
    times: list[tuple[str, float]] = field(default_factory=list)
    basis: list[str] = field(default_factory=list)

    def tell(self) -> None:
        lines = [("checked", line) for line in self.checked]
        lines += [("time", f"{duration(seconds)}: {what}") for what, seconds in self.times]
        if len(self.times) > 1:
            lines.append(("time", f"{duration(sum(s for _, s in self.times))} in all"))
        held, (free, where) = memory(peak=True), room()
        lines.append(("memory", f"{gib(held)} at most so far, {gib(free)} of {where} still free"))
        lines += [("rests on", line) for line in self.basis]
        lines.append(("end", "a dry run: give the command without --dry_run to do it"))
        print("\n".join(f"{name:9} {line}" for name, line in lines))


class Trial:
    """Stands in for `train.data.workers.Workers`: does a few items, and times what all would take.

    What was done is kept as the whole run keeps it, so nothing is paid for twice.
    """

    actors = 1

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def run(self, make: Callable, items: list, chunk: int, desc: str, keep: Callable) -> None:
        if not items:
            return
        few, worker = items[:_FEW], make()
        start = time.perf_counter()
        for item, result in zip(few, worker(few), strict=True):
            keep(item, result)
        each = (time.perf_counter() - start) / len(few)
        left = len(items) - len(few)
        self._findings.times.append((f"{desc}, {left} at {each:.2f} s", left * each))
        self._findings.basis.append(f"{desc}: {len(few)} done just now, and kept")


def duration(seconds: float) -> str:
    """As one says it: 40 s, 12 min, 3.5 h, 2.1 days."""
    for unit, size, digits in (("days", 86400, 1), ("h", 3600, 1), ("min", 60, 0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"


def gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"


def room() -> tuple[int, str]:
    """Bytes of memory that are free where a model would learn, and what that memory is."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0], torch.cuda.get_device_name()
    import psutil

    return psutil.virtual_memory().available, "RAM"


def check_memory(parameters: int, trained: int) -> None:
    """Raise InputError where weights, gradients and AdamW's moments alone are too large to try."""
    # Weights are there already.
    needed, (free, where) = 12 * trained, room()
    if needed > free:
        raise InputError(
            f"{parameters / 1e6:.0f} million parameters do not fit: gradients and AdamW's moments "
            f"take {gib(needed)}, and {gib(free)} of {where} are free: choose a smaller base, or a "
            "larger machine"
        )


def check_folder(folder: str | Path) -> str:
    """A line about a folder to write to; raises InputError where that cannot be done."""
    path = Path(folder).absolute()
    there = next(p for p in (path, *path.parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"cannot write to {folder}: give another")
    return f"{folder} can be written to: {gib(shutil.disk_usage(there).free)} of disk are free"


def throw_away(config) -> str:
    """Give a trainer's config a folder that is gone at the end; where it would have written."""
    meant, config.report_to = config.output_dir, []
    config.output_dir = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, config.output_dir, ignore_errors=True)
    return meant


def try_trainer(trainer, output_dir: str, findings: Findings) -> None:
    """A few steps of a Trainer, and part of an evaluation.

    Args:
        trainer: of transformers or TRL; its folder must be one to throw away.
        output_dir: where the whole run would write.
    """
    from transformers import DefaultFlowCallback, TrainerCallback

    class Clock(TrainerCallback):
        ends: tuple[float, ...] = ()
        total = 0

        def on_step_end(self, args, state, control, **kwargs):
            self.ends = (*self.ends, time.perf_counter())
            self.total = state.max_steps
            control.should_training_stop = len(self.ends) >= min(_STEPS, state.max_steps)
            control.should_save = control.should_evaluate = control.should_log = False

    parameters = [(p.numel(), p.requires_grad) for p in trainer.model.parameters()]
    size, trained = sum(n for n, _ in parameters), sum(n for n, learns in parameters if learns)
    check_memory(size, trained)
    findings.checked += [f"{size / 1e6:.1f} million parameters", check_folder(output_dir)]
    args, clock, start = trainer.args, Clock(), time.perf_counter()
    strategy = str(getattr(args.eval_strategy, "value", args.eval_strategy))
    args.save_strategy = args.eval_strategy = args.logging_strategy = "no"
    args.load_best_model_at_end = False
    trainer.callback_handler.callbacks = [DefaultFlowCallback(), clock]
    trainer.train()
    times = [b - a for a, b in zip((start, *clock.ends), clock.ends, strict=False)]
    each = sum(times[1:]) / len(times[1:]) if times[1:] else times[0]
    steps = f"{clock.total} steps of {each:.2f} s"
    findings.times.append((steps, clock.total * each))
    findings.basis.append(f"{len(times)} steps done just now and thrown away, {_first(times)}")
    if trainer.eval_dataset is not None and len(trainer.eval_dataset):
        _time_evaluation(trainer, strategy, clock.total, findings)
    if trainer.is_world_process_zero():
        findings.tell()


def _first(times: list[float]) -> str:
    return f"the first one, of {times[0]:.1f} s, not counted" if len(times) > 1 else "the only one"


def _time_evaluation(trainer, strategy: str, steps: int, findings: Findings) -> None:
    rows, batch = trainer.eval_dataset, trainer.args.eval_batch_size
    count = min(len(rows), 2 * batch)
    few = rows.select(range(count)) if hasattr(rows, "select") else rows[:count]
    start = time.perf_counter()
    trainer.evaluate(few)
    each = (time.perf_counter() - start) * len(rows) / count
    every = {"steps": trainer.args.eval_steps, "epoch": steps / trainer.args.num_train_epochs}
    times = 1 + (int(steps / max(1, every[strategy])) if strategy in every else 0)
    findings.times.append((f"{times} evaluation(s) of {each:.1f} s", times * each))
