"""Best-of-n pairs: what is chosen, what is not, and that workers change nothing."""

import random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bp_core.errors import InputError
from bp_core.rewriter import Candidate, Result
from tests.bp_core.score.test_text_reward import reward_folder
from train import best_of_n
from train.best_of_n import Weights, choose
from train.data.phrasing import People
from train.rewards.phrase_fit import Fit
from train.rl.options import Fitting, Option, composed, echoes, fitted, options
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
    assert choose([fits, gains], StockWords(), Weights(fit=0.1)) == fits
    assert choose([fits, gains], StockWords(), Weights(company=0.1)) == fits


class Length:
    """A reward of one for each word."""

    def score(self, texts, raw):
        assert len(raw) == len(texts)
        return [SimpleNamespace(total=float(len(text.split()))) for text in texts]


def result(*tails, prompt="a cat <lora:x:1>"):
    texts = [f"a cat, {', '.join(tail)} <lora:x:1>" for tail in tails]
    return Result(prompt, texts[0], tuple(
        Candidate(text, i, tail, 1.0, (), 5, -1.0, score=0.2)
        for i, (text, tail) in enumerate(zip(texts, tails, strict=True))
    ))  # fmt: skip


@pytest.mark.parametrize(("mode", "target"), [("expand", "oil, 8k"), ("rewrite", "a cat, oil, 8k")])
def test_a_target_is_what_the_mode_writes(mode, target):
    found = options(result(("oil", "8k")), mode, Length())
    assert found == [Option(target, ("oil", "8k"), 0.2)]


def test_of_rewrites_that_add_the_same_the_best_is_kept():
    best = Candidate("a cat, oil", 0, ("oil",), 1.0, (), 5, -1.0, score=0.3)
    other = Candidate("one cat, oil", 1, ("oil",), 1.0, (), 5, -1.0, score=0.2)
    found = options(Result("a cat", best.text, (best, other)), "rewrite", Length())
    assert found == [Option("a cat, oil", ("oil",), 0.3)]


def test_what_nobody_writes_is_cut_and_the_rest_scored_anew():
    rows = [("a cat", "oil, canvas, very old")] * 30 + [("a cat", "35mm, bokeh")] * 30
    people = People(
        [{"raw_prompt": r, "prompt": p, "mode": "expand", "source": "x"} for r, p in rows]
    )
    drafts = result(("oil", "canvas"), ("oil", "very oil", "canvas"), ("very old", "35mm", "oil"))
    whole, cut = options(drafts, "expand", Length(), people)
    assert (whole.target, whole.gain) == ("oil, canvas", 0.2)  # the second, cut, is the first
    assert (cut.target, cut.gain) == ("very old, oil", 3)
    assert whole.company > cut.company - 0.5
    # A free rewrite cannot be cut.
    assert [o.target for o in options(drafts, "rewrite", Length(), people)] == [
        "a cat, oil, canvas"
    ]


def test_the_phrases_of_several_rewrites_are_put_together():
    drafts = result(("oil on canvas", "very old"), ("soft warm light", "8k"))
    found = options(drafts, "expand", Length(), compose=64, rng=random.Random(0))
    assert [o.added for o in found[:2]] == [
        ("oil on canvas", "very old"),
        ("soft warm light", "8k"),
    ]
    made = found[2:]
    assert made and len({o.added for o in made}) == len(made)
    phrases = {phrase for o in found for phrase in o.added}
    for option in made:
        assert phrases.issuperset(option.added) and option.gain == len(
            " ".join(option.added).split()
        )
    # What stands first in what was written stands first.
    assert all(
        o.added.index("oil on canvas") < o.added.index("8k")
        for o in made
        if {"oil on canvas", "8k"} <= set(o.added)
    )
    again = options(drafts, "expand", Length(), compose=64, rng=random.Random(0))
    assert again == found
    # A free rewrite is prose: nothing is put together there.
    assert len(options(drafts, "rewrite", Length(), compose=64, rng=random.Random(0))) == 2


