"""What the best of n can be chosen from: cut, composed, judged."""

import random
from types import SimpleNamespace

import pytest

from bp_core.rewriter import Candidate, Result
from train.rl.options import Option, composed, echoes, options


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


class Taste:
    """Only what it is told to does not suit."""

    def __init__(self, *bad):
        self.bad = bad

    def of(self, prompt):
        return lambda phrases: [0.1 if phrase in self.bad else 0.7 for phrase in phrases]


def test_what_does_not_suit_is_cut_and_the_rest_scored_anew():
    drafts = result(("oil", "canvas"), ("oil", "fur"))
    whole, cut = options(drafts, "expand", Length(), taste=Taste("fur"))
    assert (whole.added, whole.gain, whole.taste) == (("oil", "canvas"), 0.2, pytest.approx(0.7))
    assert (cut.added, cut.gain) == (("oil",), 1)
    # A free rewrite cannot be cut.
    assert len(options(drafts, "rewrite", Length(), taste=Taste("fur"))) == 1


def test_a_word_in_two_phrases_is_an_echo():
    assert echoes(["beautiful scenery", "fog", "beautiful valley"])
    assert not echoes(["beautiful scenery", "in the fog", "in the valley"])


def test_what_gains_more_is_drawn_sooner():
    dull, gold = " ".join("abcdefgh"), " ".join("ijklmnop")  # eight words each: both seldom fit
    worth = {dull: 0.0, gold: 1.0}
    drawn = [composed([(dull, gold)], worth, random.Random(i), list) for i in range(400)]
    assert drawn.count((gold,)) > 5 * drawn.count((dull,)) > 0
    assert drawn.count((dull, gold)) > 0
