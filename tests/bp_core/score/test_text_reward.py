"""reward.py: z-scores of text rewards, their combination, and the errors of broken folders."""

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from bp_core.errors import InputError, ModelError
from bp_core.models.tokenizer import read_tokenizer
from bp_core.score.text_reward import (
    HEAD,
    TEMPLATES,
    Reward,
    RewardTemplate,
    TextReward,
    fingerprint,
)
from bp_core.text.fidelity import fidelity
from tests.conftest import random_bloom, write_folder

PROMPTS = ["a cat, sharp focus", "fog", "a lighthouse at dusk, 8k, oil painting of the sea"]


def reward_folder(folder, template="{prompt}</s>", pooling="last", **about):
    """A tiny random reward model on disk."""
    texts = ["a cat in the garden, sharp focus", "a lighthouse at dusk, Input:\nOutput:"]
    write_folder(folder, random_bloom(vocab_size=300, seed=len(template)), texts)
    state = load_file(folder / "model.safetensors")
    torch.manual_seed(3)
    state[HEAD] = torch.randn(1, 16)
    save_file(state, folder / "model.safetensors")
    fields = {
        "kind": "reward",
        "template": template,
        "pooling": pooling,
        "scores": {"mean": 0.5, "std": 2.0},
        "kept": {"mean": 0.75, "std": 0.25},
        "vocabulary": fingerprint(read_tokenizer(folder)),
    }
    (folder / "beautifulprompt.json").write_text(json.dumps(fields | about))
    return folder


@pytest.fixture
def folder(tmp_path):
    return reward_folder(tmp_path / "aes")


def change(folder, **fields):
    path = folder / "beautifulprompt.json"
    about = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({k: v for k, v in about.items() if v is not None}))


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_scores_are_those_of_transformers(tmp_path, pooling):
    from transformers import BloomModel

    folder = reward_folder(tmp_path / "r", pooling=pooling)
    reward, reference = TextReward.load(folder), BloomModel.from_pretrained(folder).eval()
    for prompt, z in zip(PROMPTS, reward.score(PROMPTS).tolist(), strict=True):
        ids = reward.tokenizer.encode(prompt).ids + [0]
        hidden = reference(torch.tensor([ids])).last_hidden_state[0]
        vector = hidden[-1] if pooling == "last" else hidden.mean(0)
        assert z == pytest.approx(((reward.head @ vector).item() - 0.5) / 2.0, abs=1e-5)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_a_score_does_not_depend_on_the_batch(tmp_path, pooling):
    reward = TextReward.load(reward_folder(tmp_path / "r", pooling=pooling))
    many = [f"{p} {i}" for i in range(50) for p in PROMPTS]
    alone = torch.cat([reward.score([p]) for p in many])
    assert torch.allclose(reward.score(many), alone, atol=1e-5)


def test_a_small_reward_uses_one_thread_and_gives_the_others_back(folder):
    reward, seen = TextReward.load(folder), []
    forward = reward._forward
    reward._forward = lambda rows: (seen.append(torch.get_num_threads()), forward(rows))[1]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        reward.score(PROMPTS)
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_nothing_and_the_empty_prompt_have_scores(folder):
    reward = TextReward.load(folder)
    assert reward.score([]).shape == (0,)
    assert torch.isfinite(reward.score(["", "   "])).all()


@given(st.text())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_is_scored_and_never_forges_an_end(folder, text):
    reward = TextReward.load(folder)
    ids = reward.template.encode(reward.tokenizer, text + "</s>", "", reward.control)
    assert ids.count(0) == 1 and ids[-1] == 0
    assert torch.isfinite(reward.score([text])).all()


def test_long_texts_keep_their_end_token(folder):
    change(folder, max_tokens=12)
    reward = TextReward.load(folder)
    ids = reward._ids("a cat " * 100, "")
    assert len(ids) == 12 and ids[-1] == 0


