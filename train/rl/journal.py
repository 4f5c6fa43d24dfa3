"""What a run tells those who watch it: config.json, logs, TensorBoard events, report.html."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from train.data.progress import memory, pace
from train.rl.checkpoint import Log
from train.rl.evaluation import Evaluation
from train.rl.report import write_report
from train.rl.watch import Watch


def speeds(tokens: float, drawn: float, seconds: float) -> dict[str, float]:
    """Figures of a step's work.

    Args:
        tokens: that were written, and learned from in every epoch.
        drawn, seconds: that writing them took, and the whole step.
    """
    return {
        "time/rollouts": drawn,
        "time/step": seconds,
        "time/tokens a second": tokens / seconds,
        "time/memory in GiB": memory() / 2**30,
    }


def in_short(row: dict) -> dict[str, str]:
    """What of a step's figures stands behind the bar."""
    figures = {"reward": f"{row['score/reward']:.3f}", "kl": f"{row['kl']:.2f}"}
    return figures | pace(row["time/tokens a second"])


class Journal:
    """Written by the main process alone.

    Args:
        step: the last step that counts; what a killed run logged after it goes.
        config: the run's arguments.
    """

    def __init__(self, folder: Path, step: int, config: dict) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder, self._config, self._log = folder, config, Log(folder, step)
        self._evaluations = Log(folder, step, "evaluations.jsonl")
        self._board = SummaryWriter(str(folder), purge_step=step + 1)
        self._samples: list[dict[str, str]] = []
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def evaluated(self, row: dict, evaluation: Evaluation) -> dict:
        """A step's row with the figures of held-out prompts, and a flag when they show trouble."""
        self._samples = evaluation.samples
        row = row | {f"eval/{name}": value for name, value in evaluation.figures.items()}
        self._evaluations.add({"step": row["step"], **evaluation.by_prompt})
        warning = Watch()([by_prompt(old) for old in self._evaluations.rows])
        return row | {"flag": warning} if warning else row

    def add(self, row: dict, page: bool) -> None:
        """Write a step's figures down, and the page too if asked."""
        self._log.add(row)
        for name, value in row.items():
            if not isinstance(value, str):
                self._board.add_scalar(name, value, row["step"])
        if "flag" in row:
            print(f"step {row['step']}: {row['flag']}", file=sys.stderr)
        if page:
            write_report(
                self._folder, self._log.rows, self._evaluations.rows, self._samples, self._config
            )


def by_prompt(row: dict) -> dict[str, list[float]]:
    """The figures of a row of evaluations.jsonl, without its step."""
    return {name: values for name, values in row.items() if name != "step"}
