"""train/grpo.py: the same rewards through TRL's trainer."""

import pytest

from bp_core.drafter import Drafter
from bp_core.errors import InputError
from bp_core.models.load import load
from bp_core.rewriter import Rewriter
from bp_core.settings import Settings
from tests.train.test_ppo import work  # noqa: F401
from train import grpo
from train.rl.rewards import RolloutReward, Terms
from train.rl.rollouts import Prompt


def options(work, **more):  # noqa: F811
    fields = {
        "prompts": work / "prompts.txt",
        "base": work / "tiny",
        "aesthetic_reward": work / "a",
        "output_dir": work / "grpo",
        "mode": "expand",
        "weights": "float32",
        "max_steps": 2,
        "num_generations": 2,
        "per_device_train_batch_size": 4,
        "max_completion_length": 6,
        "report_to": "none",
        "bf16": "false",
        "use_cpu": "true",
        "kept_weight": 1,
    }
    return [str(x) for key, value in (fields | more).items() for x in (f"--{key}", value)]


def test_a_run_ends_with_a_model_for_the_rewriter(work):  # noqa: F811
    grpo.main(options(work))
    Rewriter(load(work / "grpo/model"))("a cat", n=1, max_new_tokens=4)
    cards = list((work / "grpo").glob("**/README.md"))
    assert cards == [work / "grpo/model/README.md"] and "None" not in cards[0].read_text()


def test_a_completion_is_scored_as_a_rollout_of_its_prompt(work):  # noqa: F811
    model = load(work / "tiny")
    seen = []

    class Count:
        def score(self, prompts, raw):
            from bp_core.score.text_reward import Score

            seen.append((list(prompts), list(raw)))
            return [Score(float(len(p)), 0.0, 0.0) for p in prompts]

    reward = RolloutReward(Count(), "none", Terms(end=5.0), guarded=False)
    prompts = [Prompt("a cat"), Prompt("the sea")]
    function = grpo.RewardFunction(model, reward, None, prompts, "expand", 8)
    logged = {}
    tail = model.tokenizer.encode(" at dusk", add_special_tokens=False).ids
    ids = [[*tail, model.eos_id], tail]
    scores = function(ids, [1, 0], log_metric=logged.__setitem__)
    assert seen[0] == (["the sea, at dusk", "a cat, at dusk"], ["the sea", "a cat"])
    assert scores == [16.0, 14.0 - 5.0]
    assert logged["kept"] == 1 and logged["score/end"] == -2.5


def test_prompts_with_control_tokens_are_left_out(work):  # noqa: F811
    model = load(work / "tiny")
    rows = grpo.fill(model, [Prompt("a <|expand|> cat"), Prompt("a cat")], "expand")
    assert rows == [{"prompt": "a cat<|expand|>", "index": 1}]


def test_a_row_is_what_inference_reads(work, dialect_writer):  # noqa: F811
    model = load(dialect_writer)
    texts = "a cat", "The cat sat in the snow."
    prompts = [Prompt("..."), Prompt("a cat <lora:x:1>"), Prompt(texts[1])]
    rows = grpo.fill(model, prompts, "expand", seed=4)
    read = [Drafter(model, text, Settings(seed=4 + i)) for i, text in enumerate(texts, 1)]
    assert [row["index"] for row in rows] == [1, 2] and read[0].notes
    assert [row["prompt"] for row in rows] == [model.decode(drafter.ids) for drafter in read]


def test_an_unknown_mode_is_an_error(work):  # noqa: F811
    with pytest.raises(InputError, match="expand or rewrite"):
        grpo.main(options(work, mode="draw"))