def test_what_does_not_fit_is_cut_and_the_rest_scored_anew():
    fitting = Fitting({"oil": 1.0, "canvas": 0.0, "fur": -2.0})
    drafts = result(("oil", "canvas"), ("oil", "fur"))
    whole, cut = options(drafts, "expand", Length(), fitting=fitting)
    assert (whole.added, whole.gain, whole.fit) == (("oil", "canvas"), 0.2, 0.5)
    assert (cut.added, cut.gain, cut.fit) == (("oil",), 1, 1)
    assert len(options(drafts, "rewrite", Length(), fitting=fitting)) == 1


def test_phrases_are_lent_to_what_is_put_together():
    fitting = Fitting({"oil": 0.0, "waves": 2.0, "a cat": 2.0}, ["waves", "a cat"], 1.0)
    found = options(result(("oil",)), "expand", Length(), None, fitting, 16, random.Random(0))
    assert {o.added for o in found} == {("oil",), ("oil", "waves")}  # a cat is there already
    # What fits is drawn sooner than what only gains.
    dull, fits = " ".join("abcdefgh"), " ".join("ijklmnop")
    fitting = Fitting({"oil": 0.0, dull: 0.0, fits: 99.0}, [dull, fits], 1.0)
    found = options(result(("oil",)), "expand", Length(), None, fitting, 1, random.Random(1))
    assert fits in found[1].added and dull not in found[1].added


def test_how_phrases_fit_is_told_of_each_prompt():
    def encode(texts):
        return np.array([[len(t), 1.0] for t in texts], np.float32)

    fit = Fit(encode, 2, {"8k": 20, "waves": 20, "rare": 2, "lake": 20}, ["lake"]).eval()
    results = [result(("oil", "Lake")), result(("waves",), prompt="a dog")]
    one, two = fitted(fit, results, 1, 0.5, [0, 1])
    assert set(one.nats) == {"8k", "waves", "oil", "Lake"} and one.weight == 0.5
    assert not one.fits("Lake")
    assert one.nats["oil"] != two.nats["oil"] and len(one.lent) <= 1
    assert fitted(fit, results, 1, 0.5, [0, 1])[0].lent == one.lent


def test_a_word_in_two_phrases_is_an_echo():
    assert echoes(["beautiful scenery", "fog", "beautiful valley"])
    assert not echoes(["beautiful scenery", "in the fog", "in the valley"])


def test_what_gains_more_is_drawn_sooner():
    dull, gold = " ".join("abcdefgh"), " ".join("ijklmnop")  # eight words each: both seldom fit
    worth = {dull: 0.0, gold: 1.0}
    drawn = [composed([(dull, gold)], worth, random.Random(i), list) for i in range(400)]
    assert drawn.count((gold,)) > 5 * drawn.count((dull,)) > 0
    assert drawn.count((dull, gold)) > 0


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


def test_only_what_people_write_is_learned_from_pairs(made, tmp_path):
    assert len(made("all"))
    path = tmp_path / "pairs.parquet"
    pd.DataFrame({"raw_prompt": ["a cat"], "prompt": ["oil"], "mode": "expand"}).to_parquet(path)
    with pytest.raises(InputError, match="0 rewrites"):
        made("none", "--pairs", str(path))


def test_a_rewriter_that_gains_nothing_is_an_error(made):
    with pytest.raises(InputError, match="higher --n"):
        made("none", "--words_min", "1000", "--rewrite_words_min", "1000")


def test_what_is_wrong_is_told_before_anything_is_written(made, monkeypatch):
    monkeypatch.setattr(best_of_n, "rewrite_all", lambda *_: pytest.fail("it went on"))
    with pytest.raises(InputError, match=r"train/collect\.py"):
        made("out", "--pairs", "nowhere.parquet")
    with pytest.raises(InputError, match="needs --pairs"):
        made("out", "--company_weight", "1")
    with pytest.raises(InputError, match="1 or more"):
        made("out", "--workers", "0")
    with pytest.raises(InputError, match=r"train\.starter\.fit"):
        made("out", "--fit", "nowhere")
    with pytest.raises(InputError, match="need --fit"):
        made("out", "--borrow", "4")


def test_phrases_that_suit_the_prompt_are_worth_more():
    suits, gains = Option("fog", ("fog",), 0.5, taste=0.9), Option("8k", ("8k",), 0.6, taste=0.5)
    assert choose([suits, gains], StockWords(), Weights()) == gains
    assert choose([suits, gains], StockWords(), Weights(taste=0.5)) == suits
