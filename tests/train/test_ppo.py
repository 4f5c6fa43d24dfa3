"""Whole runs of train/ppo.py on a tiny random model: results, resuming, failures, processes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bp_core.errors import InputError
from bp_core.models.load import load
from bp_core.rewriter import Rewriter
from bp_core.score.text_reward import Reward, Score
from tests.bp_core.score.test_text_reward import reward_folder
from tests.train.bases import write_family
from train import ppo
from train.rl import checkpoint
from train.rl.experience import minibatches
from train.rl.watch import Watch

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = ["a cat in the garden", "a lighthouse", "sharp focus", "the sea at dusk", "two cats"]


@pytest.fixture
def work(tmp_path, model_folder):
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    reward_folder(tmp_path / "a")
    reward_folder(tmp_path / "b", pooling="mean")
    return tmp_path


@pytest.fixture(params=["bloom", "llama"])
def base(request, work):
    """A tiny random network of a family."""
    if request.param == "bloom":
        return work / "tiny"
    folder = write_family(work / request.param, request.param)
    template = {"name": "plain", "rewrite": "{raw}:", "expand": "{raw},"}
    stated = {"kind": "rewriter", "template": template}
    (folder / "beautifulprompt.json").write_text(json.dumps(stated))
    return folder


def options(work, out="run", steps=4, **more):
    fields = {
        "prompts": work / "prompts.txt",
        "base": work / "tiny",
        "aesthetic_reward": work / "a",
        "output_dir": work / out,
        "steps": steps,
        "rollouts_per_step": 8,
        "samples_per_prompt": 2,
        "minibatch_size": 4,
        "micro_batch_size": 2,
        "epochs": 2,
        "trained_layers": 1,
        "rewrite_share": 0.5,
        "max_new_tokens": 6,
        "learning_rate": 1e-2,
        "save_steps": 1,
        "kept_weight": 1,
        "stock_weight": 1,
        "threads": 1,
        "weights": "float32",
    }
    return [str(x) for key, value in (fields | more).items() for x in (f"--{key}", value)]


def run(work, out="run", **more):
    ppo.main(options(work, out, **more))
    return curve(work / out)


def curve(folder):
    """The log without what depends on the clock."""
    rows = checkpoint.read_log(folder)
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]


def test_a_run_ends_with_a_model_a_log_and_a_report(work):
    evaluated = {"eval_prompts": work / "prompts.txt", "judge": work / "b", "eval_steps": 2}
    rows = run(work, **evaluated)
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4]
    assert {"eval/expand/judge", "eval/rewrite/kept", "eval/expand/reward"} <= set(rows[0])
    assert {"score/kept", "kl", "beta", "loss/policy", "loss/value"} <= set(rows[1])
    by_prompt = checkpoint.read_log(work / "run", "evaluations.jsonl")
    assert [row["step"] for row in by_prompt] == [0, 2, 4]
    for row, each in zip([rows[0], rows[2], rows[4]], by_prompt):
        for name in ("expand/reward", "expand/judge", "rewrite/kept"):
            assert len(each[name]) == len(PROMPTS)
            assert sum(each[name]) / len(PROMPTS) == pytest.approx(row[f"eval/{name}"], abs=1e-4)
    page = (work / "run/report.html").read_text()
    assert page.index("what it means") < page.index("<svg")
    assert all(f">{x}<" in page for x in ("reward, expand", "judge, rewrite", "KL"))
    assert "<svg" in page and "a lighthouse" in page and "http" not in page.partition("<svg")[0]
    assert list((work / "run").glob("events.out.tfevents.*"))
    assert len(list((work / "run").glob("checkpoint-*"))) == 2
    result = Rewriter(load(work / "run/model"))("a cat", n=2, max_new_tokens=4)
    assert result.prompt == "a cat"
    trained = load(work / "run/model", dtype="float32").network.state_dict()
    before = load(work / "tiny", dtype="float32").network.state_dict()
    assert {k.split(".")[0] for k in before if not torch.equal(before[k], trained[k])} == {
        "blocks",
        "norm",
    }


def test_the_first_step_has_no_divergence_and_the_next_has(work):
    rows = run(work, steps=2)
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-5)
    assert abs(rows[1]["kl"]) > 1e-4


def test_a_writer_that_reads_notes_learns_and_keeps_its_concepts(work, dialect_writer):
    rows = run(work, steps=2)
    assert len(rows) == 2 and all(row["score/reward"] == row["score/reward"] for row in rows)
    model = load(work / "run/model")
    assert model.template.notes and model.concepts.named("a cat")


def test_reward_rises(work, monkeypatch):
    # Worth: how many of the letters are e.
    def score(self, prompts, raw):
        return [Score(p.count("e") / max(1, len(p)), 0.0, 0.0) for p in prompts]

    monkeypatch.setattr(Reward, "score", score)
    terms = {"kept_weight": 0, "stock_weight": 0, "rewrite_share": 1, "guarded": "false"}
    sizes = {"rollouts_per_step": 32, "minibatch_size": 32, "micro_batch_size": 32, "epochs": 4}
    free = {"trained_layers": 2, "kl_beta": 0, "kl_target": 0, "learning_rate": 3e-2}
    rows = run(work, steps=30, save_steps=30, **terms, **sizes, **free)
    rewards = [row["score/reward"] for row in rows]
    assert sum(rewards[-8:]) / 8 > sum(rewards[:8]) / 8 + 0.03


@pytest.fixture
def fresh_accelerate():
    """Accelerate keeps a process's precision for good."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.usefixtures("fresh_accelerate")
