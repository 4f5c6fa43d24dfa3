"""Best-of-n pairs: what is chosen, what is not, and that workers change nothing."""

import pandas as pd
import pytest

from bp_core.drafter import Drafter
from bp_core.errors import InputError
from bp_core.models.load import load
from bp_core.settings import Settings
from tests.bp_core.score.test_text_reward import reward_folder
from train import best_of_n
from train.best_of_n import Weights, choose, pairs
from train.rl.options import Option
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


def test_pairs_of_a_writer_of_dialects_begin_with_its_comma_and_have_its_notes(dialect_writer):
    model = load(dialect_writer)
    several = [[option("soft light", 0.2)], [option("oil", 0.2)]]
    rows = pairs(["a cat", "a lighthouse."], ["expand"], several, Weights(), model, seed=3)
    assert [row["prompt"] for row in rows] == [", soft light", ", oil"]
    # As the rewriter reads it, or the comma would stand behind a full stop.
    assert [row["raw_prompt"] for row in rows] == ["a cat", "a lighthouse"]
    for place, row in enumerate(rows):
        read = Settings(dialect="tags", seed=(3 << 32) + place)
        assert row["dialect"] == "tags"
        assert row["notes"].split("; ") == Drafter(model, row["raw_prompt"], read).notes
    (again,) = pairs(["a cat"], ["rewrite"], several[:1], Weights(), model)
    assert again["prompt"] == "soft light"


@pytest.fixture
def made(model_folder, tmp_path):
    """Runs the script on a tiny model; the written training pairs."""
    reward = reward_folder(tmp_path / "reward")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(PROMPTS))

    def run(out, *more):
        best_of_n.main(
            ["--prompts", str(prompts), "--model", str(model_folder), "--reward", str(reward),
             "--n", "4", "--words_min", "1", "--rewrite_words_min", "1",
             "--out", str(tmp_path / out), *more]
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


def test_a_writer_that_ranks_by_itself_is_ranked_by_the_reward():
    rewriter = best_of_n._load(None, "starter", None, 1.0)
    result = rewriter("a red fox", n=2, seed=1)
    texts = ["a red fox", *(c.text for c in result.candidates)]
    base, *scores = rewriter.reward.score(texts, raw=texts[:1] * 3)
    gains = [c.score for c in result.candidates]
    assert gains == pytest.approx([s.total - base.total for s in scores], abs=1e-3)


def test_what_suits_chooses_beside_beauty():
    reward = best_of_n._load(None, "starter", "starter", 0.9).reward
    raw, text = "a red fox", "a red fox, bushy tail"
    (score,) = reward.score([text], [raw])
    assert score.total == pytest.approx(0.9 * score.relevance + 0.1 * score.aesthetic)
    assert best_of_n._load(None, "starter", "starter", 1.0).reward.aesthetic is None


def test_a_rewriter_that_gains_nothing_is_an_error(made):
    with pytest.raises(InputError, match="higher --n"):
        made("none", "--words_min", "1000", "--rewrite_words_min", "1000")


def test_what_is_wrong_is_told_before_anything_is_written(made, monkeypatch):
    monkeypatch.setattr(best_of_n, "rewrite_all", lambda *_: pytest.fail("it went on"))
    with pytest.raises(InputError, match="1 or more"):
        made("out", "--workers", "0")
    with pytest.raises(InputError, match="compose not below 0"):
        made("out", "--compose", "-1")


def test_phrases_that_suit_the_prompt_are_worth_more():
    suits, gains = Option("fog", ("fog",), 0.5, taste=0.9), Option("8k", ("8k",), 0.6, taste=0.5)
    assert choose([suits, gains], StockWords(), Weights()) == gains
    assert choose([suits, gains], StockWords(), Weights(taste=0.5)) == suits
