"""Batches of prompts labelled with scores of their pictures, one shard a batch.

Pictures are scored in one thread while the next are drawn. A shard is moved into place whole.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd

from bp_core.errors import InputError
from bp_core.models.vision import define_operators
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
    aesthetic_clip: str = field(
        default="openai", metadata={"help": "open_clip tag, file or folder"}
    )
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
    """What scores pictures: the scorers of `bp_core.score.image`."""

    def score(self, images, prompts: Sequence[str] | None = None): ...


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
        of_rows = figures.loc[list(zip(out.raw_prompt, out.prompt, strict=True))]
        out[score], out[f"{score}_std"] = of_rows["mean"].to_numpy(), of_rows["std"].to_numpy()
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


def chosen_device(device: str) -> str:
    """The device asked for; "auto" is CUDA where there is one."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def load_models(args: LabelArguments) -> tuple[Draws, Scores, Scores]:
    define_operators()
    from bp_core.score.image import AestheticScore, PickScore

    device = chosen_device(args.device)
    return (
        Renderer.load(args.settings(), device),
        PickScore.load(args.pick_model, device),
        AestheticScore.load(args.aesthetic_head, args.aesthetic_clip, device),
    )
