"""Pictures of several versions of the same prompts, drawn from the same seeds and scored.

The work is cut into batches by its order alone. A finished batch is one file of `scores/`, moved
into place whole after its pictures: begun again after whatever end, a run skips what is there.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from bp_core.errors import InputError
from bp_core.models.vision import define_operators
from train.compare.versions import Version
from train.data.plan import keep_plan
from train.data.progress import bar
from train.report.page import write_whole
from train.rewards.labelling import Draws, Scores, chosen_device
from train.rewards.render import Renderer, RenderSettings

RAW = "raw prompt"
SCORES = ("pick_score", "aesthetic", "hps")
_REPORT_SECONDS = 60
_DTYPES = ("float16", "bfloat16", "float32")


@dataclass
class DrawingArguments:
    """How pictures are drawn and scored; without an argument as the pipeline itself draws."""

    seeds: int = field(default=4, metadata={"help": "pictures of each version"})
    first_seed: int = field(default=0, metadata={"help": "seeds are this and the next ones"})
    scheduler: str = field(default="", metadata={"help": "of diffusers (the pipeline's own)"})
    steps: int = field(default=0, metadata={"help": "of the sampler (the pipeline's own)"})
    guidance: float | None = field(default=None, metadata={"help": "(the pipeline's own)"})
    size: int = field(default=0, metadata={"help": "pixels a side (the pipeline's own)"})
    negative_prompt: str = field(default="", metadata={"help": "leads away from"})
    dtype: str = field(default="", metadata={"help": "float16, bfloat16, float32 (by device)"})
    batch_images: int = field(default=8, metadata={"help": "pictures drawn together"})
    device: str = field(default="auto", metadata={"help": "cuda, cpu, or auto"})
    pick_model: str = field(
        default="yuvalkirstain/PickScore_v1", metadata={"help": "hub id or folder"}
    )
    aesthetic_head: str = field(
        default="sac+logos+ava1-l14-linearMSE.pth", metadata={"help": "LAION's file"}
    )
    aesthetic_clip: str = field(default="openai", metadata={"help": "open_clip tag or file"})
    hps_weights: str | None = field(default=None, metadata={"help": "file (from the hub)"})

    def __post_init__(self) -> None:
        for name in ("seeds", "batch_images"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give a whole number above 0")
        if self.dtype not in ("", *_DTYPES):
            raise InputError(f"dtype is '{self.dtype}': choose {', '.join(_DTYPES)}")

    def settings(self, pipeline: str) -> RenderSettings:
        return RenderSettings(
            pipeline,
            self.scheduler,
            self.steps,
            self.guidance,
            self.size,
            self.negative_prompt,
            self.dtype,
        )


@dataclass(frozen=True)
class Job:
    """One picture, and the raw prompts that it is compared for."""

    text: str
    seed: int
    raws: tuple[str, ...]

    @property
    def picture(self) -> str:
        name = hashlib.sha256(self.text.encode()).hexdigest()[:16]
        return f"pictures/{name}-{self.seed}.jpg"


def with_raw(versions: Mapping[str, Sequence[Version]]) -> dict[str, list[Version]]:
    """The versions, and before them the raw prompts as if somebody had written them."""
    raw = [replace(v, text=v.prompt) for v in next(iter(versions.values()))]
    return {RAW: raw} | {name: list(rows) for name, rows in versions.items() if name != RAW}


def draw(
    versions: Mapping[str, Sequence[Version]],
    out: Path,
    pipeline: str,
    args: DrawingArguments,
    scores: Sequence[str],
    load: Callable | None = None,
    report: Callable[[list[dict]], None] = lambda rows: None,
) -> list[dict]:
    """Draw and score all versions, or what is left of them.

    Args:
        scores: of SCORES; PickScore and HPS are of the picture against the raw prompt.
        load: gives (renderer, scorers by name) instead of `load_models`.
        report: called with the rows now and then, and at the end.

    Returns:
        A row a picture and raw prompt: raw_prompt, prompt, seed, picture, and its scores.

    Raises:
        InputError: the folder holds pictures of other versions or settings.
    """
    jobs = to_jobs(versions, range(args.first_seed, args.first_seed + args.seeds))
    for folder in (out / "pictures", out / "scores"):
        folder.mkdir(parents=True, exist_ok=True)
    elsewhere = {"device"}
    about = {name: value for name, value in asdict(args).items() if name not in elsewhere}
    texts = json.dumps([[j.text, j.raws] for j in jobs]).encode()
    about |= {"pipeline": pipeline, "scores": sorted(scores)}
    keep_plan(
        out / "pictures.plan.json",
        about | {"versions": hashlib.sha256(texts).hexdigest()},
        "pictures",
    )
    size = args.batch_images
    batches = [jobs[start : start + size] for start in range(0, len(jobs), size)]
    todo = [i for i in range(len(batches)) if not _shard(out, i).is_file()]
    if todo:
        renderer, scorers = (load or load_models)(pipeline, args, scores)
        done, told = len(jobs) - sum(len(batches[i]) for i in todo), time.monotonic()
        shown = bar(len(jobs), "pictures", done)
        for i in todo:
            rows = _draw_batch(batches[i], out, renderer, scorers)
            write_whole(_shard(out, i), json.dumps(rows, ensure_ascii=False) + "\n")
            shown.update(len(batches[i]))
            if time.monotonic() - told > _REPORT_SECONDS:
                report(list(_rows(out, len(batches))))
                told = time.monotonic()
        shown.close()
    rows = list(_rows(out, len(batches)))
    report(rows)
    return rows


def to_jobs(versions: Mapping[str, Sequence[Version]], seeds: Sequence[int]) -> list[Job]:
    """Each different text from each seed once, the versions of one prompt side by side."""
    raws: dict[str, dict[str, None]] = {}
    for rows in zip(*versions.values(), strict=True):
        for version in rows:
            raws.setdefault(version.text, {})[version.prompt] = None
    return [Job(text, seed, tuple(of)) for text, of in raws.items() for seed in seeds]


def _shard(out: Path, index: int) -> Path:
    return out / "scores" / f"{index:06d}.json"


def _rows(out: Path, count: int) -> Iterator[dict]:
    for index in range(count):
        if (path := _shard(out, index)).is_file():
            yield from json.loads(path.read_text(encoding="utf-8"))


def _draw_batch(
    batch: Sequence[Job], out: Path, renderer: Draws, scorers: Mapping[str, Scores]
) -> list[dict]:
    from bp_core.score.image import to_pil

    pictures = to_pil(renderer.render([job.text for job in batch], [job.seed for job in batch]))
    rows = []
    for job, picture in zip(batch, pictures, strict=True):
        picture.save(out / job.picture, quality=95)
        about = {"prompt": job.text, "seed": job.seed, "picture": job.picture}
        rows += [({"raw_prompt": raw} | about, picture) for raw in job.raws]
    raws = [row["raw_prompt"] for row, _ in rows]
    for name, scorer in scorers.items():
        values = scorer.score([picture for _, picture in rows], raws).tolist()
        for (row, _), value in zip(rows, values, strict=True):
            row[name] = value
    return [row for row, _ in rows]


def with_pictures(
    versions: Mapping[str, Sequence[Version]], out: Path, rows: Sequence[dict], pick: Callable
) -> dict[str, list[Version]]:
    """The versions with one picture each, of the seed that `pick` chooses for a prompt's seeds."""
    drawn: dict[str, dict[int, str]] = {}
    for row in rows:
        drawn.setdefault(row["prompt"], {})[row["seed"]] = row["picture"]
    chosen: dict[str, int] = {}
    for version in next(iter(versions.values())):
        chosen[version.prompt] = pick(sorted(drawn[version.text]))
    return {
        name: [
            replace(v, seed=(seed := chosen[v.prompt]), picture=out / drawn[v.text][seed])
            for v in of
        ]
        for name, of in versions.items()
    }


def load_models(
    pipeline: str, args: DrawingArguments, scores: Sequence[str]
) -> tuple[Draws, dict[str, Scores]]:
    """The renderer, and the scorers asked for."""
    define_operators()
    from bp_core.score.image import AestheticScore, HpsScore, PickScore

    device = chosen_device(args.device)
    loaders = {
        "pick_score": lambda: PickScore.load(args.pick_model, device),
        "aesthetic": lambda: AestheticScore.load(args.aesthetic_head, args.aesthetic_clip, device),
        "hps": lambda: HpsScore.load(args.hps_weights, device),
    }
    scorers = {name: loaders[name]() for name in SCORES if name in scores}
    return Renderer.load(args.settings(pipeline), device), scorers
