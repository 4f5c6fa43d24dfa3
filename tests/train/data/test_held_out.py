"""Which rows validate: clusters stay whole, every part gets some, one is left to learn from."""

import numpy as np
import pytest

from train.data.held_out import held_out, parts


def test_clusters_stay_whole_and_a_part_gets_its_share():
    ids = np.repeat(np.arange(100), 3)
    np.random.default_rng(0).shuffle(ids)
    part = parts(ids, [0.1, 0.25], seed=1)
    of = {i: set(part[ids == i]) for i in range(100)}
    assert all(len(numbers) == 1 for numbers in of.values())
    assert np.bincount([min(numbers) for numbers in of.values()]).tolist() == [65, 10, 25]
    assert (parts(ids, [0.1, 0.25], seed=1) == part).all()
    assert (parts(ids, [0.1, 0.25], seed=2) != part).any()


@pytest.mark.parametrize(
    ("clusters", "shares", "counts"),
    [
        (4, [0.01], [3, 1]),  # a part gets one at least
        (4, [1.0], [1, 3]),  # one is left to learn from
        (2, [0.5, 0.5], [1, 1]),
        (1, [0.5], [1]),
    ],
)
def test_few_clusters(clusters, shares, counts):
    assert np.bincount(parts(range(clusters), shares, seed=0)).tolist() == counts


def test_by_hash_capitals_make_no_other_prompt():
    prompts = [f"prompt {i}" for i in range(3300)]
    held = [held_out(p) for p in prompts]
    assert 60 < sum(held) < 140 and held == [held_out(p.upper()) for p in prompts]
