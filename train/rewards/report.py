"""The validation report of a reward model: figures as JSON, calibration and scatter as PNG."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from bp_core.score.text_reward import TextReward
from train.rewards.ranking import calibration, noise_ceiling, report


def judge(folder: Path, frame: pd.DataFrame, column: str) -> dict:
    """What the written model makes of labelled prompts: rank figures, calibration, ceiling.

    A column `teacher` gives the rank correlation with what the model was distilled from. The
    ceiling is there when the frame tells how many scores each mean is of (`images`) and their
    spread (`<column>_std`).
    """
    model = TextReward.load(folder)
    raw = frame.raw_prompt.tolist() if model.template.needs_raw else None
    guess = model.score(frame.prompt.tolist(), raw).numpy()
    truth = frame[column].to_numpy(float)
    figures: dict = report(truth, guess)
    figures["calibration"] = calibration(truth, guess)
    if "teacher" in frame.columns:
        figures["teacher_spearman"] = report(frame.teacher, guess, rounds=0)["spearman"]
    if {"images", f"{column}_std"} <= set(frame.columns):
        figures["noise_ceiling"] = noise_ceiling(
            frame.images.to_numpy(float), frame[f"{column}_std"].to_numpy(float), truth
        )
    return figures


def write_report(figures: dict[str, dict], folder: Path) -> None:
    """report.json and report.png; `figures` by the name of the set judged."""
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, len(figures), figsize=(5 * len(figures), 4.5), squeeze=False)
    for axis, (name, of_set) in zip(axes[0], figures.items(), strict=True):
        guess = np.array([part["guess"] for part in of_set["calibration"]])
        truth = np.array([part["truth"] for part in of_set["calibration"]])
        axis.plot(guess, truth, "o-")
        axis.set_xlabel("predicted z-score, mean of a tenth")
        axis.set_ylabel("labelled score, mean of that tenth")
        interval = f"{of_set['spearman_low']:.3f} to {of_set['spearman_high']:.3f}"
        title = f"{name}, n = {of_set['n']}\nSpearman {of_set['spearman']:.3f} ({interval})"
        if "noise_ceiling" in of_set:
            title += f", ceiling {of_set['noise_ceiling']:.2f}"
        axis.set_title(title, fontsize=10)
    fig.tight_layout()
    fig.savefig(folder / "report.png", dpi=120)
    plt.close(fig)
