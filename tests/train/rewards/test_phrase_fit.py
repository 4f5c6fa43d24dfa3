"""What fits behind a prompt, learned from pairs."""

import numpy as np
import pytest
import torch

from bp_core.errors import InputError
from train.rewards.phrase_fit import above, learn, tails

SEA, CITY = "a ship at sea", "a street in a city"
PAIRS = [
    pair
    for i in range(400)
    for pair in [
        (f"{SEA} {i}", "waves"), (f"{SEA} on day {i}", "8k"),
        (f"{CITY} {i}", "neon"), (f"{CITY} on day {i}", "8k"),
    ]
]  # fmt: skip


def encode(texts):
    """Vectors of norm 1 by the words of a text."""
    words = ("sea", "city", "waves", "neon", "8k", "")
    counts = np.array([[float(word in t.lower()) for word in words] for t in texts])
    return (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)


def test_what_people_put_behind_such_prompts_fits():
    fit = learn(PAIRS, encode)
    texts = ["ships at sea", "a street in the city"], ["waves", "neon", "8k"]
    with torch.inference_mode():
        nats = fit.products(*(torch.from_numpy(encode(t)) for t in texts))
    sea, city = nats - nats.mean(0)
    assert sea[0] > 0.3 and city[1] > 0.3
    assert abs(sea[2]) < 0.3  # what stands behind everything tells nothing


def test_what_was_written_once_is_not_learned():
    with pytest.raises(InputError, match="give more pairs"):
        learn([(SEA, "waves"), (CITY, "neon")], encode)


def test_tails_are_what_people_wrote():
    row = {"raw_prompt": "a cat", "prompt": "Oil, 8k", "mode": "expand"}
    assert tails([row, row | {"mode": "rewrite"}]) == [("a cat", "oil"), ("a cat", "8k")]


def test_area_under_the_curve():
    assert above([1, 2], [0, 0.5]) == 1 and above([1], [1]) == 0.5 and above([0, 1], [0, 1]) == 0.5
