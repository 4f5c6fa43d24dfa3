"""What fits behind a prompt: learned from pairs, stored, drawn from."""

import numpy as np
import pytest

from bp_core.errors import InputError
from train.rewards.phrase_fit import Fit, above, copied, learn, tails

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


@pytest.fixture(scope="module")
def fit():
    return learn(PAIRS, encode)


def test_what_people_put_behind_such_prompts_fits(fit):
    nats = fit.nats(["ships at sea", "a street in the city"], ["Waves", "neon", "8k"])
    assert nats.shape == (2, 3)
    assert nats[0, 0] > 0.3 > -0.3 > nats[0, 1] and nats[1, 1] > 0.3 > -0.3 > nats[1, 0]
    assert abs(nats[:, 2]).max() < 0.3  # what stands behind everything tells nothing
    # Each by itself, and known phrases again, are the same.
    np.testing.assert_allclose(fit.nats(["ships at sea"], ["neon"])[0, 0], nats[0, 1], atol=1e-5)


def test_only_what_fits_is_drawn(fit):
    nats = fit.nats([SEA], fit.common)[0]
    drawn = fit.draw(nats, 2, np.random.default_rng(0))
    assert "waves" in drawn and "neon" not in drawn
    assert fit.draw(nats, 0, np.random.default_rng(0)) == []


def test_rare_and_long_phrases_are_not_put_forward():
    rare = [(f"{SEA} in year {i}", "gulls") for i in range(3)]
    long = [(f"{SEA} in year {i}", "a gull that sits on a mast") for i in range(3, 23)]
    found = learn([*PAIRS, *rare, *long, (SEA, "once")], encode)
    assert found.counts["gulls"] == 3 and "once" not in found.counts
    assert set(found.common) == {"waves", "8k", "neon"}


def test_what_one_person_wrote_again_and_again_is_not_put_forward():
    spam = [(f"a dragon {i}", phrase) for i in range(20) for phrase in ("blood lake", "waves")]
    assert copied([*PAIRS, *spam]) == {"blood lake"}  # waves stand elsewhere, too
    found = learn([*PAIRS, *spam], encode)
    assert "blood lake" in found.counts and "blood lake" not in found.common


def test_it_is_stored(fit, tmp_path):
    fit.save(tmp_path)
    again = Fit.load(tmp_path, encode)
    assert again.common == fit.common and again.copied == fit.copied
    prompts, phrases = [SEA, CITY], ["waves", "gulls"]
    np.testing.assert_allclose(again.nats(prompts, phrases), fit.nats(prompts, phrases), atol=1e-6)
    with pytest.raises(InputError, match=r"train\.starter\.fit"):
        Fit.load(tmp_path / "none", encode)


def test_tails_are_what_people_wrote():
    row = {"raw_prompt": "a cat", "prompt": "Oil, 8k", "mode": "expand", "source": "x"}
    rows = [row, row | {"source": "borrowed"}, row | {"mode": "rewrite"}]
    assert tails(rows) == [("a cat", "oil"), ("a cat", "8k")]


def test_area_under_the_curve():
    assert above([1, 2], [0, 0.5]) == 1 and above([1], [1]) == 0.5 and above([0, 1], [0, 1]) == 0.5
