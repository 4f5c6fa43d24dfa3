"""Label pairs with image scores: render every prompt from several seeds, score, average.

    python train/label.py --config train/configs/paper_label.yaml

In: Parquet or CSV with raw_prompt and prompt (the pairs of `train/collect.py`). Out: a folder with
`labels.parquet` (raw_prompt, prompt, images, and mean and spread over the seeds of pick_score, of
the image against the *raw* prompt, and of aesthetic), which `train/reward.py` learns from.

The work is cut into batches of prompts by their order alone. A finished batch is one shard, moved
into place whole; begun again after whatever end, the run skips the shards that are there. Within a
batch, pictures are scored in one thread while the next are drawn. `--workers ray` gives the batches
to the actors of a Ray cluster, which write the same shards.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bp_core.errors import BeautifulPromptError, InputError
from train.models.vision import define_operators
from train.rewards.render import Renderer, RenderSettings

SCORES = ("pick_score", "aesthetic")


@dataclass
class LabelArguments:
    """What is labelled with what."""

    pairs: str = field(metadata={"help": "Parquet or CSV with raw_prompt and prompt"})
    out: str = field(metadata={"help": "folder for shards and labels.parquet"})
    checkpoint: str = field(
        default=RenderSettings.checkpoint,
        metadata={"help": "diffusers model: hub id, folder, file"},
    )
    scheduler: str = field(default=RenderSettings.scheduler, metadata={"help": "of diffusers"})
    steps: int = field(default=RenderSettings.steps, metadata={"help": "of the sampler"})
    guidance: float = field(default=RenderSettings.guidance, metadata={"help": "classifier-free"})
    size: int = field(default=RenderSettings.size, metadata={"help": "pixels a side"})
    negative_prompt: str = field(default="", metadata={"help": "leads away from"})
    seeds: int = field(default=8, metadata={"help": "pictures a prompt"})
    first_seed: int = field(default=0, metadata={"help": "seeds are this and the next ones"})
    batch_prompts: int = field(default=16, metadata={"help": "prompts a shard"})
    batch_images: int = field(default=16, metadata={"help": "pictures drawn together"})
    pick_model: str = field(
        default="yuvalkirstain/PickScore_v1", metadata={"help": "hub id or folder"}
    )
    aesthetic_head: str = field(
        default="sac+logos+ava1-l14-linearMSE.pth", metadata={"help": "LAION's file"}
    )
    aesthetic_clip: str = field(default="openai", metadata={"help": "open_clip tag or file"})
    device: str = field(default="auto", metadata={"help": "cuda, cpu, or auto"})
    thumbnails: int = field(default=0, metadata={"help": "pixels a side of kept JPEGs; 0: none"})
    workers: str = field(default="local", metadata={"help": "local or ray"})
    ray_actors: int = field(default=1, metadata={"help": "with workers ray: how many"})

    def __post_init__(self) -> None:
        for name in ("steps", "seeds", "batch_prompts", "batch_images", "ray_actors"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give a whole number above 0")
        if self.workers not in ("local", "ray"):
            raise InputError(f"workers is '{self.workers}': choose local or ray")

    def settings(self) -> RenderSettings:
        return RenderSettings(
            self.checkpoint,
            self.scheduler,
            self.steps,
            self.guidance,
            self.size,
            self.negative_prompt,
        )


class Draws(Protocol):
    """What draws pictures: `train.rewards.render.Renderer`."""

    def render(self, prompts: Sequence[str], seeds: Sequence[int]): ...


class Scores(Protocol):
    """What scores pictures: the scorers of `bp_core.image_score`."""

    def score(self, images, prompts: Sequence[str] | None = None): ...


def read_pairs(path: str) -> pd.DataFrame:
    """Distinct (raw_prompt, prompt) rows in their order; raises InputError."""
    try:
        frame = pd.read_csv(path) if path.endswith(".csv") else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read pairs from {path} ({error}): make them with train/collect.py"
        ) from error
    missing = {"raw_prompt", "prompt"} - set(frame.columns)
    if missing:
        raise InputError(f"{path} lacks the column(s) {', '.join(sorted(missing))}")
    frame = frame[["raw_prompt", "prompt"]].drop_duplicates(ignore_index=True)
    for column in frame.columns:
        empty = frame[column].isna() | (frame[column].astype(str).str.strip() == "")
        if empty.any():
            raise InputError(f"{path}: row {int(empty.idxmax())} has an empty {column}: drop it")
    if frame.empty:
        raise InputError(f"{path} has no rows: make pairs with train/collect.py")
    return frame


def plan(pairs: pd.DataFrame, size: int) -> list[pd.DataFrame]:
    """Batches of `size` distinct prompts with all their pairs, in order of first appearance."""
    rank = pairs.groupby("prompt", sort=False).ngroup()
    return [part for _, part in pairs.groupby(rank // size, sort=True)]


def label_batch(
    batch: pd.DataFrame,
    seeds: Sequence[int],
    images: int,
    renderer: Draws,
    pick: Scores,
    aesthetic: Scores,
    keep: Callable | None = None,
    advance: Callable[[int], None] = lambda n: None,
) -> pd.DataFrame:
    """The rows of a batch with images, <score> and <score>_std for each of SCORES.

    Args:
        images: pictures drawn in one call.
        keep: called with (pictures, prompts, seeds) of each call: thumbnails.
        advance: called with the number of pictures just scored.
    """
    raws = batch.groupby("prompt", sort=False).raw_prompt.apply(list)
    jobs = [(prompt, seed) for prompt in raws.index for seed in seeds]
    rows: list[tuple[str, str, float, float]] = []

    def judge(pictures, part: list[tuple[str, int]]) -> None:
        beauty = aesthetic.score(pictures).tolist()
        # One picture stands for every raw prompt that led to its prompt.
        pairs = [(i, raw) for i, (prompt, _) in enumerate(part) for raw in raws[prompt]]
        picks = pick.score(pictures[[i for i, _ in pairs]], [raw for _, raw in pairs]).tolist()
        rows.extend(
            (raw, part[i][0], value, beauty[i])
            for (i, raw), value in zip(pairs, picks, strict=True)
        )
        if keep is not None:
            keep(pictures, [p for p, _ in part], [s for _, s in part])
        advance(len(part))

    with ThreadPoolExecutor(1) as scorer:
        pending = None
        for start in range(0, len(jobs), images):
            part = jobs[start : start + images]
            pictures = renderer.render([p for p, _ in part], [s for _, s in part])
            if pending is not None:
                pending.result()
            pending = scorer.submit(judge, pictures, part)
        pending.result()
    frame = pd.DataFrame(rows, columns=["raw_prompt", "prompt", *SCORES])
    grouped = frame.groupby(["raw_prompt", "prompt"], sort=False)
    out = batch.reset_index(drop=True).copy()
    out["images"] = len(seeds)
    for score in SCORES:
        # Means in float64 over seeds in order: the same whatever was killed before.
        figures = grouped[score].agg(["mean", "std"]).fillna(0.0)
        found = figures.loc[list(zip(out.raw_prompt, out.prompt, strict=True))]
        out[score], out[f"{score}_std"] = found["mean"].to_numpy(), found["std"].to_numpy()
    return out


def shard_path(out: Path, index: int) -> Path:
    return out / "shards" / f"{index:06d}.parquet"


def write_whole(frame: pd.DataFrame, path: Path) -> None:
    """Write Parquet so that it is there whole or not at all; raises InputError on a full disk."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        frame.to_parquet(draft, index=False)
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"no room for {path}: free some and run again; finished shards stay"
            ) from error
        raise


