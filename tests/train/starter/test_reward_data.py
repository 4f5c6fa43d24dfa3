"""Human scores by prompt, and the prompts that nobody scored."""

import random

import numpy as np
import pandas as pd
import pytest

from bp_core.errors import InputError
from train.starter.reward_data import human_scores, more_scores, rank_normal, transfer_scores

NOUNS = "cat dog house tree river lamp boat moon horse tower garden bridge".split()


def test_rank_normal_is_a_standard_normal():
    values = rank_normal(np.random.default_rng(0).exponential(size=2001))
    assert values.mean() == pytest.approx(0, abs=1e-9) and values.std() == pytest.approx(
        1, abs=0.01
    )
    assert rank_normal(np.array([3.0, 1.0, 3.0])).tolist() == pytest.approx(
        [0.431, -0.967, 0.431], abs=1e-3
    )


def human_folder(tmp_path):
    """A data folder with two generators of different level and near-duplicate prompts."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(120):
        prompt = f"a {NOUNS[i % 12]} beside a {NOUNS[i // 12]} number {i}"
        level = i / 60
        rows.append((f"Weak_{i:04d}.png", prompt, 1 + level))
        rows.append((f"Strong_{i:04d}.png", f"{prompt} ", 3 + level + 0.001 * rng.normal()))
    (tmp_path / "aigiqa20k").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "aigiqa20k/prompt_mos.csv", header=False, index=False)
    return tmp_path


def test_generators_levels_cancel_and_clusters_stay_whole(tmp_path):
    frame = human_scores(human_folder(tmp_path))
    assert len(frame) == 120 and (frame.images == 2).all()
    number = frame.prompt.str.split().str[-1].astype(int)
    assert frame.score.corr(number, method="spearman") > 0.99
    assert abs(frame.score.mean()) < 1e-6
    assert frame.groupby("cluster").split.nunique().max() == 1
    assert frame.groupby("cluster").half.nunique().max() == 1
    assert set(frame.split) == {"train", "validation", "test"}


def test_more_scores_train_half_a_alone(tmp_path):
    human = human_scores(human_folder(tmp_path))
    judged = human[(human.half == "B") | (human.split != "train")]
    mine = human[(human.half == "A") & (human.split == "train")]
    rows = [
        ("Weak_0900.png", judged.prompt.iloc[0], 5.0),  # known to the judge, or held out
        ("Weak_0901.png", f"{judged.prompt.iloc[1]} indeed", 5.0),  # near one
        ("Weak_0902.png", mine.prompt.iloc[0], 5.0),
        ("Weak_0903.png", "six purple umbrellas under heavy snowfall", 0.1),
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "more.csv", header=False, index=False)
    frame = more_scores(human, tmp_path, tmp_path / "more.csv").set_index("prompt")
    before = human.set_index("prompt")
    assert set(frame.index) - set(before.index) == {rows[3][1]}
    assert (frame.loc[rows[3][1], ["split", "half", "images"]] == ["train", "A", 1]).all()
    assert frame.loc[rows[3][1], "score"] < -1
    assert frame.loc[rows[2][1], "images"] == 3
    assert frame.loc[rows[2][1], "score"] > before.loc[rows[2][1], "score"]
    columns = ["score", "images", "split", "half"]
    assert frame.loc[judged.prompt, columns].equals(before.loc[judged.prompt, columns])


def test_a_file_of_scores_without_scores_is_named(tmp_path):
    (tmp_path / "more.csv").write_text("a.png,a cat,good\n")
    with pytest.raises(InputError, match="give name, prompt and mean opinion score"):
        more_scores(human_scores(human_folder(tmp_path)), tmp_path, tmp_path / "more.csv")


def test_modifiers_are_cut_from_their_subject(tmp_path):
    (tmp_path / "agiqa3k").mkdir()
    rows = [
        ("G_000.jpg", "a cat, in rain, warm color, anime style", "warm color", "", "anime style")
    ]
    rows.append(("G_001.jpg", "a dog", "", "", ""))
    frame = pd.DataFrame(rows, columns=["name", "prompt", "adj1", "adj2", "style"])
    frame.assign(mos_quality=[1.0, 2.0]).to_csv(tmp_path / "agiqa3k/data.csv", index=False)
    found = transfer_scores(tmp_path)
    assert found.subject.tolist() == ["a cat, in rain", "a dog"]
    assert [list(m) for m in found.modifiers] == [["warm color", "anime style"], []]


def test_stuffed_tails_are_made_of_what_people_praise():
    from train.starter.reward_pool import Tails

    styles = [f"style {i}" for i in range(30)]
    rich = [
        f"a cat {i}, sharp focus, octane render, {styles[i % 30]}, seen once {i}"
        for i in range(120)
    ]
    tails = Tails(rich, manners=["an etching"])
    assert tails.praise[:2] == ["sharp focus", "octane render"]
    assert set(tails.praise) == set(tails.phrases) == {"sharp focus", "octane render", *styles}
    assert "sharp focus, octane render, style 3, seen once 3" in tails.whole
    rng = random.Random(0)
    drawn = [tails.stuffed(rng) for _ in range(200)]
    assert [tails.stuffed(r) for r in [random.Random(0)] for _ in range(200)] == drawn
    assert any(t.count("octane render") > 10 for t in drawn)
    assert 60 <= max(len(t.split()) for t in drawn) <= 90
    few = [tails.few(rng) for _ in range(400)]
    assert {len(t) for t in few} == {0, 1, 2, 3}
    manner = [t[-1:] == ["an etching"] for t in few]
    assert 0.3 < np.mean(manner) < 0.5
