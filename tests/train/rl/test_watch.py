"""What counts as a change between evaluations, and the alarm of over-optimisation."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from train.rl.watch import Watch, change, spread

N = 64


def evaluation(reward=0.0, judge=0.0, kept=1.0, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    prompts = np.random.default_rng(99).normal(0, 0.5, N)  # easy and hard ones
    each = {"reward": reward + prompts, "judge": judge + prompts, "kept": np.full(N, kept)}
    return {f"expand/{k}": (v + rng.normal(0, noise, N)).tolist() for k, v in each.items()}


def test_the_interval_is_of_paired_differences():
    rng = np.random.default_rng(1)
    before, after = rng.normal(0, 1, 20), rng.normal(0.1, 1, 20)
    found = change(before, after)
    expected = ttest_rel(after, before).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    wide = change(before, after, tries=10)
    assert wide.low < found.low and wide.high > found.high
    assert change([1.0], [0.0]).high == float("inf") and spread([1.0]) == 0


def test_a_fall_of_judge_or_words_while_the_reward_rises_is_told():
    history = [evaluation(0.1, 0.2), evaluation(0.3, 0.4, noise=0.05)]
    assert Watch()(history) == "" and Watch()(history[:1]) == ""
    worse = [*history, evaluation(0.5, 0.25, noise=0.05, seed=1)]
    assert "judge fell from 0.4" in Watch()(worse) and "more than noise" in Watch()(worse)
    lost = [*history, evaluation(0.5, 0.5, kept=0.9, noise=0.05, seed=1)]
    assert "kept fell" in Watch()(lost)
    gave_way = [*history, evaluation(0.2, 0.25, noise=0.05, seed=1)]
    assert Watch()(gave_way) == ""


def test_a_fall_too_small_to_matter_is_none():
    history = [evaluation(0.1, 0.2), evaluation(0.2, 0.2, kept=0.995)]
    assert Watch()(history) == "" and "kept" in Watch(kept_drop=0.001)(history)


def test_noise_is_no_alarm_where_a_fixed_limit_would_cry():
    alarms, cries = 0, 0
    for run in range(40):
        history = [evaluation(0.1 * i, noise=0.3, seed=1000 * run + i) for i in range(12)]
        kept = [{k: v for k, v in row.items() if "kept" not in k} for row in history]
        means = [np.mean(row["expand/judge"]) for row in history]
        alarms += any(Watch()(kept[: i + 1]) for i in range(1, 12))
        cries += any(max(means[:i]) - means[i] > 0.1 for i in range(1, 12))
    assert alarms <= 6 and cries >= 20


def test_a_fall_that_is_small_but_sure_is_told():
    # A tenth of how far prompts differ among themselves.
    history = [evaluation(0.1, 0.2, noise=0.05), evaluation(0.2, 0.13, noise=0.05, seed=1)]
    assert "judge" in Watch()(history)
