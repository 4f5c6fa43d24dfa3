"""train/paper.sh: the paper's stages, each reading what the one before wrote, on tiny models."""

import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.train.answering import Server
from tests.train.pictures_made import write_all

ROOT = Path(__file__).resolve().parents[2]


def paper(*arguments, **environment):
    return subprocess.run(
        ["bash", str(ROOT / "train/paper.sh"), *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )


def test_what_is_missing_is_said():
    done = paper()
    assert done.returncode == 1 and "give PICTURES LLM_URL LLM_MODEL" in done.stderr


@pytest.mark.skipif("PAPER" not in os.environ, reason="ten processes, minutes: set PAPER=1")
def test_the_stages_are_chained_and_finished_ones_left_out(tmp_path, server):
    pytest.importorskip("diffusers")
    pytest.importorskip("open_clip")
    pictures, out = write_all(tmp_path / "pictures", count=3), tmp_path / "out"
    done = paper(pictures, server, "tiny", out, QUICK="1")
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    pairs = pd.read_parquet(out / "pairs/train.parquet")
    labels = pd.read_parquet(out / "labels/labels.parquet")
    assert set(labels.prompt) == set(pairs[["raw_prompt", "prompt"]].drop_duplicates().prompt)
    made = {name: pd.read_parquet(out / name / "train.parquet") for name in CONSTRUCTIONS}
    rewrites = pd.concat(made.values())
    assert set(pairs.raw_prompt) <= set(rewrites.raw_prompt) and len(pairs) > 10
    # What was captioned first is summarised next; its captions are upgraded.
    summarised = made["summarised"]
    # What a prompt is expanded by stands without its beginning.
    expanded = summarised["mode"] == "expand"
    high = summarised.prompt.where(~expanded, summarised.raw_prompt + " " + summarised.prompt)
    assert set(high) <= set(made["captioned"].prompt) | held(out, "captioned")
    assert set(made["upgraded"].raw_prompt) <= set(made["captioned"].raw_prompt)
    assert (out / "ppo/model/model.safetensors").is_file()
    assert (out / "report/report.html").is_file()
    asked = len(Server.asked)
    again = paper(pictures, server, "tiny", out, QUICK="1")
    assert again.returncode == 0 and again.stdout.count("is there") == 10
    assert len(Server.asked) == asked


CONSTRUCTIONS = ("captioned", "summarised", "upgraded")


def held(out, name):
    return set(pd.read_parquet(out / name / "validation.parquet").prompt)