def prepare(out: Path, pairs: pd.DataFrame, args: LabelArguments) -> None:
    """Make the folder, or check that it holds labels of these very pairs and settings."""
    (out / "shards").mkdir(parents=True, exist_ok=True)
    # What decides the labels: where it runs and what it keeps besides does not.
    elsewhere = {"pairs", "out", "device", "thumbnails", "workers", "ray_actors"}
    about = {k: v for k, v in asdict(args).items() if k not in elsewhere}
    rows = json.dumps(pairs.to_numpy().tolist()).encode()
    about["pairs_sha256"] = hashlib.sha256(rows).hexdigest()
    path = out / "plan.json"
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(k for k in about.keys() | before.keys() if about.get(k) != before.get(k))
        if changed:
            raise InputError(
                f"{out} holds labels made with another {', '.join(changed)}: give another --out"
            )
        for draft in (out / "shards").glob(".*"):
            draft.unlink(missing_ok=True)
        return
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


class Labeller:
    """Draws, scores and writes one batch at a time; made where the work is done.

    Args:
        load: gives (renderer, pick scorer, aesthetic scorer).
    """

    def __init__(self, args: LabelArguments, load: Callable | None = None) -> None:
        self.args = args
        self.renderer, self.pick, self.aesthetic = (load or load_models)(args)

    def __call__(self, index: int, batch: pd.DataFrame, advance=lambda n: None) -> None:
        args, out = self.args, Path(self.args.out)
        path = shard_path(out, index)
        if path.is_file():
            return
        seeds = range(args.first_seed, args.first_seed + args.seeds)
        keep = Thumbnails(out / "thumbnails", args.thumbnails) if args.thumbnails else None
        frame = label_batch(
            batch,
            seeds,
            args.batch_images,
            self.renderer,
            self.pick,
            self.aesthetic,
            keep,
            advance,
        )
        write_whole(frame, path)


