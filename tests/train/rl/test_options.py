"""What the best of n can be chosen from: cut, composed, judged."""

import random
from types import SimpleNamespace

import numpy as np
import pytest

from bp_core.rewriter import Candidate, Result
from train.data.phrasing import People
from train.rewards.phrase_fit import Fit
from train.rl.options import Fitting, Option, composed, echoes, fitted, options


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