def test_a_resumed_run_is_an_unbroken_one(work, bf16):
    whole = run(work, "whole", steps=5, bf16=bf16)
    run(work, "parts", steps=2, bf16=bf16)
    assert run(work, "parts", steps=5, resume="true", bf16=bf16) == whole
    weights = [load(work / d / "model", dtype="float32").network for d in ("whole", "parts")]
    for a, b in zip(*(n.parameters() for n in weights)):
        assert torch.equal(a, b)


def test_what_was_logged_before_the_first_checkpoint_is_logged_once(work):
    evaluated = {"eval_prompts": work / "prompts.txt", "eval_steps": 2}
    whole = run(work, "whole", steps=2, **evaluated)
    (work / "killed").mkdir()
    for name in ("log.jsonl", "evaluations.jsonl"):
        (work / "killed" / name).write_text((work / "whole" / name).read_text())
    assert run(work, "killed", steps=2, resume="true", **evaluated) == whole
    again = checkpoint.read_log(work / "killed", "evaluations.jsonl")
    assert again == checkpoint.read_log(work / "whole", "evaluations.jsonl")


def test_a_killed_run_resumes_with_the_numbers_of_an_unbroken_one(work, base):
    whole = run(work, "whole", steps=12, base=base)
    kills = int(os.environ.get("PPO_KILLS", "2"))
    rng = random.Random(4)
    command = [
        sys.executable,
        str(ROOT / "train/ppo.py"),
        *options(work, "killed", 12, resume="true", base=base),
    ]
    for _ in range(kills):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=ROOT)
        before = len(curve(work / "killed"))
        deadline = time.monotonic() + 300
        # Somewhere within a step, or the writing of its checkpoint.
        while process.poll() is None and len(curve(work / "killed")) <= before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(rng.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert run(work, "killed", steps=12, resume="true", base=base) == whole


def launch(work, out, steps, **more):
    """A run of two processes; its curve."""
    # On a CPU `accelerate launch` starts one process, however many it is told; torchrun starts two.
    how = "--standalone --nproc_per_node 2".split()
    command = [sys.executable, "-m", "torch.distributed.run", *how, str(ROOT / "train/ppo.py")]
    command += options(work, out, steps, **more)
    env = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, env=env)
    assert found.returncode == 0, found.stderr[:6000]
    assert json.loads((work / out / "config.json").read_text())["processes"] == 2
    return curve(work / out)


@pytest.mark.parametrize(("shard", "lora_rank"), [(False, 0), (True, 0), (True, 2)])
def test_two_processes_have_the_losses_of_one(work, base, shard, lora_rank):
    more = {"base": base, "lora_rank": lora_rank}
    more |= {"eval_prompts": work / "prompts.txt", "judge": work / "b"}
    one = run(work, "one", steps=3, **more)
    for a, b in zip(one, launch(work, "two", steps=3, shard=shard, **more), strict=True):
        assert b == pytest.approx(a, abs=1e-4)


def test_shards_go_on_from_a_whole_checkpoint_and_back(work):
    run(work, "one", steps=4)
    run(work, "two", steps=1)
    launch(work, "two", steps=3, shard=True, resume=True)
    run(work, "two", steps=4, resume=True)
    for a, b in zip(curve(work / "one"), curve(work / "two"), strict=True):
        assert b == pytest.approx(a, abs=1e-4)


def test_adapters_train_and_are_merged(work):
    pytest.importorskip("peft")
    rows = run(work, "lora", steps=2, lora_rank=2)
    assert abs(rows[1]["kl"]) > 1e-6
    Rewriter(load(work / "lora/model"))("a cat", n=1, max_new_tokens=4)


