"""Learning a reader's judgements: the labels, the network, and the script."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from bp_core.errors import InputError
from bp_core.models.folder import BUNDLED
from bp_core.score.taste import FILE, Taste, shapes
from bp_core.score.text_reward import TextReward
from train import taste as script
from train.rewards import phrase_fit
from train.taste import TasteNetwork, Vectors, cross_validate, learn, report

HEADER = "prompt\tphrase\tjudgement\treader\tbatch\n"
SEA, CITY = "a ship at sea", "a street in a city"
PAIRS = [
    (f"{place} {i}", phrase)
    for i in range(40)
    for place, phrase in [(SEA, "waves"), (CITY, "neon")]
]
JUDGED = [
    (f"{place} {i}", phrase, judgement)
    for i in range(40)
    for place, phrase, judgement in [
        (SEA, "waves", 1.0), (SEA, "neon", 0.0), (CITY, "neon", 1.0), (CITY, "waves", 0.0),
        (CITY, "rain", 0.5),
    ]
]  # fmt: skip


@pytest.fixture(scope="module")
def vectors():
    return Vectors(TextReward.load(), sorted({prompt for prompt, _ in PAIRS}))


@pytest.fixture(scope="module")
def start(vectors):
    return phrase_fit.learn(PAIRS, vectors)


def test_it_learns_what_suits(vectors, start, tmp_path):
    found = cross_validate(JUDGED, vectors, start, seed=0)
    figures = report(np.array([judgement for *_, judgement in JUDGED]), found)
    assert figures["good above wrong"] > 0.95
    assert figures["cut below"]["0.5"]["wrong"] > 0.8 > 0.2 > figures["cut below"]["0.5"]["good"]


def test_what_is_written_judges_as_what_was_trained(vectors, start):
    import torch

    network = learn(JUDGED, vectors, start, seed=0)
    names = shapes(len(vectors.mean))
    assert {n: tuple(t.shape) for n, t in network.state_dict().items()} == names
    taste = Taste(network.state_dict(), vectors.reader)
    prompts, phrases = [SEA, CITY], ["waves", "neon"]
    with torch.inference_mode():
        trained = network(*(torch.from_numpy(vectors(side)) for side in (prompts, phrases)))
    written = [taste.of(x)([y])[0] for x, y in zip(prompts, phrases, strict=True)]
    assert written == pytest.approx(trained.sigmoid().tolist(), abs=1e-4)
    assert isinstance(network, TasteNetwork)


def test_the_script_writes_beside_the_reward(tmp_path, monkeypatch, capsys):
    for name in ("tokenizer.json", "reward"):
        copy = shutil.copytree if (BUNDLED / name).is_dir() else shutil.copy
        copy(BUNDLED / name, tmp_path / name)
    reward = tmp_path / "reward"
    (reward / FILE).unlink()
    pd.DataFrame(
        [(x, y, "expand", "x") for x, y in PAIRS],
        columns=["raw_prompt", "prompt", "mode", "source"],
    ).to_parquet(tmp_path / "train.parquet")
    labels = tmp_path / "labels.tsv"
    words = [("waves", "good"), ("rain", "doubtful"), ("neon", "wrong")]
    rows = [f"{SEA} {i}\t{word}\t{said}\tme\t1\n" for i in range(30) for word, said in words]
    labels.write_text(HEADER + "".join(rows))
    monkeypatch.setattr(script, "_EPOCHS", 2)
    args = ["--pairs", str(tmp_path), "--reward", str(reward), "--labels", str(labels)]
    script.main(args)
    figures = json.loads(capsys.readouterr().out)
    assert figures["judged"] == 90 and 0 <= figures["another reader"]["fitting above others"] <= 1
    assert Taste.load(reward, TextReward.load(reward)).of(SEA)(["waves"])
    labels.write_text(HEADER)
    with pytest.raises(InputError, match="no judgements"):
        script.main(args)
