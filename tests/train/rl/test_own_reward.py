"""A reward of one's own: a function, or a folder without constants of the kept share."""

import pytest

from bp_core.errors import InputError
from bp_core.score.text_reward import bundled_kept, load_reward
from tests.bp_core.score.test_text_reward import change, reward_folder
from train.rl.arguments import RewardArguments
from train.rl.own_reward import FunctionReward

SOURCE = """
def longer(prompts, rewrites):
    return [len(y) - len(x) for x, y in zip(prompts, rewrites)]

def as_trl(completions, prompts, **kwargs):
    return [float(len(c)) for c in completions]

def few(prompts, rewrites):
    return [1.0]

def words(prompts, rewrites):
    return ["good"] * len(rewrites)

def nothing(prompts, rewrites):
    return [float("nan")] * len(rewrites)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def test_a_function_scores_rewrites(file):
    reward = RewardArguments(reward=f"{file}:longer").load()
    assert [s.total for s in reward.score(["a fox, red"], ["a fox"])] == [5.0]
    assert [s.total for s in FunctionReward(f"{file}:as_trl").score(["a", "bc"], ["x", "x"])] == [
        1,
        2,
    ]


def test_a_module_in_the_current_folder_is_one(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    file.rename(file.parent / "my_own_rewards.py")
    assert FunctionReward("my_own_rewards:longer").score(["ab"], ["a"])[0].total == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("few", "1 scores for 2"),
        ("words", "list of numbers"),
        ("nothing", "with nan"),
        ("absent", "has no function"),
    ],
)
def test_what_is_no_reward_is_said_in_a_line(file, name, message):
    with pytest.raises(InputError, match=message):
        FunctionReward(f"{file}:{name}").score(["a", "b"], ["a", "b"])


def test_a_place_that_is_none_is_said_in_a_line():
    for where, message in (("mine", "module:function"), ("no_such_module:f", "No module")):
        with pytest.raises(InputError, match=message):
            FunctionReward(where)


def test_a_folder_needs_no_constants_and_one_that_reads_raw_prompts_judges_relevance(tmp_path):
    plain = reward_folder(tmp_path / "plain")
    change(plain, kept=None)
    reward = load_reward(plain)
    [score] = reward.score(["a cat at sea"], ["a cat"])
    assert score.kept == 1 and score.relevance == pytest.approx(bundled_kept().z(1.0))
    both = reward_folder(tmp_path / "both", template="{raw} {prompt}</s>")
    reward = load_reward(both)
    assert reward.relevance.template.needs_raw and not reward.aesthetic.template.needs_raw