@pytest.mark.parametrize("broken", ["nan", "memory", "disk"])
def test_a_failure_leaves_a_checkpoint_to_go_on_from(work, monkeypatch, broken):
    calls = {"n": 0}

    def third(real, wrong):
        def call(*args, **kwargs):
            calls["n"] += 1
            return wrong(*args) if calls["n"] == 3 else real(*args, **kwargs)

        return call

    def raising(error):
        def raise_it(*args):
            raise error

        return raise_it

    with monkeypatch.context() as patch:
        if broken == "nan":
            bad = torch.full((8,), float("nan"))
            nan = lambda *args: (bad, {"reward": bad})  # noqa: E731
            patch.setattr(ppo.RolloutReward, "__call__", third(ppo.RolloutReward.__call__, nan))
        elif broken == "memory":
            oom = raising(torch.OutOfMemoryError("CUDA out of memory"))
            patch.setattr(ppo, "experience", third(ppo.experience, oom))
        else:
            full = raising(OSError(28, "No space left on device"))
            patch.setattr(torch, "save", third(torch.save, full))
        with pytest.raises(ppo.BeautifulPromptError) as caught:
            run(work, steps=5)
    assert "\n" not in str(caught.value)
    assert {"nan": "reward", "memory": "micro_batch_size", "disk": "--resume true"}[broken] in str(
        caught.value
    )
    assert checkpoint.latest_step(work / "run") == 2
    assert run(work, steps=5, resume="true") == run(work, "whole", steps=5)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"no_such_key": 1}, "no_such_key"),
        ({"prompts": "nowhere.txt"}, "nowhere.txt"),
        ({"minibatch_size": 3}, "multiple"),
        ({"trained_layers": 9}, "2 layers"),
        ({"reward_baseline": "dataset"}, "column prompt"),
        ({"lr_scheduler_type": "up"}, "lr_scheduler_type"),
        ({"samples_per_prompt": 1, "copies_weight": 1}, "samples_per_prompt"),
        ({"steps": "many"}, "steps"),
    ],
)
def test_a_wrong_setting_is_one_line_before_any_training(work, changes, message):
    with pytest.raises((InputError, SystemExit)) as caught:
        run(work, **changes)
    if isinstance(caught.value, InputError):
        assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (work / "run/log.jsonl").exists()


def test_an_unknown_key_in_a_config_is_named(work):
    (work / "c.yaml").write_text("steps: 2\nlearning_speed: 3\n")
    with pytest.raises(InputError, match="learning_speed"):
        ppo.main(["--config", str(work / "c.yaml")])


@pytest.mark.parametrize("content", ["", "\n\n", "!!!\n"])
def test_a_file_without_prompts_is_an_error(work, content):
    (work / "prompts.txt").write_text(content)
    with pytest.raises(InputError, match="no prompt with words"):
        run(work)


def test_a_reward_with_another_tokenizer_is_an_error(work):
    path = work / "a/tokenizer.json"
    path.write_text(path.read_text().replace('"!"', '"¡¡"'))
    with pytest.raises(ppo.BeautifulPromptError, match=r"tokenizer\.json"):
        run(work)


def test_a_full_disk_is_an_error_before_any_training(work, monkeypatch):
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="free some space"):
        run(work)


def test_a_run_goes_on_with_other_weights_and_nothing_else_changed(work):
    run(work, steps=1)
    with pytest.raises(InputError, match="--resume true"):
        run(work, steps=2)
    with pytest.raises(InputError, match="another learning_rate"):
        run(work, steps=2, resume="true", learning_rate=1)
    rows = run(work, steps=2, resume="true", end_weight=1)
    assert "score/end" not in rows[0] and "score/end" in rows[1]


def test_minibatches_are_the_same_for_any_number_of_processes():
    found = list(minibatches(12, 3, (1, 2)))
    assert sorted(i for rows in found for i in rows) == list(range(12))
    for rows in found:
        # A process of four holds three neighbours, one of each minibatch.
        assert sorted(i // 3 for i in rows) == [0, 1, 2, 3]


def test_a_run_stops_when_told_to(work, monkeypatch):
    monkeypatch.setattr(Watch, "__call__", lambda self, history: "over-optimised: x")
    evaluated = {"eval_prompts": work / "prompts.txt", "judge": work / "b", "eval_steps": 2}
    rows = run(work, steps=6, stop_when_over_optimised="true", **evaluated)
    assert rows[-1]["step"] == 2 and rows[-1]["flag"]
    page = (work / "run/report.html").read_text()
    assert "2 warnings" in page and "over-optimised: x" in page
    json.loads((work / "run/config.json").read_text())
