"""Best-of-n pairs: what is chosen, what is not, and that workers change nothing."""

import pandas as pd
import pytest

from bp_core.errors import InputError
from bp_core.rewriter import Candidate, Result
from tests.bp_core.test_reward import reward_folder
from train import best_of_n
from train.best_of_n import Option, Weights, choose, options
from train.phrasing import Attested
from train.rl.rewards import StockWords

PROMPTS = ["a cat in the garden", "a lighthouse at dusk", "a red fox", "two boats"]


def option(added, gain):
    return Option(added, tuple(added.split(", ")), gain)


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


def test_phrases_that_fit_are_worth_more():
    fits, gains = Option("", (), 0.1, 1, -0.5), Option("", (), 0.2, -1, -2)
    assert choose([fits, gains], StockWords(), Weights()) == gains
    assert choose([fits, gains], StockWords(), Weights(relevance=0.1)) == fits
    assert choose([fits, gains], StockWords(), Weights(company=0.1)) == fits


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


def test_only_what_people_wrote_is_learned_from_pairs(made, tmp_path, monkeypatch):
    def given(prompts, modes, workers, how):
        apart = option("oil painting, 35mm", 0.3), option("oil painting, canvas", 0.1)
        return [[option("oil glow", 0.5), *apart] for _ in prompts]

    monkeypatch.setattr(best_of_n, "rewrite_all", given)
    rows = [("a cat", "oil painting, canvas")] * 30 + [("a photo of a cat", "35mm, bokeh")] * 30
    pairs = pd.DataFrame(rows, columns=["raw_prompt", "prompt"]).assign(mode="expand", source="x")
    pairs.to_parquet(tmp_path / "pairs.parquet")
    given_pairs = ["--pairs", str(tmp_path / "pairs.parquet")]
    assert set(made("gain", *given_pairs).added) == {"oil painting, 35mm"}
    assert set(made("fits", *given_pairs, "--company_weight", "1").added) == {
        "oil painting, canvas"
    }


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
        made("out", "--pairs", "nowhere.parquet")
    with pytest.raises(InputError, match="needs --pairs"):
        made("out", "--company_weight", "1")
    with pytest.raises(InputError, match="1 or more"):
        made("out", "--workers", "0")
    with pytest.raises(InputError, match="no encoder"):
        made("out", "--relevance_weight", "1", "--encoder", "nowhere")
