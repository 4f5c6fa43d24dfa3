import pytest

from bp_core.errors import InputError
from bp_core.models.load import load
from train.rewards.suits import SuitsReward, worth

RAW = "a red fox in a snowy forest"


@pytest.fixture(scope="module")
def reward():
    return SuitsReward("starter", None, 0.7)


def test_what_suits_is_worth_more_than_what_contradicts(reward):
    texts = [f"{RAW}, thick rust-red fur, bushy tail", f"{RAW}, tropical beach, sheet of music"]
    suits, contradicts = reward.score(texts, [RAW, RAW])
    assert suits.total > contradicts.total
    assert suits.total == suits.relevance


def test_nothing_added_is_worth_nothing(reward):
    assert worth(reward.model, RAW, RAW) == 0
    assert worth(reward.model, RAW, f"{RAW}, {RAW}") == 0


def test_a_full_stop_and_a_capital_change_little(reward):
    plain = worth(reward.model, "A fox sleeps", "A fox sleeps, bushy tail")
    ended = worth(reward.model, "A fox sleeps.", "A fox sleeps. Bushy tail.")
    assert ended == pytest.approx(plain, abs=1e-4)


def test_a_writer_that_does_not_judge_is_refused(monkeypatch):
    model = load("starter")
    monkeypatch.setattr(model, "suitability", None)
    monkeypatch.setattr("train.rewards.suits.load", lambda *args: model)
    with pytest.raises(InputError, match="judges no phrases"):
        SuitsReward("starter", None, 1.0)
