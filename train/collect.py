"""Make training pairs: a short prompt, and what a good artist makes of it.

    python train/collect.py --images ~/pictures --out runs/mine/pairs
    python train/collect.py --data my/prompts.csv --llm http://127.0.0.1:11434/v1 --llm-model NAME
    python train/collect.py --data DATA --out runs/pairs     # the public pools of docs/training.md

`--images` reads the prompts that A1111 and its kin, ComfyUI, Fooocus, InvokeAI, SwarmUI, NovelAI
and Draw Things wrote into PNG, JPEG and WebP files. `--data` takes any folder or file of txt, csv,
tsv, json, jsonl or parquet. Short sides are, by `--construct`:

    typed       what the artist had typed, where the source has it
    captioned   what a captioning model (`--caption`) sees in the picture of a good prompt
    summarised  what a language model (`--llm`) says that a good prompt shows
    upgraded    a short prompt itself: the language model writes the better one
    cut         the first phrase of a good prompt, where there is no language model

Pictures without a prompt get their caption as one. `--aesthetic` scores pictures, and those below
`--min_aesthetic` go. What models answer is kept in `answers.sqlite`, so that a run that was killed
goes on where it was, and pays for nothing twice. `--workers ray` spreads the work over a cluster.

`train.parquet` and `validation.parquet` have raw_prompt, prompt, mode, dialect, source and cluster;
`prompts.txt` and `held_out.txt` the short sides of both, for `train/ppo.py`; `report.json` what
each step took.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pandas as pd

import train
from bp_core.errors import InputError
from bp_core.settings import DIALECTS
from train.data import own_pairs
from train.data.any_prompts import Row, read_any
from train.data.asked import Answers, ask_all, key_of, summary, upgrade
from train.data.cleaning import clean, is_english, is_safe
from train.data.pictures import Found, Unreadable, pictures_in, read_picture
from train.data.public_pairs import Limits, build
from train.data.workers import KINDS, Workers
from train.report.dry_run import HELP, Findings, Trial, check_folder

CONSTRUCTIONS = ("typed", "captioned", "summarised", "upgraded", "cut")
_READ, _LOOKED = 64, 8  # pictures that a worker reads, and looks at, at a time


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, help="folder of pictures that carry their prompts")
    add("--caption", default="", help="captioning model of transformers: hub id or folder")
    add("--aesthetic", default="", help="LAION's aesthetic predictor: file or folder")
    add("--aesthetic-clip", default="openai", help="its CLIP: open_clip tag, file or folder")
    add("--min-aesthetic", type=float, default=5.0, help="least score of a picture, about 4-7")
    add("--data", type=Path, nargs="+", help="files or folders of prompts, or of the public pools")
    add("--column", default="", help="of --data: the column with the prompts (prompt, text, …)")
    add("--construct", nargs="+", choices=CONSTRUCTIONS, default=[], help="none: all that can be")
    add("--llm", default="", help="an OpenAI-compatible server, as http://127.0.0.1:11434/v1")
    add("--llm-model", default="", help="the model's name there")
    add("--llm-together", type=int, default=4, help="questions open at a time, of each worker")
    add("--llm-rate", type=float, default=0.0, help="questions a second at most; 0: no limit")
    add("--dialect", choices=DIALECTS[1:], default="tags", help="of what --llm writes")
    add("--consistency", type=float, default=0.3, help="least cosine of a pair's sides")
    add("--evaluation", type=Path, help="folder or file of prompts to keep clear of")
    add("--out", type=Path, default=Path("runs/pairs"), help="folder to write to")
    add("--answers", type=Path, help="file of models' answers; none: answers.sqlite in --out")
    add("--report", action="store_true", help="print what each step took, one a line")
    add("--dry-run", action="store_true", help=HELP)
    add("--workers", choices=KINDS, default="local", help="ray: the actors of a Ray cluster")
    add("--ray-actors", type=int, default=2, help="with --workers ray: how many")
    add("--seed", type=int, default=0)
    add("--cuts", type=int, default=6, help="of the public pools: cuts tried per prompt")
    add("--validation", type=float, default=0.03, help="share of clusters held out")
    add("--test", type=float, default=0.0, help="share held out besides, in test.parquet")
    # The other commands have underscores.
    given = sys.argv[1:] if argv is None else argv
    dashed = [re.sub(r"_(?=[\w-]*(?:=|$))", "-", a) if a[:2] == "--" else a for a in given]
    return parser.parse_args(dashed)


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    check(args)
    (check_folder if args.dry_run else train.make_folder)(args.out)
    pools = bool(args.data) and len(args.data) == 1 and (args.data[0] / "imagereward").is_dir()
    if pools and args.images is None and not args.llm:
        public(args, args.data[0])
        return
    report: dict[str, int] = {}
    args.here = Workers(args.workers, args.ray_actors)
    args.findings = Findings()
    # What models do takes long or is paid for.
    args.models = Trial(args.findings) if args.dry_run else args.here
    rows = read_pictures(args, report) if args.images else []
    rows += [row for path in args.data or [] for row in read_any(path, args.column)]
    evaluation = [r.prompt for r in read_any(args.evaluation)] if args.evaluation else []
    rows = own_pairs.cleaned(rows, evaluation, report, args.here)
    rows, ids = own_pairs.distinct(rows, report)
    pairs = make_pairs(args, rows, ids, report)
    if args.dry_run:
        counts = [f"{count} {name}" for name, count in report.items() if count]
        args.findings.checked += [", ".join(counts), check_folder(args.out)]
        args.findings.tell()
        return
    if not pairs:
        tell(report, args.report)
        raise InputError("no pair is left: give longer prompts, or --llm; --report says what went")
    shares = {"validation": args.validation} | ({"test": args.test} if args.test else {})
    parts = own_pairs.split(pairs, shares, args.seed)
    report |= {name: len(part) for name, part in parts.items()}
    write(args.out, parts, report)
    tell(report, args.report)


def check(args: argparse.Namespace) -> None:
    """Raise InputError for arguments that do not go together."""
    if args.images is None and not args.data:
        raise InputError("nothing to collect from: give --images FOLDER or --data FOLDER")
    if args.images is None and (args.caption or args.aesthetic):
        raise InputError("--caption and --aesthetic look at pictures: give --images FOLDER")
    if args.llm and not args.llm_model:
        raise InputError("--llm needs --llm-model: the name of a model on that server")
    able = {"typed", "captioned"} if args.caption else {"typed"}
    able |= {"summarised", "upgraded"} if args.llm else {"cut"}
    if missing := [name for name in args.construct if name not in able | {"cut"}]:
        needs = "--caption MODEL" if missing[0] == "captioned" else "--llm URL --llm-model NAME"
        raise InputError(f"pairs cannot be {missing[0]}: that needs {needs}")
    args.construct = args.construct or sorted(able)
    args.answers = args.answers or args.out / "answers.sqlite"


def read_pictures(args: argparse.Namespace, report: dict[str, int]) -> list[Row]:
    """The prompts of a folder's pictures, or their captions; `report` gets what they were."""
    paths = pictures_in(args.images)
    read = args.here.run(reader, paths, _READ, "pictures")
    tools = Counter("unreadable" if isinstance(f, str) else tool_of(f) for f in read)
    for fault in (f for f in read if isinstance(f, str)):
        print(fault, file=sys.stderr)
    report |= {f"pictures: {tool}": count for tool, count in sorted(tools.items())}
    found = {p: f for p, f in zip(paths, read, strict=True) if not isinstance(f, str)}
    if args.aesthetic:
        found = beautiful(args, found, report)
    captions = captioned(args, found, report) if args.caption else {}
    rows = []
    for path, picture in found.items():
        caption = captions.get(path, "")
        if picture is not None:
            rows.append(Row(picture.original, picture.prompt, picture.tool, caption))
        elif caption:
            rows.append(Row("", caption, "caption", caption))
    return rows