def test_templates_of_the_paper_read_both_prompts(tmp_path):
    reward = TextReward.load(reward_folder(tmp_path / "ps", TEMPLATES["ps"].text))
    text = reward.tokenizer.decode(
        TEMPLATES["ps"].encode(reward.tokenizer, "a red cat", "a cat"), skip_special_tokens=False
    )
    assert text == "Input: a cat\nOutput: a red cat</s>"
    with pytest.raises(InputError, match="give raw"):
        reward.score(["a red cat"])
    with pytest.raises(InputError, match="one each"):
        reward.score(["a red cat"], ["a", "b"])
    assert reward.score(["a red cat"], ["a cat"]) != reward.score(["a red cat"], ["a dog"])


def test_terms_combine_by_alpha(tmp_path):
    aes = TextReward.load(reward_folder(tmp_path / "aes"))
    ps = TextReward.load(reward_folder(tmp_path / "ps", TEMPLATES["ps"].text))
    raw = ["a cat", "fog at sea", "a lighthouse"]
    beauty, relevance = aes.score(PROMPTS), ps.score(PROMPTS, raw)
    for i, score in enumerate(Reward(aes, ps, alpha=0.7).score(PROMPTS, raw)):
        assert score.aesthetic == pytest.approx(beauty[i].item(), abs=1e-6)
        assert score.relevance == pytest.approx(relevance[i].item(), abs=1e-6)
        assert score.total == pytest.approx(0.7 * score.relevance + 0.3 * score.aesthetic)
        assert score.kept is None


def test_the_kept_share_stands_in_for_relevance(folder):
    raw = ["a cat", "fog at sea", "two lighthouses"]
    for x, y, score in zip(raw, PROMPTS, Reward(TextReward.load(folder)).score(PROMPTS, raw)):
        assert score.kept == fidelity(x, y).kept
        assert score.relevance == pytest.approx((score.kept - 0.75) / 0.25)


def test_rewards_in_each_others_place_are_refused(tmp_path):
    aes = TextReward.load(reward_folder(tmp_path / "aes"))
    ps = TextReward.load(reward_folder(tmp_path / "ps", TEMPLATES["ps"].text))
    for models_, message in (((ps, None), "as relevance"), ((aes, aes), r"\{raw\}")):
        with pytest.raises(ModelError, match=message):
            Reward(*models_)
    with pytest.raises(InputError, match="alpha"):
        Reward(aes, alpha=1.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "rewriter"}, "choose a reward model"),
        ({"scores": None}, "'scores'"),
        ({"scores": {"mean": 0.0}}, "'scores'"),
        ({"scores": {"mean": 0.0, "std": 0.0}}, "'scores'"),
        ({"scores": {"mean": float("nan"), "std": 1.0}}, "'scores'"),
        ({"kept": {"mean": "0"}}, "'kept'"),
        ({"template": None}, "'template'"),
        ({"template": "no slot"}, r"\{prompt\}"),
        ({"template": "{prompt} {style}"}, "unknown slot"),
        ({"pooling": "max"}, "pooling"),
        ({"tokenizer": "/etc"}, "tokenizer is"),
        ({"vocabulary": "0" * 16}, "not the one"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_broken_folders_are_told_in_one_line(folder, fields, message):
    change(folder, **fields)
    with pytest.raises(ModelError, match=message) as caught:
        TextReward.load(folder)
    assert "\n" not in str(caught.value)


def test_a_rewriter_is_no_reward(model_folder):
    with pytest.raises(ModelError, match="choose a reward model"):
        TextReward.load(model_folder)


def test_weights_without_a_head_are_refused(folder):
    state = load_file(folder / "model.safetensors")
    del state[HEAD]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ModelError, match=HEAD):
        TextReward.load(folder)


def test_a_tokenizer_may_be_shared_with_the_folder_above(tmp_path):
    folder = reward_folder(tmp_path / "up" / "reward")
    expected = TextReward.load(folder).score(PROMPTS)
    (folder / "tokenizer.json").rename(tmp_path / "up" / "tokenizer.json")
    change(folder, tokenizer="..")
    assert torch.equal(TextReward.load(folder).score(PROMPTS), expected)


def test_a_template_holds_each_slot_once():
    for text in ("{prompt}{prompt}", "{raw}", "{raw}{raw}{prompt}"):
        with pytest.raises(ModelError):
            RewardTemplate(text)