class Thumbnails:
    """Keeps small JPEGs, named after a hash of the prompt and the seed."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, pictures, prompts: Sequence[str], seeds: Sequence[int]) -> None:
        from bp_core.score.image import to_pil

        for image, prompt, seed in zip(to_pil(pictures), prompts, seeds, strict=True):
            name = hashlib.sha256(prompt.encode()).hexdigest()[:16]
            image.thumbnail((self.size, self.size))
            image.save(self.folder / f"{name}-{seed}.jpg", quality=85)


def load_models(args: LabelArguments) -> tuple[Draws, Scores, Scores]:
    import torch

    define_operators()
    from bp_core.score.image import AestheticScore, PickScore

    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return (
        Renderer.load(args.settings(), device),
        PickScore.load(args.pick_model, device),
        AestheticScore.load(args.aesthetic_head, args.aesthetic_clip, device),
    )


def run(args: LabelArguments, load: Callable | None = None) -> Path:
    """Label all pairs, or what is left of them; the path of labels.parquet."""
    pairs = read_pairs(args.pairs)
    out = Path(args.out)
    prepare(out, pairs, args)
    batches = plan(pairs, args.batch_prompts)
    todo = [(i, b) for i, b in enumerate(batches) if not shard_path(out, i).is_file()]
    if todo and args.workers == "ray":
        from train.rewards.label_ray import spread

        spread(args, todo, load)
    elif todo:
        from tqdm import tqdm

        labeller = Labeller(args, load)
        pictures = sum(b.prompt.nunique() for _, b in todo) * args.seeds
        with tqdm(total=pictures, unit="image", desc="labelling") as bar:
            for index, batch in todo:
                labeller(index, batch, bar.update)
    shards = [pd.read_parquet(shard_path(out, i)) for i in range(len(batches))]
    labels = pairs.merge(pd.concat(shards), on=["raw_prompt", "prompt"], how="left")
    write_whole(labels, out / "labels.parquet")
    return out / "labels.parquet"


def main(argv: list[str] | None = None) -> None:
    define_operators()
    from trl import TrlParser

    (args,) = TrlParser(LabelArguments).parse_args_and_config(argv)
    print(f"wrote {run(args)}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except BeautifulPromptError as error:
        sys.exit(f"label.py: {error}")
