"""reward.py: a model that learns, is judged honestly and scores as it was trained."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("sklearn")
pytest.importorskip("trl")
pytest.importorskip("matplotlib")

from bp_core.decode.transformer import Transformer
from bp_core.errors import InputError
from bp_core.score.text_reward import TextReward
from tests.conftest import random_bloom, write_folder
from train import reward
from train.data.dedup import clusters
from train.rewards.network import RewardNetwork

CONFIGS = Path(reward.__file__).parent / "configs"
NOUNS = "cat dog house tree river lamp boat moon horse tower garden bridge".split()


def labelled(n=240, seed=0):
    """Prompts whose score is known: "sharp" lifts it, "blurry" lowers it."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        subject = " ".join(rng.choice(NOUNS, 3, replace=False))
        word, lift = [("sharp", 1.0), ("plain", 0.0), ("blurry", -1.0)][rng.integers(3)]
        rows.append((f"a {subject}", f"a {subject}, {word}", 20 + lift + 0.1 * rng.normal()))
    return pd.DataFrame(rows, columns=["raw_prompt", "prompt", "pick_score"])


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    texts = labelled().prompt.tolist() + ["Input: Output:\n"]
    folder = tmp_path_factory.mktemp("base") / "bloom"
    return write_folder(folder, random_bloom(vocab_size=330), texts)


def train(tmp_path, *options, config="paper_reward.yaml", frame=None):
    """Run train/reward.py on `frame`; the written folder."""
    frame = labelled() if frame is None else frame
    frame.to_parquet(tmp_path / "labels.parquet")
    settings = {
        "train_file": tmp_path / "labels.parquet",
        "output_dir": tmp_path / "run",
        "bf16": False,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
    }
    argv = ["--config", str(CONFIGS / config)]
    argv += [a for k, v in settings.items() for a in (f"--{k}", str(v))]
    reward.main([*argv, *map(str, options)])
    return tmp_path / "run" / "model"


def test_the_papers_config_trains_a_small_bloom(tmp_path, base):
    folder = train(
        tmp_path, "--base", base, "--num_train_epochs", 14, "--learning_rate", "5e-3",
        "--eval_steps", 50, "--save_steps", 50, "--held_out", 0.2, "--pairwise", 0.5,
        "--weights", "float32", "--logging_steps", 50,
    )  # fmt: skip
    figures = json.loads((folder / "report.json").read_text())["validation"]
    assert figures["spearman"] > 0.7
    assert figures["pairwise_accuracy"] > 0.75
    assert len(figures["calibration"]) == 10
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    about = json.loads((folder / "beautifulprompt.json").read_text())
    assert about["template"] == "Input: {raw}\nOutput: {prompt}</s>"
    assert about["target"]["mean"] == pytest.approx(20, abs=0.3)
    model = TextReward.load(folder)
    good, bad = model.score(["a cat, sharp", "a cat, blurry"], ["a cat", "a cat"])
    assert good > bad + 1


def test_transformers_reads_the_written_folder(tmp_path, base):
    from transformers import BloomForSequenceClassification

    folder = train(
        tmp_path, "--base", base, "--max_steps", 3, "--eval_steps", 3, "--save_steps", 3,
        "--held_out", 0.2, "--template", "aes", "--weights", "float32",
    )  # fmt: skip
    ours = TextReward.load(folder)
    theirs = BloomForSequenceClassification.from_pretrained(folder).eval()
    ids = ours.template.encode(ours.tokenizer, "a cat, sharp", "", ours.control)
    expected = theirs(torch.tensor([ids])).logits.item()
    found = ours.score(["a cat, sharp"]).item() * ours.scores.std + ours.scores.mean
    assert found == pytest.approx(expected, abs=1e-4)


def test_one_row_to_validate_on_makes_a_reward_that_loads(tmp_path, base):
    labelled().head(1).to_parquet(tmp_path / "validation.parquet")
    folder = train(
        tmp_path, "--base", base, "--max_steps", 2, "--eval_steps", 2, "--save_steps", 2,
        "--validation_file", tmp_path / "validation.parquet", "--template", "aes",
    )  # fmt: skip
    assert TextReward.load(folder).scores.std == 1


@pytest.mark.parametrize("shares_tokenizer", [False, True])
def test_the_starters_configs_train_from_nothing(tmp_path, base, shares_tokenizer):
    frame = labelled().rename(columns={"pick_score": "score"})
    frame["features"] = list(np.random.default_rng(0).normal(size=(len(frame), 4)))
    frame.iloc[:40].to_parquet(tmp_path / "validation.parquet")
    lossy = frame.assign(raw_prompt=frame.raw_prompt.to_numpy()[::-1])
    lossy.to_parquet(tmp_path / "pairs.parquet")
    size = len(json.loads((base / "tokenizer.json").read_text())["model"]["vocab"])
    np.save(tmp_path / "words.npy", np.random.default_rng(1).normal(size=(size, 24)))
    folder = train(
        tmp_path, "--tokenizer", base / "tokenizer.json", "--max_steps", 4, "--eval_steps", 2,
        "--save_steps", 2, "--validation_file", tmp_path / "validation.parquet",
        "--word_vectors", tmp_path / "words.npy", "--hidden_size", 16,
        "--kept_file", tmp_path / "pairs.parquet", "--share_tokenizer", shares_tokenizer,
        config=f"starter_reward{'_b' * shares_tokenizer}.yaml", frame=frame,
    )  # fmt: skip
    assert (folder / "tokenizer.json").exists() != shares_tokenizer
    assert (folder.parent / "tokenizer.json").exists() == shares_tokenizer
    model = TextReward.load(folder)
    scores = model.score(frame.prompt.head(40).tolist())
    assert 0 < model.kept.mean < 1
    assert scores.mean() == pytest.approx(0, abs=1e-3) and scores.std() == pytest.approx(
        1, abs=0.01
    )


