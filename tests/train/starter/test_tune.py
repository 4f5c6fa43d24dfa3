"""tune.py: an encoder learns what prompts are worth, and says so of those that it never saw."""

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("transformers")

from bp_core.errors import InputError
from tests.train.starter.test_embed import encoder  # noqa: F401 -- a fixture
from train.starter import tune
from train.starter.teacher import Tuned

WORTH = {"cat": 1.0, "boats": -1.0, "moon": 0.5, "dog": -0.5}


def labelled(count=128) -> pd.DataFrame:
    """Prompts of one word and a number, worth what the word is; four prompts a cluster."""
    rows = []
    for i in range(count):
        word = list(WORTH)[i // 4 % 4]
        rows.append({"prompt": f"{word} {i}", "score": WORTH[word], "cluster": i // 4})
    return pd.DataFrame(rows).assign(images=1, half="A", split="train")


@pytest.fixture
def folder(tmp_path):
    human = labelled()
    human.loc[human.cluster.isin([2, 7]), "split"] = "validation"
    human.loc[human.cluster.isin([3, 8]), "split"] = "test"
    human.loc[human.cluster == 4, "half"] = "B"
    human.to_parquet(tmp_path / "human.parquet")
    human[:6][["prompt", "score"]].to_parquet(tmp_path / "transfer.parquet")
    pd.DataFrame({"prompt": ["a cat", "boats at dusk"]}).to_parquet(tmp_path / "pool.parquet")
    return tmp_path


def run(folder, encoder, *more):  # noqa: F811
    argv = ["--out", folder, "--encoder", encoder, "--device", "cpu", "--rate", "1e-3", *more]
    tune.main([str(each) for each in argv])
    return pd.read_parquet(folder / "A/tuned.parquet").set_index("prompt").score


def test_it_learns_and_every_prompt_gets_a_score(folder, encoder, capsys):  # noqa: F811
    said = run(folder, encoder, "--epochs", "20", "--folds", "2")
    human = pd.read_parquet(folder / "human.parquet")
    assert set(said.index) == {*human.prompt, "a cat", "boats at dusk"}
    assert said["a cat"] > said["boats at dusk"]
    train = human[(human.split == "train") & (human.half == "A")]
    assert np.corrcoef(said[train.prompt], train.score)[0, 1] > 0.8
    assert '"cross-validation"' in capsys.readouterr().out


def test_a_fold_says_what_an_encoder_that_never_saw_it_says(folder, encoder, monkeypatch):  # noqa: F811
    seen = []
    fit = tune.Tuner.fit

    def watched(self, prompts, *args, **options):
        seen.append(set(prompts))
        return fit(self, prompts, *args, **options)

    monkeypatch.setattr(tune.Tuner, "fit", watched)
    run(folder, encoder, "--epochs", "1", "--folds", "3")
    whole, *parts = seen
    assert len(parts) == 3
    held = [whole - part for part in parts]
    assert set.union(*held) == whole and sum(map(len, held)) == len(whole)
    clusters = labelled().set_index("prompt").cluster
    for part, other in zip(parts, held):
        assert not {clusters[p] for p in part} & {clusters[p] for p in other}


def test_a_batch_says_what_its_prompts_say_alone(encoder):  # noqa: F811
    tuner = tune.Tuner(encoder, tune.Tuning(epochs=1), torch.device("cpu"))
    frame = labelled()
    network = tuner.fit(frame.prompt.tolist(), frame.score.to_numpy(), np.ones(len(frame)))
    prompts = ["a cat", "a lighthouse at dusk, oil painting", "boats"]
    together = tuner.read(network, prompts)
    alone = [tuner.read(network, [prompt])[0] for prompt in prompts]
    assert together == pytest.approx(alone, abs=0.02)


def test_bad_input(folder, encoder, tmp_path):  # noqa: F811
    with pytest.raises(InputError, match="is no encoder"):
        run(folder, folder)
    (folder / "pool.parquet").unlink()
    with pytest.raises(InputError, match=r"train\.starter\.reward_data"):
        run(folder, encoder)


def test_the_teachers_share(tmp_path):
    path = tmp_path / "tuned.parquet"
    pd.DataFrame({"prompt": ["a", "b"], "score": [1.0, 2.0]}).to_parquet(path)
    assert Tuned(path, 0.25).averaged(["b", "a"], np.zeros(2)).tolist() == [0.5, 0.25]
    assert Tuned(tmp_path / "none", 0).averaged(["c"], np.ones(1)).tolist() == [1]
    with pytest.raises(InputError, match="of 'c'"):
        Tuned(path, 0.5).averaged(["a", "c"], np.zeros(2))
    with pytest.raises(InputError, match=r"train\.starter\.tune"):
        Tuned(tmp_path / "none", 0.5)
    with pytest.raises(InputError, match="from 0 to 1"):
        Tuned(path, 1.5)
