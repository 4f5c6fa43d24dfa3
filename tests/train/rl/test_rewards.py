"""What a rollout earns, term by term."""

from dataclasses import replace

import pytest
import torch

from bp_core.errors import InputError
from bp_core.score.text_reward import Score
from train.rl.image_reward import ImageReward
from train.rl.rewards import RolloutReward, StockWords, Terms, copied, shown
from train.rl.rollouts import Prompt, Rollout

FOX = Prompt("a red fox", given="a red fox, snow, morning")
OWL = Prompt("an owl")


class LengthReward:
    """A text is worth its number of words."""

    def score(self, prompts, raw):
        return [Score(float(len(p.split())), 0.0, 0.0) for p in prompts]


def a_rollout(prompt=FOX, added=("soft light", "deep snow at dawn"), **changes):
    text = ", ".join([prompt.raw, *added])
    fields = {
        "mode": "expand",
        "ids": [1],
        "response": [2, 0],
        "finished": True,
        "written": text,
        "text": text,
        "kept": 1.0,
        "added": added,
        "refused": 0.0,
    }
    return Rollout(prompt, **(fields | changes))


def scored(rollouts, terms=None, baseline="raw", guarded=True, stock=None):
    reward = RolloutReward(LengthReward(), baseline, terms or Terms(), guarded)
    return reward(rollouts, stock or StockWords())


@pytest.mark.parametrize("baseline, expected", [("none", 9), ("raw", 6), ("dataset", 4)])
def test_the_reward_is_above_the_baseline(baseline, expected):
    total, parts = scored([a_rollout()], baseline=baseline)
    assert total.tolist() == [expected]
    assert set(parts) == {"reward"}


def test_what_is_judged_is_the_guards_text_or_the_models():
    rollout = a_rollout(written="a red fox, one two")
    assert scored([rollout], guarded=True)[0].tolist() == [6]
    assert scored([rollout], guarded=False)[0].tolist() == [2]


def test_an_unknown_baseline_is_an_error():
    with pytest.raises(InputError, match="raw, dataset, none"):
        scored([a_rollout()], baseline="best")


@pytest.mark.parametrize(
    "term, changes, expected",
    [
        ("kept", {"kept": 0.75}, -0.5),
        ("length", {"added": ("soft light",)}, -2 * 6 / 8),
        ("length", {"added": ("word " * 45,)}, -2 * 15 / 30),
        ("length", {"added": ("soft light on deep snow at dawn today",)}, 0),
        ("end", {"finished": False}, -2),
        ("refused", {"refused": 0.25}, -0.5),
    ],
)
def test_each_term_by_hand(term, changes, expected):
    total, parts = scored([replace(a_rollout(), **changes)], Terms(**{term: 2.0}))
    assert parts[term].tolist() == pytest.approx([expected])
    assert total.tolist() == pytest.approx([float(parts["reward"]) + expected])


def test_a_term_at_weight_0_is_not_there():
    assert set(scored([a_rollout(kept=0.1, finished=False)])[1]) == {"reward"}


def test_copies_are_counted_among_the_rollouts_of_one_prompt():
    same = ("soft light", "golden hour glow")
    shares = copied([a_rollout(added=same), a_rollout(added=("soft light",)), a_rollout(OWL, same)])
    assert shares == pytest.approx([1 / 3, 1, 0])
    assert copied([a_rollout(added=())]) == [0.0]


def test_stock_words_cost_what_is_above_the_limit():
    stock = StockWords(steps=2)
    stock.add([("8k lights", "fog"), ("8K, light",), ("rain", "a lighting"), ()])
    assert stock.share("8k") == 0.5
    assert stock.commonest()[1] >= 0.5
    rollout = a_rollout(added=("8k", "an 8k fog"))
    _, parts = scored([rollout], Terms(stock=2.0, stock_limit=0.2), stock=stock)
    assert parts["stock"].tolist() == pytest.approx([-2 * (0.3 + 0.05)])


def test_stock_words_forget_old_steps_and_survive_a_checkpoint():
    stock = StockWords(steps=2)
    for additions in ([("8k",)], [("fog",)], [("rain",)]):
        stock.add(additions)
    again = StockWords(steps=2)
    again.load_state_dict(stock.state_dict())
    again.add([("snow",)])
    for found in (stock, again):
        assert found.share("8k") == 0
    assert stock.share("fog") == 0.5 and again.share("fog") == 0 and again.share("rain") == 0.5


def test_pictures_are_judged_against_the_raw_prompt_and_averaged_over_seeds():
    from bp_core.score.text_reward import Constants

    class Renderer:
        def render(self, prompts, seeds):
            return torch.tensor([[float(len(p)), float(s)] for p, s in zip(prompts, seeds)])

    class Pick:
        def score(self, images, prompts):
            return images[:, 1] + torch.tensor([float(len(p)) for p in prompts])

    class Beauty:
        def score(self, images):
            return images[:, 0]

    constants = Constants(1.0, 2.0), Constants(0.0, 1.0)
    reward = ImageReward(Renderer(), Pick(), Beauty(), *constants, seeds=(0, 4), batch=3, alpha=0.5)
    (found, other) = reward.score(["abc", "abcdef"], ["ab", "a"])
    assert (found.relevance, found.aesthetic) == ((2 + 2 - 1) / 2, 3)
    assert found.total == 0.5 * 1.5 + 0.5 * 3
    assert other.aesthetic == 6


def test_what_ranking_would_show_is_the_best_rollout_of_each_prompt():
    rollouts = [a_rollout(p, (w,)) for p, w in ((FOX, "fog"), (FOX, "rain"), (OWL, "mist"))]
    assert [r.added for r in shown(rollouts, torch.tensor([0.1, 0.5, 0.3]))] == [
        ("rain",),
        ("mist",),
    ]