def reader():
    """A worker that reads the prompts in pictures; a text where a picture is none."""

    def read(path: Path) -> Found | str | None:
        try:
            return read_picture(path)
        except Unreadable as error:
            return str(error)

    return lambda paths: [read(path) for path in paths]


def tool_of(found: Found | None) -> str:
    return found.tool if found else "without a prompt"


def beautiful(args: argparse.Namespace, found: dict, report: dict[str, int]) -> dict:
    """The pictures that score `--min_aesthetic` or more."""
    from train.models.pictures import Beauty

    make = partial(Beauty, args.aesthetic, args.aesthetic_clip)
    who = ["aesthetic", args.aesthetic, args.aesthetic_clip]
    scores = looked(args, make, list(found), who, "aesthetic scores")
    kept = {p: f for p, f in found.items() if float(scores[p] or "-inf") >= args.min_aesthetic}
    if not args.dry_run:
        why = f"pictures: aesthetic score under {args.min_aesthetic:g}"
        report[why] = len(found) - len(kept)
        return kept
    return found


def captioned(args: argparse.Namespace, found: dict, report: dict[str, int]) -> dict[Path, str]:
    """What a model sees in pictures without a prompt, and in those of good prompts."""
    from train.models.pictures import Captioner

    sides = "captioned" in args.construct
    paths = [p for p, f in found.items() if f is None or (sides and own_pairs.is_high(f.prompt))]
    make = partial(Captioner, args.caption)
    captions = looked(args, make, paths, ["caption", args.caption], "captions")
    report["pictures captioned"] = sum(map(bool, captions.values()))
    return captions


