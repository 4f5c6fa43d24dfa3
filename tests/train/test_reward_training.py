"""reward.py and its data: a model that learns, is judged honestly and scores as it was trained."""

import json
import random
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
from train.rewards.network import RewardNetwork, bradley_terry, compressed
from train.rewards.ranking import (
    calibration,
    interval,
    noise_ceiling,
    ordered,
    pairwise_accuracy,
    report,
)
from train.starter.reward_data import human_scores, more_scores, rank_normal, transfer_scores

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
        "--kept_file", tmp_path / "pairs.parquet",
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


def test_bradley_terry_counts_each_ordered_pair_once():
    scores = torch.tensor([1.0, 0.0, 3.0])
    expected = -torch.nn.functional.logsigmoid(torch.tensor([1.0, 3.0, 2.0])).mean()
    assert torch.allclose(bradley_terry(scores, torch.tensor([2.0, 1.0, 5.0])), expected)
    assert bradley_terry(scores, torch.ones(3)) == 0


def test_word_vectors_keep_their_geometry():
    vectors = torch.randn(50, 6) @ torch.randn(6, 20)
    small = compressed(vectors, 8)
    assert small.shape == (50, 8)
    before, after = torch.cdist(vectors, vectors), torch.cdist(small, small)
    ratio = (after / before)[~torch.eye(50, dtype=bool)]
    assert ratio.max() / ratio.min() < 1.01


def test_near_duplicates_are_held_out_together():
    frame = pd.concat([labelled(80)] * 2, ignore_index=True)
    train_rows, held = reward.hold_out(frame, 0.3, seed=1)
    assert not set(train_rows.prompt) & set(held.prompt)
    ids = clusters(frame.prompt.tolist())
    assert not set(ids[train_rows.index]) & set(ids[held.index])
    with pytest.raises(InputError, match="side empty"):
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


def test_ranking_figures_by_hand():
    truth, guess = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])
    assert pairwise_accuracy(truth, guess) == pytest.approx(2 / 3)
    assert ordered(np.array([1.0, -1.0, 0.0]), np.array([2.0, 0.0, 5.0])) == 0.75
    assert report(truth, guess, rounds=0)["spearman"] == pytest.approx(0.5)
    assert [b["n"] for b in calibration(np.arange(10.0), np.arange(10.0), 3)] == [4, 3, 3]
    low, high = interval(lambda rows: float(rows.mean()), 400)
    assert low < 199.5 < high


def test_the_noise_ceiling_is_the_correlation_of_the_truth():
    rng = np.random.default_rng(0)
    quality = rng.normal(size=4000)
    images = quality[:, None] + rng.normal(size=(4000, 4)) * 2
    means, spreads = images.mean(1), images.std(1, ddof=1)
    found = noise_ceiling(np.full(4000, 4), spreads, means)
    assert found == pytest.approx(np.corrcoef(quality, means)[0, 1], abs=0.03)
    assert np.isnan(noise_ceiling(np.ones(5), np.zeros(5), np.ones(5)))


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


def test_the_teacher_learns_words(tmp_path):
    from train.starter.teacher import Teacher, Weights, principal

    frame = labelled(200)
    vectors = np.random.default_rng(0).normal(size=(200, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    prompts, scores = frame.prompt.tolist(), frame.pick_score.to_numpy()
    teacher = Teacher(Weights(penalty=1.0)).fit(
        prompts[:150], [vectors[:150]], scores[:150], np.ones(150)
    )
    guess = teacher.predict(prompts[150:], [vectors[150:]])
    assert report(scores[150:], guess, rounds=0)["spearman"] > 0.6
    assert principal([vectors, vectors]).var(0).mean() == pytest.approx(1, abs=0.05)


def test_the_teacher_without_a_group_is_a_teacher_that_never_saw_it():
    from train.starter.teacher import Teacher, Weights

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 8))
    scores, trust = rng.normal(size=60), rng.integers(1, 4, 60).astype(float)
    groups = np.arange(60) // 3
    rest = groups != 5
    # Words, lengths and means are what a second fit would learn anew: here all are the same.
    vectors[~rest] += vectors[rest].mean(0) - vectors[~rest].mean(0)
    prompts, scores = ["cat"] * 60, scores - np.average(scores, weights=trust)
    whole = Teacher(Weights(penalty=2.0)).fit(prompts, [vectors], scores, trust)
    balance = np.average(scores[rest], weights=trust[rest])
    part = Teacher(Weights(penalty=2.0))
    part.fit(
        [p for p, r in zip(prompts, rest, strict=True) if r],
        [vectors[rest]],
        scores[rest] - balance,
        trust[rest],
    )
    part._dual = part._inverse @ scores[rest]
    part._middle, part._primal = 0.0, part._linear(["cat"] * 57).T @ part._dual
    expected = part.predict(["cat"] * 3, [vectors[~rest]])
    assert whole.without(scores, groups)[~rest] == pytest.approx(expected)


def test_gradients_reach_a_loaded_trunk(base):
    from train.rewards.network import load_trunk

    trunk, _, control = load_trunk(str(base))
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
