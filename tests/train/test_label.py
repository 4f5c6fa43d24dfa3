"""label.py: labels from tiny models, and the same labels whatever interrupts the run."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

pytest.importorskip("pyarrow")

from bp_core.errors import InputError
from tests.train.tiny_vision import tiny_pipeline
from train import label
from train.data.pairs import distinct_pairs
from train.label import plan, run
from train.rewards.labelling import LabelArguments, shard_path

PAIRS = pd.DataFrame(
    [("a cat", f"a cat, variant {i // 2}", "x") for i in range(21)]
    + [("a dog", f"a cat, variant {i}", "x") for i in range(3)],
    columns=["raw_prompt", "prompt", "mode"],
)


class ToyRenderer:
    """Pictures that tell their prompt and seed."""

    def __init__(self, pause=0.0):
        self.pause, self.drawn = pause, []

    def render(self, prompts, seeds):
        time.sleep(self.pause)
        self.drawn += list(zip(prompts, seeds, strict=True))
        level = [(sum(map(ord, p)) * 31 + s * 7) % 97 / 97 for p, s in zip(prompts, seeds)]
        return torch.tensor(level)[:, None, None, None].expand(-1, 4, 4, 3).clone()


class ToyScore:
    def score(self, images, prompts=None):
        values = images.mean((1, 2, 3))
        return values if prompts is None else values + torch.tensor([len(p) for p in prompts])


def toys(args):
    return ToyRenderer(float(os.environ.get("TOY_PAUSE", 0))), ToyScore(), ToyScore()


def arguments(folder, pairs=PAIRS, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    pairs.to_parquet(folder / "pairs.parquet")
    fields = {"seeds": 3, "batch_prompts": 2, "batch_images": 4}
    return LabelArguments(str(folder / "pairs.parquet"), str(folder / "out"), **(fields | changes))


def labels(args):
    return pd.read_parquet(run(args, toys))


def test_every_distinct_pair_gets_its_seeds_means(tmp_path):
    args = arguments(tmp_path)
    found = labels(args)
    assert found[["raw_prompt", "prompt"]].equals(distinct_pairs(args.pairs))
    for row in found.itertuples():
        beauty = ToyRenderer().render([row.prompt] * 3, range(3)).mean((1, 2, 3))
        assert row.aesthetic == pytest.approx(beauty.mean().item(), abs=1e-6)
        assert row.aesthetic_std == pytest.approx(beauty.std().item(), abs=1e-6)
        assert row.pick_score == pytest.approx(beauty.mean().item() + len(row.raw_prompt), abs=1e-5)
        assert row.images == 3


def test_a_prompt_is_drawn_once_for_all_its_raw_prompts(tmp_path):
    renderer = ToyRenderer()
    run(arguments(tmp_path), lambda args: (renderer, ToyScore(), ToyScore()))
    assert len(renderer.drawn) == len(set(renderer.drawn)) == PAIRS.prompt.nunique() * 3


def test_batches_hold_whole_prompts():
    parts = plan(PAIRS[["raw_prompt", "prompt"]].drop_duplicates(), 2)
    seen = [set(part.prompt) for part in parts]
    assert all(len(s) <= 2 for s in seen)
    assert sum(map(len, seen)) == len(set.union(*seen))


def test_finished_shards_are_not_drawn_again(tmp_path):
    args = arguments(tmp_path)
    expected = labels(args)
    shard_path(Path(args.out), 1).unlink()
    renderer = ToyRenderer()
    again = pd.read_parquet(run(args, lambda _: (renderer, ToyScore(), ToyScore())))
    assert len(renderer.drawn) == 2 * 3
    assert again.equals(expected)


WORKER = """
import sys
sys.path.insert(0, {root!r})
from tests.train.test_label import toys
from train.label import run
from train.rewards.labelling import LabelArguments
run(LabelArguments(**{fields!r}), toys)
"""


def test_killed_at_ten_random_points_it_ends_the_same(tmp_path):
    pairs = pd.DataFrame({"raw_prompt": ["a"] * 120, "prompt": [f"a {i}" for i in range(120)]})
    expected = labels(arguments(tmp_path / "whole", pairs))
    args = arguments(tmp_path / "killed", pairs)
    root = str(Path(__file__).parents[2])
    script = WORKER.format(root=root, fields=vars(args))
    rng, shards = random.Random(5), Path(args.out) / "shards"
    environment = os.environ | {"TOY_PAUSE": "0.02", "OMP_NUM_THREADS": "1"}
    for _ in range(10):
        before = len(list(shards.glob("*.parquet"))) if shards.is_dir() else 0
        process = subprocess.Popen([sys.executable, "-c", script], env=environment)
        # Imports take their time: the clock runs from the first new shard.
        while process.poll() is None:
            if shards.is_dir() and len(list(shards.glob("*.parquet"))) > before:
                break
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        process.wait()
    written = sorted(shards.glob("*.parquet"))
    assert 0 < len(written) < 60
    times = {path: path.stat().st_mtime_ns for path in written}
    assert labels(args).equals(expected)
    assert all(path.stat().st_mtime_ns == at for path, at in times.items())
    assert not list(shards.glob(".*"))


def test_a_full_disk_keeps_what_was_finished(tmp_path, monkeypatch):
    args = arguments(tmp_path)
    write, written = pd.DataFrame.to_parquet, []

    def full(frame, path, **options):
        if len(written) == 3:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        write(frame, path, **options)

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(InputError, match="no room"):
        run(args, toys)
    monkeypatch.undo()
    shards = sorted((Path(args.out) / "shards").iterdir())
    assert [s.name for s in shards] == [f"{i:06d}.parquet" for i in range(3)]
    assert len(labels(args)) == len(distinct_pairs(args.pairs))


def test_nan_pixels_end_the_run_and_keep_what_was_finished(tmp_path):
    class Broken(ToyRenderer):
        def render(self, prompts, seeds):
            pictures = super().render(prompts, seeds)
            return pictures * float("nan") if len(self.drawn) > 12 else pictures

    class Strict(ToyScore):
        def score(self, images, prompts=None):
            from bp_core.score.image import to_pil

            to_pil(images)
            return super().score(images, prompts)

    args = arguments(tmp_path)
    with pytest.raises(InputError, match="NaN"):
        run(args, lambda _: (Broken(), ToyScore(), Strict()))
    assert shard_path(Path(args.out), 0).is_file()


def test_another_plan_in_the_same_folder_is_refused(tmp_path):
    labels(arguments(tmp_path))
    with pytest.raises(InputError, match="seeds"):
        run(arguments(tmp_path, seeds=4), toys)
    with pytest.raises(InputError, match="pairs_sha256"):
        run(arguments(tmp_path, PAIRS.head(5)), toys)
    # Where it runs does not change the labels.
    labels(arguments(tmp_path, device="cpu", thumbnails=8))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"prompt": ["a"]}), "raw_prompt"),
        (pd.DataFrame({"raw_prompt": [], "prompt": []}), "no rows"),
        (pd.DataFrame({"raw_prompt": ["a", " "], "prompt": ["b", "c"]}), "empty raw_prompt"),
        (pd.DataFrame({"raw_prompt": ["a"], "prompt": [None]}), "empty prompt"),
    ],
)
def test_bad_pair_files_are_told(tmp_path, frame, message):
    with pytest.raises(InputError, match=message):
        run(arguments(tmp_path, frame), toys)


def test_a_file_that_is_no_parquet_is_told(tmp_path):
    (tmp_path / "pairs.parquet").write_text("hello")
    with pytest.raises(InputError, match="cannot read pairs"):
        distinct_pairs(str(tmp_path / "pairs.parquet"))
    with pytest.raises(InputError, match="seeds is 0"):
        LabelArguments("a", "b", seeds=0)


def test_thumbnails_are_kept(tmp_path):
    args = arguments(tmp_path, thumbnails=2)
    labels(args)
    assert len(list((Path(args.out) / "thumbnails").glob("*.jpg"))) == PAIRS.prompt.nunique() * 3


@pytest.fixture(scope="module")
def renderer(tmp_path_factory):
    from train.rewards.render import Renderer, RenderSettings

    pytest.importorskip("diffusers")
    pipeline = tiny_pipeline(tmp_path_factory.mktemp("sd") / "tiny")
    return Renderer(pipeline, RenderSettings("tiny", "", steps=2, size=16))


def test_a_picture_hangs_on_its_prompt_and_seed_alone(renderer):
    prompts = ["a cat", "a dog, and a very long tail of words, more of it", "a cat", "fog"]
    together = renderer.render(prompts, [1, 2, 3, 1])
    assert together.shape == (4, 16, 16, 3)
    assert together.min() >= 0 and together.max() <= 1
    for i, seed in enumerate([1, 2, 3, 1]):
        alone = renderer.render([prompts[i]], [seed])[0]
        assert torch.allclose(alone, together[i], atol=2e-3)
    assert not torch.allclose(together[0], together[2], atol=0.01)


def test_words_beyond_the_window_count(renderer):
    # Ten tokens fill a window: what differs stands behind it.
    start = "abcdefghij "
    condition = [renderer._condition([start + tail], 3)["prompt_embeds"] for tail in ("cat", "dog")]
    assert condition[0].shape == (1, 36, 16)
    assert torch.equal(condition[0][:, :12], condition[1][:, :12])
    assert not torch.equal(condition[0], condition[1])


def test_short_prompts_are_encoded_as_the_pipeline_does(renderer):
    expected, _ = renderer.pipeline.encode_prompt("a cat", "cpu", 1, False)
    assert torch.allclose(renderer._condition(["a cat"], 1)["prompt_embeds"], expected, atol=1e-6)


def test_unknown_checkpoints_and_schedulers_are_told(tmp_path):
    pytest.importorskip("diffusers")
    from bp_core.errors import ModelError
    from train.rewards.render import Renderer, RenderSettings

    with pytest.raises(ModelError, match="no pipeline"):
        Renderer.load(RenderSettings(str(tmp_path)))


def test_ray_labels_the_same(tmp_path):
    pytest.importorskip("ray")
    # Under this name the actors can import it.
    from tests.train.test_label import toys

    args = arguments(tmp_path / "ray", workers="ray", ray_actors=2)
    found = pd.read_parquet(run(args, toys))
    assert found.equals(labels(arguments(tmp_path / "local")))


class Mortal(ToyRenderer):
    """Kills the process that it is in, once."""

    def __init__(self, marker):
        super().__init__()
        self.marker = marker

    def render(self, prompts, seeds):
        if len(self.drawn) > 6 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().render(prompts, seeds)


def mortals(args):
    return Mortal(Path(args.out) / "killed"), ToyScore(), ToyScore()


def test_a_ray_worker_killed_in_mid_run_costs_no_row(tmp_path):
    pytest.importorskip("ray")
    from tests.train.test_label import mortals

    args = arguments(tmp_path / "ray", workers="ray", ray_actors=2)
    found = pd.read_parquet(run(args, mortals))
    assert (Path(args.out) / "killed").exists()
    assert found.equals(labels(arguments(tmp_path / "local")))


def test_without_ray_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="pip install"):
        run(arguments(tmp_path, workers="ray"), toys)


def test_the_papers_config_parses():
    pytest.importorskip("trl")
    from trl import TrlParser

    path = Path(label.__file__).parent / "configs" / "paper_label.yaml"
    (args,) = TrlParser(LabelArguments).parse_args_and_config(["--config", str(path)])
    assert (args.seeds, args.steps, args.size) == (8, 20, 512)