def looked(args: argparse.Namespace, make, paths: list[Path], who, desc: str) -> dict[Path, str]:
    """What a model says of each picture; of each content it is asked once, whatever kills the run.

    Args:
        make: gives a worker, paths to texts.
        who: as a part of what an answer is kept by.
    """
    answers = Answers(args.answers)
    keys = {p: key_of(*who, hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths}
    todo = {key: path for path, key in keys.items() if answers.get(key) is None}
    args.models.run(
        make, list(todo.values()), _LOOKED, desc, lambda path, text: answers.put(keys[path], text)
    )
    return {path: answers.get(key) or "" for path, key in keys.items()}


def make_pairs(
    args: argparse.Namespace, rows: list[Row], ids: list[int], report: dict[str, int]
) -> list[own_pairs.Pair]:
    """Pairs of rows, as `--construct` has them."""
    if "typed" not in args.construct:
        rows = [row._replace(raw="") for row in rows]
    numbered = list(zip(rows, ids, strict=True))
    made: dict[str, list[tuple]] = {}
    bare = [(r, i) for r, i in numbered if not r.raw]
    # However long, a caption is nothing to learn to write; and what is only to be upgraded is low.
    sides = {"captioned", "summarised"}.intersection(args.construct)
    good = [bool(sides) and r.caption != r.prompt and own_pairs.is_high(r.prompt) for r, _ in bare]
    high = [row for row, is_good in zip(bare, good, strict=True) if is_good]
    low = [row for row, is_good in zip(bare, good, strict=True) if not is_good]
    if "typed" in args.construct:
        made["typed"] = [(r.raw, r.prompt, r.source, i) for r, i in numbered if r.raw]
    if "captioned" in args.construct:
        made["captioned"] = [(r.caption, r.prompt, r.source, i) for r, i in high if r.caption]
    if "summarised" in args.construct:
        texts = asked(args, [summary(r.prompt, seed=args.seed) for r, _ in high], "summaries")
        answered = zip(texts, high, strict=True)
        made["summarised"] = [(text, r.prompt, r.source, i) for text, (r, i) in answered]
    if "upgraded" in args.construct:
        questions = [upgrade(r.prompt, args.dialect, seed=args.seed) for r, _ in low]
        answered = zip(asked(args, questions, "upgrades"), low, strict=True)
        made["upgraded"] = [(r.prompt, text, r.source, i) for text, (r, i) in answered]
    if args.dry_run:
        return []
    pairs = []
    for kind, sides in made.items():
        good = sides if kind == "typed" else [s for s in sides if sound(*s[:2])]
        if kind != "typed":
            report[f"{kind}: no prompt"] = len(sides) - len(good)
        named = [(a, b, s if kind == "typed" else f"{s}, {kind}", i) for a, b, s, i in good]
        of_kind = [p for side in named for p in own_pairs.pairs_of(*side)]
        report[f"pairs: {kind}"] = len(of_kind)
        pairs += of_kind
    pairs = consistent(args, pairs, report)
    if "cut" in args.construct:
        cut = [p for r, i in bare for p in own_pairs.cut_pairs(r.prompt, r.source, i)]
        report["pairs: cut"] = len(cut)
        pairs += cut
    return pairs


def sound(raw: str, prompt: str) -> bool:
    """Whether both sides of an answer are prompts, the high one the longer."""
    sides = [clean(raw), clean(prompt)]
    return all(s and is_english(s) and is_safe(s) for s in sides) and len(sides[1]) > len(sides[0])


def asked(args: argparse.Namespace, requests: list, desc: str) -> list[str]:
    from bp_core.writers.endpoint import Endpoint

    answers = Answers(args.answers)
    who, where = args.llm_model, Endpoint(args.llm, args.llm_model)
    # Here threads ask, each its next question as soon as it has an answer.
    workers = None if args.models == Workers() else args.models
    return ask_all(where, who, requests, answers, args.llm_together, args.llm_rate, desc, workers)


def consistent(args: argparse.Namespace, pairs: list, report: dict[str, int]) -> list:
    """Pairs whose sides speak of the same; all of them where no sentence encoder is installed."""
    from train.models.sentences import embed, find_encoder, last_layer

    try:
        encoder = find_encoder()
    except InputError as error:
        print(f"sides are not compared: {error}", file=sys.stderr)
        report["sides not compared"] = len(pairs)
        return pairs
    layer = last_layer(encoder)
    return own_pairs.consistent(
        pairs, lambda texts: embed(texts, encoder, [layer])[layer], args.consistency, report
    )


def write(out: Path, parts: dict[str, pd.DataFrame], report: dict[str, int]) -> None:
    """The parts, and the short sides of those to train and to validate on."""
    lists = {"train": "prompts.txt", "validation": "held_out.txt"}
    for name, part in parts.items():
        part.to_parquet(out / f"{name}.parquet")
        if name in lists:
            lines = dict.fromkeys(" ".join(raw.split()) for raw in part.raw_prompt if raw.strip())
            text = "".join(f"{line}\n" for line in lines)
            (out / lists[name]).write_text(text, encoding="utf-8")
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def tell(report: dict[str, int], by_line: bool) -> None:
    print("\n".join(f"{n:8} {k}" for k, n in report.items()) if by_line else json.dumps(report))


def public(args: argparse.Namespace, data: Path) -> None:
    """Pairs of the public pools, as the bundled models were made from them."""
    missing = [n for n in ("clip_interrogator", "coco30k") if not (data / n).is_dir()]
    if missing:
        raise InputError(f"{data} lacks the folder {missing[0]}: see docs/training.md")
    if args.dry_run:
        pools = ", ".join(sorted(path.name for path in data.iterdir() if path.is_dir()))
        found = Findings([f"the public pools {pools}", check_folder(args.out)])
        found.basis.append("nothing: pools are cut in a few minutes, in under 4 GiB")
        found.tell()
        return
    try:
        frame, report, texts = build(data, args.seed, Limits(), args.cuts)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing: see docs/training.md") from error
    rng = random.Random(args.seed)
    chosen = {c for c in sorted(frame.cluster.unique()) if rng.random() < args.validation}
    held = frame.cluster.isin(chosen)
    shuffled = [p.sample(frac=1, random_state=args.seed) for p in (frame[~held], frame[held])]
    parts = dict(zip(("train", "validation"), shuffled, strict=True))
    report |= {name: len(part) for name, part in parts.items()}
    write(args.out, parts, report)
    (args.out / "vocabulary.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    train.run(main)
