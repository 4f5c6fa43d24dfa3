"""Best-of-n pairs: what is chosen, what is not, and that workers change nothing."""

import numpy as np
import pandas as pd
import pytest

from bp_core.errors import InputError
from bp_core.rewriter import Candidate, Result
from tests.bp_core.test_reward import reward_folder
from train import best_of_n
from train.best_of_n import Attested, Option, Relevance, Weights, choose, options
from train.rl.rewards import StockWords

PROMPTS = ["a cat in the garden", "a lighthouse at dusk", "a red fox", "two boats"]


def option(added, gain):
    return Option(added, (added,), gain)


def test_what_gains_most_is_chosen():
    several = [option("soft light", 0.1), option("oil painting", 0.3), option("8k", 0.2)]
    assert choose(several, StockWords(), Weights()) == several[1]


def test_stock_words_are_dear():
    stock = StockWords()
    stock.add([["oil painting"]] * 10)
    several = [option("soft light", 0.1), option("oil painting", 0.3)]
    assert choose(several, stock, Weights(0.5, 0.06)) == several[0]


def test_nothing_is_learned_where_nothing_gains():
    assert choose([option("8k", -0.1)], StockWords(), Weights()) is None
    assert choose([], StockWords(), Weights()) is None


def test_what_is_near_its_prompt_alone_is_relevant():
    texts = {"a bath": (1, 0), "a hill": (0, 1), "tiles": (0.9, 0.1), "8k": (0.7, 0.7)}
    relevance = Relevance(
        ["a bath", "a hill"], ["tiles", "8k"], lambda wanted: np.array([texts[t] for t in wanted])
    )
    assert relevance("a bath", ["tiles"]) > 0.9 > 0 > relevance("a hill", ["tiles"])
    assert relevance("a bath", ["8k"]) == relevance("a hill", ["8k"]) == 0
    assert relevance("a bath", ["tiles", "8k"]) == relevance("a bath", ["tiles"]) / 2
    near, far = (Option("", (), gain, nearness) for gain, nearness in ((0.1, 1), (0.2, -1)))
    assert choose([near, far], StockWords(), Weights()) == far
    assert choose([near, far], StockWords(), Weights(relevance=0.1)) == near


def test_phrases_are_attested_by_words_in_a_row():
    attested = Attested(["soft light, 8k", "very soft evening light", "Soft evening"])
    assert attested("soft light") and attested("8k")
    assert attested("Very soft evening") and attested("soft evening light")
    assert not attested("very soft light")  # three words that nobody wrote
    assert not attested("very soft") and not attested("evening light")  # half a phrase each
    assert not attested("8k light")


@pytest.mark.parametrize(("mode", "target"), [("expand", "oil, 8k"), ("rewrite", "a cat, oil, 8k")])
def test_a_target_is_what_the_mode_writes(mode, target):
    text = "a cat, oil, 8k <lora:x:1>"
    candidate = Candidate(text, 0, ("oil", "8k"), 1.0, (), 5, -1.0, score=0.2)
    assert options(Result("a cat <lora:x:1>", text, (candidate,)), mode) == [
        Option(target, ("oil", "8k"), 0.2)
    ]


@pytest.fixture
def made(model_folder, tmp_path):
    """Runs the script on a tiny model; the written training pairs."""
    reward = reward_folder(tmp_path / "reward")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(PROMPTS))

    def run(out, *more):
        best_of_n.main(
            ["--prompts", str(prompts), "--model", str(model_folder), "--reward", str(reward),
             "--n", "4", "--words_min", "1", "--out", str(tmp_path / out), *more]
        )  # fmt: skip
        parts = [pd.read_parquet(tmp_path / out / f"{n}.parquet") for n in ("train", "validation")]
        return pd.concat(parts)

    return run


def test_pairs_are_those_of_any_number_of_workers(made, monkeypatch):
    monkeypatch.setattr(best_of_n, "_PART", 2)
    one, two = made("one"), made("two", "--workers", "2")
    pd.testing.assert_frame_equal(one, two)
    assert (one.gain > 0).all() and set(one.raw_prompt) <= set(PROMPTS)
    assert set(one["mode"]) <= {"expand", "rewrite"} and (one.source == "best").all()


def test_earlier_rounds_are_learned_again_where_attested(tmp_path):
    rows = [
        {"raw_prompt": "a cat", "prompt": added, "mode": "expand", "source": "best",
         "added": added, "gain": 0.1}
        for added in ("soft light, 8k", "soft, 8k")
    ]  # fmt: skip
    best_of_n.write([rows[1], rows[1]], rows[:1], tmp_path)
    assert len(pd.read_parquet(tmp_path / "validation.parquet")) == 1
    again = best_of_n.earlier(str(tmp_path / "train.parquet"), Attested(["soft light, 8k"]))
    assert again == rows[:1]
    with pytest.raises(InputError, match=r"no train\.parquet"):
        best_of_n.earlier(str(tmp_path / "none.parquet"), best_of_n.anything)


def test_a_rewriter_that_gains_nothing_is_an_error(made):
    with pytest.raises(InputError, match="higher --n"):
        made("none", "--words_min", "1000")


def test_what_is_wrong_is_told_before_anything_is_written(made, monkeypatch):
    monkeypatch.setattr(best_of_n, "rewrite_all", lambda *_: pytest.fail("it went on"))
    with pytest.raises(InputError, match=r"train/collect\.py"):
        made("out", "--attested", "nowhere.parquet")
    with pytest.raises(InputError, match="1 or more"):
        made("out", "--workers", "0")
    with pytest.raises(InputError, match="no encoder"):
        made("out", "--relevance_weight", "1", "--encoder", "nowhere")
