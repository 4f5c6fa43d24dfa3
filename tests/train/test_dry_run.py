"""--dry_run of the commands that train, and what their progress says: nothing is left behind, wrong
files are found, and the figures rest on a trial."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bp_core.errors import InputError
from tests.train.bases import write_family
from train import grpo, ppo, reward, sft
from train.report import dry_run
from train.report.dry_run import Findings, Trial, duration

NOUNS = "cat dog house tree river lamp boat moon horse tower garden bridge".split()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = write_family(tmp_path_factory.mktemp("base") / "bloom", "bloom")
    about = {"kind": "rewriter", "template": {"name": "v1"}}
    (folder / "beautifulprompt.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def work(tmp_path, base):
    rng = np.random.default_rng(0)
    rows = [(f"a {a}", f"a {a}, a {b}, soft light", rng.normal()) for a in NOUNS for b in NOUNS[:4]]
    frame = pd.DataFrame(rows, columns=["raw_prompt", "prompt", "pick_score"])
    frame.to_parquet(tmp_path / "pairs.parquet")
    (tmp_path / "prompts.txt").write_text("\n".join(f"a {noun}" for noun in NOUNS))
    return tmp_path


def options(**fields):
    return [str(x) for key, value in fields.items() for x in (f"--{key}", value)]


def commands(work, base):
    out = {"output_dir": work / "run", "base": base}
    small = out | {"use_cpu": True, "bf16": False, "max_steps": 6, "report_to": "none"}
    small |= {"per_device_train_batch_size": 4, "weights": "float32"}
    pairs = small | {"train_file": work / "pairs.parquet"}
    drawn = {"prompts": work / "prompts.txt"}
    steps = {"steps": 6, "rollouts_per_step": 8, "samples_per_prompt": 2, "minibatch_size": 4}
    steps |= {"max_new_tokens": 6, "trained_layers": 1, "eval_prompts": work / "prompts.txt"}
    group = {"num_generations": 2, "max_completion_length": 6, "mode": "rewrite"}
    return {
        "sft": (sft.main, options(**pairs, max_length=64)),
        "reward": (reward.main, options(**pairs, score="pick_score", held_out=0.3)),
        "ppo": (ppo.main, options(**out, **drawn, **steps)),
        "grpo": (grpo.main, options(**small, **drawn, **group)),
    }


@pytest.mark.parametrize("name", ["sft", "reward", "ppo", "grpo"])
def test_a_dry_run_tries_tells_and_leaves_nothing(name, work, base, capsys):
    main, argv = commands(work, base)[name]
    before = sorted(work.rglob("*"))
    main([*argv, "--dry_run", "true"])
    assert sorted(work.rglob("*")) == before
    told = capsys.readouterr().out
    assert re.search(r"time .*: 6 steps of [\d.]+ s", told)
    assert "million parameters" in told and "can be written to" in told
    assert re.search(r"memory +[\d.]+ GiB at most so far", told)
    assert "thrown away" in told and "without --dry_run" in told


def test_wrong_files_are_found(work, base):
    (work / "file").write_text("")
    for name, (main, argv) in commands(work, base).items():
        blocked = [*argv, "--output_dir", str(work / "file/run"), "--dry_run", "true"]
        with pytest.raises(InputError, match="cannot write"):
            main(blocked)
        lost = [*argv, "--train_file" if name in ("sft", "reward") else "--prompts", "nowhere"]
        with pytest.raises(InputError, match="nowhere"):
            main([*lost, "--dry_run", "true"])


def test_what_does_not_fit_is_told_before_it_is_tried(work, base, monkeypatch):
    monkeypatch.setattr(dry_run, "room", lambda: (1000, "RAM"))
    main, argv = commands(work, base)["sft"]
    with pytest.raises(InputError, match="do not fit"):
        main([*argv, "--dry_run", "true"])


@pytest.mark.parametrize("name", ["sft", "reward", "ppo"])
def test_progress_has_tokens_a_second_and_memory(name, work, base, capsys):
    main, argv = commands(work, base)[name]
    main(argv)
    lines = capsys.readouterr().err.splitlines()
    assert any(re.search(r"6 of 6.*tokens/s=[1-9]\d*, GiB=\d", line) for line in lines), lines


def test_a_trial_scales_what_it_tried(capsys):
    findings, kept = Findings(), {}

    def make():
        return lambda items: [2 * item for item in items]

    Trial(findings).run(make, list(range(10)), 3, "doubling", kept.__setitem__)
    assert kept == {0: 0, 1: 2, 2: 4, 3: 6}
    [(what, _)] = findings.times
    assert what.startswith("doubling, 6 at")
    findings.tell()
    assert "rests on  doubling: 4 done just now, and kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "text"), [(40, "40 s"), (600, "10 min"), (9000, "2.5 h"), (200_000, "2.3 days")]
)
def test_durations_as_one_says_them(seconds, text):
    assert duration(seconds) == text


def test_a_folder_that_is_not_there_yet_is_fine(tmp_path):
    assert "can be written to" in dry_run.check_folder(tmp_path / "a/b")
    assert not Path(tmp_path / "a").exists()