def test_the_network_in_training_scores_as_the_model_written(base):
    trunk = random_bloom(vocab_size=330)
    network = RewardNetwork(trunk, "mean")
    torch.nn.init.normal_(network.score.weight)
    ids = torch.tensor([[5, 6, 7, 0], [8, 9, 0, 0]])
    lengths = torch.tensor([4, 2])
    both = network(ids, lengths)["logits"]
    alone = network(ids[1:, :2], lengths[1:])["logits"]
    assert torch.allclose(both[1], alone[0], atol=1e-5)


def test_near_duplicates_are_held_out_together():
    frame = pd.concat([labelled(80)] * 2, ignore_index=True)
    train_rows, held = reward.hold_out(frame, 0.3, seed=1)
    assert not set(train_rows.prompt) & set(held.prompt)
    ids = clusters(frame.prompt.tolist())
    assert not set(ids[train_rows.index]) & set(ids[held.index])
    with pytest.raises(InputError, match="near-duplicates"):
        reward.hold_out(frame.head(1), 0.5, seed=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="pick_score"), "pick_score"),
        (lambda f: f.drop(columns="raw_prompt"), "raw_prompt"),
        (lambda f: f.head(0), "no rows"),
        (lambda f: f.assign(pick_score=np.nan), "missing or infinite"),
        (lambda f: f.assign(pick_score=1.0), "alike"),
    ],
)
def test_bad_label_files_are_told(tmp_path, base, change, message):
    with pytest.raises(InputError, match=message):
        train(tmp_path, "--base", base, "--held_out", 0.2, frame=change(labelled(60)))


def test_unknown_pooling_and_missing_tokenizer_are_told(tmp_path, base):
    with pytest.raises(InputError, match="pooling"):
        train(tmp_path, "--base", base, "--pooling", "max")
    frame = labelled(60).rename(columns={"pick_score": "score"})
    frame.to_parquet(tmp_path / "v.parquet")
    frame.assign(raw_prompt=frame.raw_prompt.to_numpy()[::-1]).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(InputError, match="entries"):
        np.save(tmp_path / "w.npy", np.zeros((3, 4)))
        train(
            tmp_path, "--tokenizer", base / "tokenizer.json", "--word_vectors", tmp_path / "w.npy",
            "--validation_file", tmp_path / "v.parquet", "--kept_file", tmp_path / "p.parquet",
            config="starter_reward.yaml", frame=frame,
        )  # fmt: skip


def test_gradients_reach_a_loaded_trunk(base):
    from train.rewards.network import load_trunk

    trunk, _, control, *_ = load_trunk(str(base))
    network = RewardNetwork(trunk, "last")
    torch.nn.init.ones_(network.score.weight)
    batch = {"input_ids": torch.tensor([[4, 5]]), "lengths": torch.tensor([2])}
    network(**batch, labels=torch.tensor([3.0]))["loss"].backward()
    assert all(p.grad is not None for p in trunk.parameters())
    assert 0 in control
    assert isinstance(trunk, Transformer) and trunk.config.family == "bloom"


def test_training_goes_on_from_a_reward_that_shares_its_tokenizer(tmp_path, base):
    steps = ["--max_steps", 2, "--eval_steps", 2, "--save_steps", 2]
    frame = labelled().assign(teacher=lambda f: f.pick_score)
    (tmp_path / "1").mkdir()
    first = train(tmp_path / "1", "--base", base, "--share_tokenizer", True, *steps, frame=frame)
    assert not (first / "tokenizer.json").exists()
    second = train(tmp_path, "--base", first, *steps, frame=frame)
    figures = json.loads((second / "report.json").read_text())["validation"]
    # The teacher here is the score itself.
    assert figures["teacher_spearman"] == pytest.approx(figures["spearman"])


def test_the_judge_is_another_model_than_the_reward():
    prompts = ["a lighthouse at dusk", "a lighthouse at dusk, blurry", "portrait of a knight"]
    judge, bundled = TextReward.load(CONFIGS.parent / "starter" / "judge"), TextReward.load()
    scores = judge.score(prompts)
    assert scores[1] < scores[0] < scores[2]
    assert not torch.allclose(scores, bundled.score(prompts), atol=0.01)
