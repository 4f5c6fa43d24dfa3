"""Pairs from prompt pools: how they are cut, and what must never get in."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from bp_core.errors import InputError
from tests.train.answering import Server
from tests.train.pictures_made import write_all
from tests.train.public_data import write_data
from train import collect
from train.data.any_prompts import read_any
from train.data.public_pairs import Limits

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


def test_pairs_are_cut_from_the_pools(data, tmp_path):
    out = tmp_path / "pairs"
    collect.main(["--data", str(data), "--out", str(out), "--validation", "0.2"])
    train, held_out = (pd.read_parquet(out / f"{n}.parquet") for n in ("train", "validation"))
    assert set(train["mode"]) >= {"expand", "text"}
    assert not set(train[train["mode"] != "text"].cluster) & set(held_out.cluster)
    expand = train[train["mode"] == "expand"]
    assert (expand.prompt.str.split().str.len() >= Limits.tail_min).all()
    for row in expand.itertuples():
        assert not set(row.prompt.split(", ")) & set(row.raw_prompt.split(", "))
    assert not train.raw_prompt.str.contains("secret").any()
    assert (out / "vocabulary.txt").read_text()


# From what is one's own: pictures, files, and a language model.

HIGH = "a fox in an old library, warm lamplight, dust in the air, oil painting, soft brush strokes"


def pairs_in(folder):
    return pd.concat(pd.read_parquet(folder / f"{n}.parquet") for n in ("train", "validation"))


def test_pictures_of_all_programs_become_pairs(tmp_path):
    pictures = write_all(tmp_path / "pictures", count=8)
    collect.main(["--images", str(pictures), "--out", str(tmp_path / "pairs")])
    pairs = pairs_in(tmp_path / "pairs")
    report = json.loads((tmp_path / "pairs/report.json").read_text())
    assert report["pictures: A1111"] == 16 and report["pictures: NovelAI"] == 8
    assert report["pairs: typed"] > 0 and report["pairs: cut"] > 0
    assert set(pairs["mode"]) == {"expand", "rewrite"}
    train, held = (pd.read_parquet(tmp_path / f"pairs/{n}.parquet") for n in NAMES)
    assert not set(train.cluster) & set(held.cluster) and len(held)
    assert not set(train.raw_prompt) & set(held.raw_prompt) or len(held) < len(train)
    assert (tmp_path / "pairs/prompts.txt").read_text().strip()


NAMES = ("train", "validation")


@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "json", "jsonl", "parquet"])
def test_any_file_of_prompts_is_read(tmp_path, kind):
    frame = pd.DataFrame({"caption": [HIGH, "a ship, heavy rain, deep shadow, wet deck, 1880"]})
    path = tmp_path / f"mine.{kind}"
    {
        "txt": lambda: path.write_text("\n".join(frame.caption)),
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "json": lambda: frame.to_json(path, orient="records"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
    }[kind]()
    assert [row.prompt for row in read_any(tmp_path)] == frame.caption.tolist()


def test_what_cleaning_takes_is_counted(tmp_path, capsys):
    lines = [HIGH, f"{HIGH}!", f"{HIGH}.", "ein Hund mit einer Katze und das Haus, nass, kalt"]
    lines += ["a nude figure, soft light, oil painting", "word", "a teapot, steam, soft light, oil"]
    (tmp_path / "p.txt").write_text("\n".join(lines))
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval/e.txt").write_text("a teapot, steam, soft light, oil\n")
    more = ["--evaluation", str(tmp_path / "eval"), "--out", str(tmp_path / "out"), "--report"]
    collect.main(["--data", str(tmp_path / "p.txt"), *more])
    report = json.loads((tmp_path / "out/report.json").read_text())
    steps = "not English", "NSFW or politics", "too short", "near an evaluation prompt"
    assert [report[step] for step in steps] == [1, 1, 1, 1]
    assert report["near-duplicates"] == 1 and report["read"] == 7
    assert "1 not English" in capsys.readouterr().out


def asking(tmp_path, server, count=24):
    nouns = "fox ship owl tower bridge robot garden teapot castle river lamp horse".split()
    low = [f"a {n} {w}" for n in nouns for w in ("at dusk", "in snow")][: count // 2]
    moods = "misty golden silver quiet stormy dusty ancient gentle crimson emerald pale wild"
    high = [
        f"a {noun} near {mood} hills, {mood} {noun} light, {mood} air, {noun} shadows, ink, fog"
        for noun, mood in zip(nouns, moods.split())
    ][: count // 2]
    (tmp_path / "p.txt").write_text("\n".join(low + high))
    return [
        *f"--data {tmp_path}/p.txt --llm {server} --llm-model tiny --consistency -1".split(),
        *f"--out {tmp_path}/out".split(),
    ]


def test_a_language_model_summarises_and_upgrades_and_is_asked_once(tmp_path, server):
    command = asking(tmp_path, server)
    collect.main(command)
    first = pairs_in(tmp_path / "out")
    assert {s.rpartition(", ")[2] for s in first.source} == {"summarised", "upgraded"}
    paid = len(Server.asked)
    collect.main(command)
    assert len(Server.asked) == paid
    pd.testing.assert_frame_equal(pairs_in(tmp_path / "out"), first)


def test_a_killed_run_loses_and_repeats_nothing(tmp_path, server):
    command = asking(tmp_path, server)
    Server.slow = 0.1
    script = [sys.executable, str(ROOT / "train/collect.py"), *command, "--llm-together", "1"]
    for after in range(4, 4 * int(os.environ.get("COLLECT_KILLS", "2")) + 1, 4):
        process = subprocess.Popen(script, stderr=subprocess.DEVNULL, cwd=ROOT)
        deadline = time.monotonic() + 300
        while len(Server.asked) < after and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.wait()
    Server.slow = 0.0
    kills = after // 4
    collect.main(command)
    pairs = pairs_in(tmp_path / "out")
    assert not pairs.duplicated(["raw_prompt", "prompt", "mode"]).any()
    answered = pd.Series(Server.asked).value_counts()
    # Refused once each, or open when the process died: nothing that was answered and kept.
    assert (answered > 1).sum() <= kills + len(Server.asked) // 3
    assert len(set(Server.asked)) == 24


def test_a_server_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no server answers"):
        collect.main(asking(tmp_path, "http://127.0.0.1:9/v1"))
    with pytest.raises(InputError, match="nothing to collect from"):
        collect.main([])
