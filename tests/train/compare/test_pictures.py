"""evaluate.py --render on a tiny random pipeline and scorers: drawn, scored, resumed."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from bp_core.errors import InputError
from bp_core.score.image import PickScore
from tests.bp_core.score.test_image import aesthetic, clip, hps, pick_folder  # noqa: F401
from tests.train.test_label import tiny_pipeline
from train import evaluate
from train.compare import pictures
from train.compare.gallery import figures
from train.compare.pictures import RAW, DrawingArguments, draw, to_jobs, with_raw
from train.compare.versions import Version

ROOT = Path(__file__).resolve().parents[3]
PROMPTS = ["a cat", "a dog, far", "fog"]
VERSIONS = {
    "ours": [Version(p, f"{p}, red") for p in PROMPTS],
    "theirs": [Version(p, p if p == "fog" else f"{p}, blue and a long tail") for p in PROMPTS],
}


class ToyRenderer:
    def __init__(self, pause=0.0, fails=()):
        self.pause, self.fails, self.calls = pause, fails, 0

    def render(self, prompts, seeds):
        time.sleep(self.pause)
        self.calls += 1
        if self.calls in self.fails:
            raise KeyboardInterrupt
        level = [(sum(map(ord, p)) * 31 + s * 7) % 97 / 97 for p, s in zip(prompts, seeds)]
        return torch.tensor(level)[:, None, None, None].expand(-1, 8, 8, 3).clone()


class ToyScore:
    def score(self, images, prompts=None):
        return torch.tensor([im.getpixel((0, 0))[0] + len(p) for im, p in zip(images, prompts)])


def toys(*_, renderer=None):
    return renderer or ToyRenderer(), {"pick_score": ToyScore(), "hps": ToyScore()}


def options(**changes):
    return DrawingArguments(**({"seeds": 3, "batch_images": 4} | changes))


def test_a_text_is_drawn_once_from_each_seed_whoever_wrote_it():
    jobs = to_jobs(with_raw(VERSIONS), range(3))
    assert len(jobs) == len({job.picture for job in jobs}) == (3 + 3 + 2) * 3
    assert [job.seed for job in jobs[:3]] == [0, 1, 2] and jobs[0].text == "a cat"


def test_gains_are_over_the_raw_prompts_pictures(tmp_path):
    everyone = with_raw(VERSIONS)
    rows = draw(everyone, tmp_path, "toy", options(), ["pick_score", "hps"], toys)
    assert all((tmp_path / row["picture"]).is_file() for row in rows)
    assert all("aesthetic" not in row for row in rows)
    found = figures(everyone, rows)["pick_score"]
    level = {(r["prompt"], r["seed"]): r["pick_score"] for r in rows}
    mean = lambda text: sum(level[text, s] for s in range(3)) / 3  # noqa: E731
    gains = [mean(v.text) - mean(v.prompt) for v in VERSIONS["ours"]]
    assert found["ours"]["gain"]["mean"] == pytest.approx(sum(gains) / 3)
    assert found["ours"]["better"]["of"] == 3 and found["theirs"]["better"]["of"] == 2
    assert "gain" not in found[RAW]


def test_an_ended_run_goes_on_and_ends_as_an_unbroken_one(tmp_path):
    everyone = with_raw(VERSIONS)
    whole = draw(everyone, tmp_path / "a", "toy", options(), ["pick_score", "hps"], toys)
    broken = ToyRenderer(fails=[3])
    with pytest.raises(KeyboardInterrupt):
        draw(everyone, tmp_path / "b", "toy", options(), ["pick_score", "hps"],
             lambda *a: toys(renderer=broken))  # fmt: skip
    rest = ToyRenderer()
    told = []
    found = draw(everyone, tmp_path / "b", "toy", options(), ["pick_score", "hps"],
                 lambda *a: toys(renderer=rest), told.append)  # fmt: skip
    assert found == whole == told[-1] and rest.calls == 6 - 2
    # Nothing is loaded where nothing is left.
    draw(everyone, tmp_path / "b", "toy", options(), ["pick_score", "hps"], pytest.fail)
    with pytest.raises(InputError, match="another seeds"):
        draw(everyone, tmp_path / "b", "toy", options(seeds=4), ["pick_score", "hps"], toys)
    with pytest.raises(InputError, match="seeds is 0"):
        options(seeds=0)


def test_kills_cost_no_picture(tmp_path):
    whole = draw(with_raw(VERSIONS), tmp_path / "a", "toy", options(), ["pick_score", "hps"], toys)
    code = (
        "import sys; from pathlib import Path; from tests.train.compare.test_pictures import *; "
        "draw(with_raw(VERSIONS), Path(sys.argv[1]), 'toy', options(), ['pick_score', 'hps'], "
        "lambda *a: toys(renderer=ToyRenderer(0.2)))"
    )
    rng = random.Random(1)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "b"], cwd=ROOT)
        before = len(list((tmp_path / "b").glob("scores/*.json")))
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            if len(list((tmp_path / "b").glob("scores/*.json"))) > before:
                break
            time.sleep(0.01)
        time.sleep(0.2 * rng.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
    found = draw(with_raw(VERSIONS), tmp_path / "b", "toy", options(), ["pick_score", "hps"], toys)
    assert found == whole
    assert not list((tmp_path / "b/scores").glob(".*"))


@pytest.fixture
def tiny(tmp_path, monkeypatch, pick_folder, clip):  # noqa: F811
    """A folder with a pipeline of random weights; scorers of random weights are loaded for it."""
    tiny_pipeline(tmp_path / "words").save_pretrained(tmp_path / "sd")
    real = pictures.load_models

    def load(pipeline, args, scores):
        assert (args.device, sorted(scores)) == ("auto", ["aesthetic", "hps", "pick_score"])
        renderer, none = real(pipeline, args, [])
        assert none == {}
        scorers = {"pick_score": PickScore.load(pick_folder), "aesthetic": aesthetic(clip)}
        return renderer, scorers | {"hps": hps(clip)}

    monkeypatch.setattr(pictures, "load_models", load)
    return tmp_path


def test_rewrites_are_drawn_scored_and_voted_on(tiny, model_folder, capsys):
    (tiny / "mine.txt").write_text("a cat in the garden\na lighthouse\nthe sea\n")
    command = [
        "--model", str(model_folder), "--reward", "none", "--sets", "--prompts",
        str(tiny / "mine.txt"), "--n", "2", "--out", str(tiny / "out"), "--render",
        str(tiny / "sd"), "--seeds", "2", "--steps", "2", "--size", "16", "--blind",
    ]  # fmt: skip
    evaluate.main(command)
    told = capsys.readouterr()
    assert "| pick_score | expand |" in told.out and "vote.html" in told.err
    found = json.loads((tiny / "out/pictures.json").read_text())
    assert set(found) == {"pick_score", "aesthetic", "hps"}
    assert set(found["hps"]) == {RAW, "expand", "rewrite"}
    page = (tiny / "out/pictures.html").read_text()
    assert "a lighthouse" in page and 'src="pictures/' in page and "http" not in page
    rows = pd.read_parquet(tiny / "out/pictures.parquet")
    assert {"raw_prompt", "prompt", "seed", "pick_score", "aesthetic", "hps"} <= set(rows)
    vote = (tiny / "out/vote.html").read_text()
    assert "data:image/jpeg" in vote and "expand" not in vote.split('id="data"')[1][:200_000]
    # Again: nothing is written, drawn or scored anew.
    drawn = {p: p.stat().st_mtime_ns for p in (tiny / "out/pictures").iterdir()}
    evaluate.main(command)
    assert "measured before" in capsys.readouterr().err
    assert drawn == {p: p.stat().st_mtime_ns for p in (tiny / "out/pictures").iterdir()}
    assert json.loads((tiny / "out/pictures.json").read_text()) == found


def test_texts_from_files_are_drawn_too(tiny):
    for name, rows in VERSIONS.items():
        lines = [json.dumps({"prompt": v.prompt, "text": v.text}) for v in rows]
        (tiny / f"{name}.jsonl").write_text("\n".join(lines))
    named = [f"{name}={tiny / name}.jsonl" for name in VERSIONS]
    drawing = ["--render", str(tiny / "sd"), "--seeds", "1", "--steps", "2", "--size", "16"]
    evaluate.main(["--blind", *named, *drawing, "--out", str(tiny / "out")])
    found = json.loads((tiny / "out/pictures.json").read_text())
    assert set(found["aesthetic"]) == {RAW, "ours", "theirs"}
    assert not (tiny / "out/packet.txt").exists()
