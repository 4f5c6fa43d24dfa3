"""The nodes that score and pick, without ComfyUI: which model is asked, and for what."""

from __future__ import annotations

import math
import shutil
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comfy_nodes.plain import ranked
from tests.comfy_nodes import fakehost
from tests.comfy_nodes.fakehost import part

host, pack = fakehost.host, fakehost.pack  # fixtures


class Judge:
    """A reward that likes long prompts."""

    def score(self, texts, raw):
        assert len(raw) == len(texts) and len(set(raw)) == 1
        return [SimpleNamespace(total=float(len(t)), aesthetic=1.0) for t in texts]


def test_scoring_reads_prose_and_tells_the_gain_over_it(pack):
    node = pack.nodes["ScorePrompt"]
    judged = SimpleNamespace(reward=SimpleNamespace(ready=lambda texts: Judge()))
    out = node.execute("a red cat <lora:x:1>", "a cat, soft light", rewriter=judged)
    quality, score, aesthetic, kept, report = out.args
    assert (quality, score, aesthetic, kept) == (17.0, 8.0, 1.0, 0.5)
    assert "lost: red" in report and report.startswith("score +8.00\n")
    alone = node.execute("a red cat", "  ", rewriter=judged).args
    assert (alone[1], alone[3]) == (0.0, 1.0)
    with pytest.raises(Exception, match="Load Beautiful Prompt"):
        node.execute("a", "", rewriter=SimpleNamespace(reward=None))


def test_the_best_pictures_come_first_with_their_prompts(pack):
    node = pack.nodes["PickBest"]
    images = [torch.full((2, 4, 4, 3), 1.0), torch.full((2, 8, 8, 3), 2.0)]
    best, prompts, scores = node.execute(
        images, [0.1, 0.9, math.nan, 0.5], [3], ["a cat", "a dog"]
    ).args
    assert [tuple(image.shape) for image in best] == [(1, 4, 4, 3), (1, 8, 8, 3), (1, 4, 4, 3)]
    assert prompts == ["a cat", "a dog", "a cat"]
    assert scores == [0.9, 0.5, 0.1]
    assert node.execute(images, [1.0, 2.0], [9]).args[2] == [2.0, 2.0, 1.0, 1.0]
    with pytest.raises(Exception, match="3 scores for 4 images"):
        node.execute(images, [1.0, 2.0, 3.0], [1])


@pytest.fixture
def judge_folder(host):
    """A reward model in models/beautifulprompt: the bundled one."""
    from bp_core.models.folder import BUNDLED

    folder = host.folder / "judge"
    shutil.copytree(BUNDLED / "reward", folder)
    return folder


def test_a_prompt_is_scored_by_the_model_that_is_chosen(pack, host, judge_folder):
    node = pack.nodes["ScorePrompt"]
    assert node.validate_inputs("judge") is node.validate_inputs("auto") is True
    assert node.validate_inputs() is True  # fed by another node
    assert "put its folder there" in node.validate_inputs("gone")
    texts = ("a cat", "a cat, soft light")
    alone = node.execute(*texts, reward_model="judge").args
    # The rewriter's own is not asked.
    silent = SimpleNamespace(reward=None)
    assert node.execute(*texts, rewriter=silent, reward_model="judge").args == alone
    (judge_folder / "packed.safetensors").write_bytes(b"cut")
    part("memory").load_reward.cache_clear()
    with pytest.raises(Exception, match=r"packed\.safetensors"):
        node.execute(*texts, reward_model="judge")


def test_the_reward_moves_with_its_head_when_the_host_says(pack, host, judge_folder):
    managed = part("memory").load_reward(judge_folder)
    reward = managed.ready(2)
    assert host.loaded[-1]["models"] == [managed.patcher]
    before = reward.score(["a cat"], raw=["a cat"])[0].total
    managed.patcher.model.to(torch.float64)  # as a move to another device
    assert reward.aesthetic.head.dtype == reward.aesthetic.trunk.dtype == torch.float64
    assert reward.score(["a cat"], raw=["a cat"])[0].total == pytest.approx(before, abs=1e-4)


def test_rewriter_and_reward_are_requested_together(pack, host, model_folder, judge_folder):
    managed = part("memory").load(model_folder, judge_folder)
    managed.ready(1, 4)
    assert host.loaded[-1]["models"] == [managed.patcher, managed.reward.patcher]


class PictureJudge:
    """Scores a picture by its brightness; knows what it was asked."""

    def __init__(self):
        self.model, self.asked, self.device = torch.nn.Linear(1, 1), [], None

    def score(self, images, prompts):
        assert images.shape[-1] == 3 and len(images) == len(prompts)
        self.asked += prompts
        return images.mean((1, 2, 3))


def test_pictures_are_scored_in_order_on_the_host_s_device(pack, host, monkeypatch):
    judge = PictureJudge()
    monkeypatch.setattr(part("score_image"), "_require", lambda *_: None)
    monkeypatch.setattr(part("score_image"), "_scorer", lambda *_: judge)
    images = [torch.full((2, 4, 4, 4), 0.5), torch.full((2, 8, 8, 3), 0.25)]
    node = pack.nodes["ScoreImage"]
    scores, report = node.execute(images, ["a cat", "a dog"], ["PickScore"], [False]).args
    assert scores == [0.5, 0.5, 0.25, 0.25]
    assert judge.asked == ["a cat", "a cat", "a dog", "a dog"]
    assert judge.device == torch.device("cpu")
    assert list(host.loaded[0]["models"][0].model.networks) == [judge.model]
    assert report.count("\n") == 3


@pytest.mark.parametrize(
    ("scorer", "file"),
    [
        ("PickScore", "PickScore_v1"),
        ("aesthetic", "improved-aesthetic-predictor"),
        ("HPS v2", "HPS_v2"),
    ],
)
def test_a_missing_scorer_is_refused_before_rendering_and_says_how_to_get_it(
    pack, host, monkeypatch, scorer, file
):
    node = pack.nodes["ScoreImage"]
    answer = node.validate_inputs([scorer], [False])
    assert file in answer and str(host.folder) in answer and "put it there" in answer
    assert ("turn on 'download'" in answer) == (scorer != "aesthetic")
    with pytest.raises(Exception, match="put it there"):
        node.execute([torch.zeros(1, 4, 4, 3)], ["a cat"], [scorer], [False])
    assert (node.validate_inputs([scorer], [True]) is True) == (scorer != "aesthetic")
    assert node.validate_inputs([None], [False]) is node.validate_inputs([scorer], [None]) is True
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = node.validate_inputs([scorer], [True])
    assert f'"{sys.executable}" -m pip install' in answer and "restart" in answer


def test_an_unknown_scorer_is_refused(pack):
    assert "PickScore" in pack.nodes["ScoreImage"].validate_inputs(["gone"], [False])


def test_weights_by_hand_are_found(pack, host):
    node = pack.nodes["ScoreImage"]
    for name in ("PickScore_v1", "sac+logos+ava1-l14-linearMSE.pth", "ViT-L-14.pt"):
        (host.folder / name).touch()
    assert node.validate_inputs(["PickScore"], [False]) is True
    assert node.validate_inputs(["aesthetic"], [False]) is True


@given(st.lists(st.floats(allow_nan=True)))
def test_ranking_is_a_permutation_in_falling_order(values):
    order = ranked(values)
    assert sorted(order) == list(range(len(values)))
    falling = [values[i] for i in order if not math.isnan(values[i])]
    assert falling == sorted(falling, reverse=True)
