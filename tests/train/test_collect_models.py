"""Pairs that models had a part in: captions, aesthetic scores, a Ray cluster, a dry run."""

import json
import sqlite3
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bp_core.errors import InputError, ModelError
from tests.train.answering import Server
from tests.train.doubling import doubled
from tests.train.pictures_made import infotext, png
from tests.train.test_collect import asking, pairs_in
from tests.train.tiny_vision import write_aesthetic, write_blip
from train import collect
from train.data.any_prompts import read_any
from train.data.workers import Workers
from train.models.pictures import Beauty, Captioner

GOOD = [
    "a fox in an old library, warm lamplight, dust in the air, oil painting, soft brush strokes",
    "a ship near pale hills, heavy rain over a wet deck, deep shadow, quiet sea, ink drawing, fog",
    "an owl on a stone bridge, golden evening light, drifting leaves, shadows, film photograph",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("models")
    write_blip(folder / "blip")
    write_aesthetic(folder / "aesthetic")
    return folder


def noise(path, seed):
    """A picture without text, unlike others."""
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((96, 64)).save(path)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, prompt in enumerate(GOOD):
        png(folder / f"good{i}.png", parameters=infotext(prompt))
    for i in range(5):
        noise(folder / f"bare{i}.png", i)
    (folder / "torn.png").write_bytes((folder / "bare0.png").read_bytes()[:60])
    return folder


def run(pictures, *more):
    out = pictures.parent / "out"
    collect.main(["--images", str(pictures), "--out", str(out), *more])
    return json.loads((out / "report.json").read_text())


def test_pictures_are_captioned_and_of_good_prompts_it_is_the_low_side(pictures, models, capsys):
    more = ["--caption", str(models / "blip"), "--consistency", "-1"]
    report = run(pictures, *more)
    assert report["pictures: without a prompt"] == 5 and report["pictures: A1111"] == 3
    assert report["pictures: unreadable"] == 1 and report["pictures captioned"] == 8
    pairs = pairs_in(pictures.parent / "out")
    captioned = pairs[pairs.source == "A1111, captioned"]
    assert set(captioned.prompt) == set(GOOD) and (captioned["mode"] == "rewrite").all()
    assert (captioned.raw_prompt.str.split().str.len() > 1).all()
    # Cutting goes on beside it, and captions of bare pictures are prompts, if too short to cut.
    assert report["read"] == 8 and set(pairs.source) == {"A1111", "A1111, captioned"}


def test_a_picture_is_looked_at_once(pictures, models, monkeypatch):
    more = ["--caption", str(models / "blip"), "--consistency", "-1"]
    run(pictures, *more)
    first = pairs_in(pictures.parent / "out")

    def none(self, model):
        raise AssertionError("asked again")

    monkeypatch.setattr(Captioner, "__init__", none)
    run(pictures, *more)
    pd.testing.assert_frame_equal(pairs_in(pictures.parent / "out"), first)
    noise(pictures / "new.png", 99)
    with pytest.raises(AssertionError):
        run(pictures, *more)


def test_bare_pictures_captions_are_upgraded(pictures, models, server, tmp_path):
    more = f"--caption {models / 'blip'} --consistency -1 --llm {server} --llm-model tiny".split()
    report = run(pictures, *more)
    pairs = pairs_in(tmp_path / "out")
    assert report["pairs: upgraded"] and report["pairs: captioned"] == 3
    assert set(pairs.source) == {"caption, upgraded", "A1111, captioned", "A1111, summarised"}
    # What is to be upgraded alone is low, however long.
    run(pictures, *more, "--construct", "upgraded")
    assert set(pairs_in(tmp_path / "out").source) == {"caption, upgraded", "A1111, upgraded"}


def test_ugly_pictures_go(pictures, models):
    folder = models / "aesthetic"
    more = f"--aesthetic {folder} --aesthetic_clip {folder} --min_aesthetic".split()
    assert run(pictures, *more, "0")["pictures: aesthetic score under 0"] == 0
    good = sorted(pictures.glob("good*"))
    scores = sorted(map(float, Beauty(str(folder), str(folder))(good)))
    with sqlite3.connect(pictures.parent / "out/answers.sqlite") as base:
        everyone = [float(text) for (text,) in base.execute("SELECT text FROM answers")]
    least = (scores[0] + scores[1]) / 2
    report = run(pictures, *more, str(least))
    assert report["read"] == 2
    assert report[f"pictures: aesthetic score under {least:g}"] == sum(s < least for s in everyone)
    with pytest.raises(ModelError, match="is missing"):
        run(pictures, "--aesthetic", "nowhere.pth", "--aesthetic_clip", str(folder))


def test_a_model_that_cannot_caption_is_one_line(pictures, tmp_path):
    with pytest.raises(ModelError, match="cannot caption"):
        run(pictures, "--caption", str(tmp_path))
    with pytest.raises(InputError, match="look at pictures"):
        collect.main(["--data", str(tmp_path), "--caption", "x"])
    with pytest.raises(InputError, match="summarised: that needs --llm"):
        run(pictures, "--construct", "summarised")


def test_pairs_are_read_again_without_their_additions(tmp_path):
    lines = "\n".join(GOOD)
    (tmp_path / "p.txt").write_text(lines)
    collect.main(["--data", f"{tmp_path}/p.txt", "--out", f"{tmp_path}/one"])
    rows = read_any(tmp_path / "one/train.parquet")
    assert rows and all(row.prompt.startswith(row.raw) for row in rows)
    files = [str(tmp_path / f"one/{name}.parquet") for name in ("train", "validation")]
    more = ["--out", f"{tmp_path}/two", "--construct", "typed", "--test", "0.3", "--report"]
    collect.main(["--data", *files, *more])
    parts = [pd.read_parquet(tmp_path / f"two/{n}.parquet") for n in ("train", "test")]
    parts.append(pd.read_parquet(tmp_path / "two/validation.parquet"))
    assert [part.cluster.nunique() for part in parts] == [1, 1, 1]
    assert len(set(pd.concat(parts).cluster)) == 3


# Over workers.


@pytest.mark.parametrize("kind", ["local", "ray"])
def test_every_item_is_answered_once_and_in_order(kind, tmp_path):
    if kind == "ray":
        pytest.importorskip("ray")
    kept = []
    marker = tmp_path / "killed" if kind == "ray" else None
    workers = Workers(kind, 2)
    make = partial(doubled, marker)
    said = workers.run(make, list(range(101)), 5, "doubling", lambda *pair: kept.append(pair))
    assert said == [2 * i for i in range(101)]
    assert sorted(kept) == [(i, 2 * i) for i in range(101)]
    assert marker is None or marker.exists()
    with pytest.raises(InputError, match="take it away"):
        workers.run(doubled, [1, "fault"], 1, "doubling")
    assert workers.run(doubled, [], 5, "nothing") == []


def test_a_cluster_collects_the_same(pictures, models, server, tmp_path):
    pytest.importorskip("ray")
    more = f"--caption {models / 'blip'} --consistency -1".split()
    command = asking(tmp_path, server)[:-2]
    everything = [*command, "--images", str(pictures), *more, "--out"]
    collect.main([*everything, f"{tmp_path}/local"])
    paid = len(Server.asked)
    collect.main([*everything, f"{tmp_path}/ray", "--workers", "ray"])
    pd.testing.assert_frame_equal(pairs_in(tmp_path / "local"), pairs_in(tmp_path / "ray"))
    # The actors keep nothing, and yet nothing is asked again.
    paid = len(Server.asked)
    collect.main([*everything, f"{tmp_path}/ray", "--workers", "ray"])
    assert len(Server.asked) == paid


def test_without_ray_the_remedy_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "p.txt").write_text(GOOD[0])
    with pytest.raises(InputError, match="pip install"):
        collect.main([*f"--data {tmp_path}/p.txt --workers ray --out {tmp_path}/o".split()])


