"""Drills of copying: what they hold, and that pairs stay beside them."""

import pandas as pd
import pytest

from bp_core.errors import InputError
from train.starter import copying

CAPTION = ("", "A red fox in the snow.", "text")
PAIRS = [CAPTION] * 5 + [
    ("a fox", "soft light", "expand"),
    ("a fox", "a fox, soft light", "rewrite"),
    ("word " * 30, "soft light", "expand"),
]


@pytest.fixture
def pairs():
    frame = pd.DataFrame(PAIRS, columns=["raw_prompt", "prompt", "mode"])
    return frame.assign(source="made")


def test_a_drill_is_random_common_words_to_be_repeated(pairs):
    words = copying.common_words(pairs.prompt[:5].tolist())
    assert words == ["a", "red", "fox", "in", "the", "snow"]
    found = copying.drills(words, 20, (3, 5), seed=0)
    assert (found.raw_prompt == found.prompt).all() and (found["mode"] == "rewrite").all()
    assert found.prompt.str.split().str.len().between(3, 5).all()
    assert found.equals(copying.drills(words, 20, (3, 5), seed=0))
    assert not found.equals(copying.drills(words, 20, (3, 5), seed=1))


def test_typed_words_keep_their_signs_and_capitals():
    assert copying.typed_words(["A fox, 3", "a fox"]) == ["3", "A", "a", "fox", "fox,"]


def test_long_pairs_are_left_out(pairs):
    found = copying.short(pairs, ["expand", "rewrite"], 12, 24, 100)
    assert sorted(found.prompt) == ["a fox, soft light", "soft light"]


def test_both_files_mix_drills_and_pairs(pairs, tmp_path):
    for name in ("train", "validation"):
        pairs.to_parquet(tmp_path / f"{name}.parquet")
    copying.main(["--pairs", str(tmp_path), "--out", str(tmp_path / "out")])
    for name in ("first", "second"):
        frame = pd.read_parquet(tmp_path / f"out/{name}.parquet")
        assert set(frame.source) == {"drill", "made"}
    assert "text" not in set(pd.read_parquet(tmp_path / "out/validation.parquet")["mode"])


def test_pairs_without_captions_are_an_error(pairs):
    with pytest.raises(InputError, match=r"train/collect\.py"):
        copying.build(pairs[pairs["mode"] != "text"])
