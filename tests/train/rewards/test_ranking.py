"""Figures of order: rank correlation, pairs, intervals, the noise ceiling."""

import numpy as np
import pytest

from train.rewards.ranking import (
    calibration,
    interval,
    noise_ceiling,
    ordered,
    pairwise_accuracy,
    report,
)


def test_ranking_figures_by_hand():
    truth, guess = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])
    assert pairwise_accuracy(truth, guess) == pytest.approx(2 / 3)
    assert ordered(np.array([1.0, -1.0, 0.0]), np.array([2.0, 0.0, 5.0])) == 0.75
    assert report(truth, guess, rounds=0)["spearman"] == pytest.approx(0.5)
    assert [b["n"] for b in calibration(np.arange(10.0), np.arange(10.0), 3)] == [4, 3, 3]
    low, high = interval(lambda rows: float(rows.mean()), 400)
    assert low < 199.5 < high


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_tell_nothing_and_end_no_training(rows):
    for rounds in (0, 9):
        one = report(np.ones(rows), np.ones(rows), rounds)
        assert one.pop("n") == rows and np.isnan(list(one.values())).all()
        assert one.keys() == report(np.arange(9), np.arange(9), rounds).keys() - {"n"}


def test_the_noise_ceiling_is_the_correlation_of_the_truth():
    rng = np.random.default_rng(0)
    quality = rng.normal(size=4000)
    images = quality[:, None] + rng.normal(size=(4000, 4)) * 2
    means, spreads = images.mean(1), images.std(1, ddof=1)
    found = noise_ceiling(np.full(4000, 4), spreads, means)
    assert found == pytest.approx(np.corrcoef(quality, means)[0, 1], abs=0.03)
    assert np.isnan(noise_ceiling(np.ones(5), np.zeros(5), np.ones(5)))