# A dry run.


def test_a_dry_run_tries_a_little_and_pays_for_nothing_twice(
    pictures,
    models,
    server,
    tmp_path,
    capsys,
):
    command = asking(tmp_path, server)
    more = ["--images", str(pictures), "--caption", str(models / "blip")]
    collect.main([*command, *more, "--dry_run"])
    told = capsys.readouterr().out
    assert "pictures: A1111" in told and "can be written to" in told
    assert "summaries, 1" in told and "captions, 4 at" in told and "upgrades" in told
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["answers.sqlite"]
    tried = set(Server.asked)
    assert len(tried) == 8
    Server.asked.clear()
    collect.main([*command, *more])
    assert not tried & set(Server.asked)


def test_a_dry_run_that_asks_nobody_leaves_nothing(pictures, tmp_path):
    collect.main(["--images", str(pictures), "--out", str(tmp_path / "out"), "--dry_run"])
    assert not (tmp_path / "out").exists()


def test_a_dry_run_finds_what_is_wrong(tmp_path, server):
    command = asking(tmp_path, "http://127.0.0.1:9/v1")
    with pytest.raises(InputError, match="no server answers"):
        collect.main([*command, "--dry-run"])
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError, match="cannot write"):
        collect.main([*asking(tmp_path, server)[:-2], "--dry-run", "--out", f"{blocked}/out"])
