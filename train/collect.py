"""Make training pairs: a short prompt, and what a good artist makes of it.

    python train/collect.py --images ~/pictures --out runs/mine/pairs
    python train/collect.py --data my/prompts.csv --llm http://127.0.0.1:11434/v1 --llm-model NAME
    python train/collect.py --data DATA --out runs/pairs     # the public pools of docs/training.md

`--images` reads the prompts that A1111 and its kin, ComfyUI, Fooocus, InvokeAI, SwarmUI, NovelAI
and Draw Things wrote into PNG, JPEG and WebP files. `--data` takes any folder or file of txt, csv,
tsv, json, jsonl or parquet. Where the short side is not there, it is cut off the prompt, or `--llm`
summarises long prompts and upgrades short ones; its answers are kept in `answers.sqlite`, so that
a run that was killed goes on where it was.

`train.parquet` and `validation.parquet` have raw_prompt, prompt, mode, dialect, source and cluster;
`prompts.txt` and `held_out.txt` the short sides of both, for `train/ppo.py`; `report.json` what
each step took.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from pathlib import Path

import pandas as pd

import train
from bp_core.errors import InputError
from bp_core.settings import DIALECTS
from train.data import own_pairs
from train.data.any_prompts import Row, read_any
from train.data.asked import Answers, ask_all, summary, upgrade
from train.data.cleaning import clean, is_english, is_safe
from train.data.pictures import Unreadable, pictures_in, read_picture
from train.data.progress import bar
from train.data.public_pairs import Limits, build


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, help="folder of pictures that carry their prompts")
    add("--data", type=Path, help="folder or file of prompts, or the folder of the public pools")
    add("--column", default="", help="of --data: the column with the prompts (prompt, text, …)")
    add("--llm", default="", help="an OpenAI-compatible server, as http://127.0.0.1:11434/v1")
    add("--llm-model", default="", help="the model's name there")
    add("--llm-together", type=int, default=4, help="questions open at a time")
    add("--llm-rate", type=float, default=0.0, help="questions a second at most; 0: no limit")
    add("--dialect", choices=DIALECTS[1:], default="tags", help="of what --llm writes")
    add("--consistency", type=float, default=0.3, help="least cosine of the sides of --llm's pairs")
    add("--evaluation", type=Path, help="folder or file of prompts to keep clear of")
    add("--out", type=Path, default=Path("runs/pairs"), help="folder to write to")
    add("--report", action="store_true", help="print what each step took, one a line")
    add("--seed", type=int, default=0)
    add("--cuts", type=int, default=6, help="of the public pools: cuts tried per prompt")
    add("--validation", type=float, default=0.03, help="share of clusters held out")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    if args.images is None and args.data is None:
        raise InputError("nothing to collect from: give --images FOLDER or --data FOLDER")
    train.make_folder(args.out)
    if args.images is None and not args.llm and (args.data / "imagereward").is_dir():
        public(args)
        return
    report: dict[str, int] = {}
    rows = read_pictures(args.images, report) if args.images else []
    rows += read_any(args.data, args.column) if args.data else []
    evaluation = [r.prompt for r in read_any(args.evaluation)] if args.evaluation else []
    rows, ids = own_pairs.distinct(own_pairs.cleaned(rows, evaluation, report), report)
    pairs = make_pairs(args, rows, ids, report)
    if not pairs:
        tell(report, args.report)
        raise InputError("no pair is left: give longer prompts, or --llm; --report says what went")
    learned, held = own_pairs.split(pairs, args.validation, args.seed)
    report |= {"train": len(learned), "validation": len(held)}
    write(args.out, learned, held, report)
    tell(report, args.report)


def read_pictures(folder: Path, report: dict[str, int]) -> list[Row]:
    """The prompts in a folder's pictures; `report` gets how many of which program."""
    tools: Counter[str] = Counter()
    rows, paths = [], pictures_in(folder)
    with bar(len(paths), "pictures") as progress:
        for path in paths:
            try:
                found = read_picture(path)
            except Unreadable as error:
                print(error, file=sys.stderr)
                tools["unreadable"] += 1
            else:
                tools[found.tool if found else "without a prompt"] += 1
                if found:
                    rows.append(Row(found.original, found.prompt, found.tool))
            progress.update()
    report |= {f"pictures: {tool}": count for tool, count in sorted(tools.items())}
    return rows


def make_pairs(
    args: argparse.Namespace, rows: list[Row], ids: list[int], report: dict[str, int]
) -> list[own_pairs.Pair]:
    """Pairs of rows: typed, cut, or, with --llm, summarised and upgraded."""
    numbered = list(zip(rows, ids, strict=True))
    pairs = [p for r, i in numbered if r.raw for p in own_pairs.pairs_of(*r, i)]
    report["pairs: typed"] = len(pairs)
    bare = [(r, i) for r, i in numbered if not r.raw]
    high = [(r, i) for r, i in bare if own_pairs.is_high(r.prompt)]
    if not args.llm:
        made = [p for r, i in bare for p in own_pairs.cut_pairs(r.prompt, r.source, i)]
        report["pairs: cut"] = len(made)
        return pairs + made
    low = [(r, i) for r, i in bare if not own_pairs.is_high(r.prompt)]
    sums = asked(args, [summary(r.prompt, seed=args.seed) for r, _ in high], "summaries")
    ups = asked(args, [upgrade(r.prompt, args.dialect, seed=args.seed) for r, _ in low], "upgrades")
    made = [
        (raw, prompt, f"{r.source}, {kind}", i)
        for kind, group, texts in (("summarised", high, sums), ("upgraded", low, ups))
        for (r, i), text in zip(group, texts, strict=True)
        for raw, prompt in [(text, r.prompt) if kind == "summarised" else (r.prompt, text)]
    ]
    good = [m for m in made if sound(m[0], m[1])]
    report["answers that are none"] = len(made) - len(good)
    made = [p for m in good for p in own_pairs.pairs_of(*m)]
    report["pairs: by the language model"] = len(made)
    return pairs + consistent(args, made, report)


def sound(raw: str, prompt: str) -> bool:
    """Whether both sides of an answer are prompts, the high one the longer."""
    sides = [clean(raw), clean(prompt)]
    return all(s and is_english(s) and is_safe(s) for s in sides) and len(sides[1]) > len(sides[0])


def asked(args: argparse.Namespace, requests: list, desc: str) -> list[str]:
    from bp_core.writers.endpoint import Endpoint

    if not args.llm_model:
        raise InputError("--llm needs --llm-model: the name of a model on that server")
    answers = Answers(args.out / "answers.sqlite")
    who, where = args.llm_model, Endpoint(args.llm, args.llm_model)
    return ask_all(where, who, requests, answers, args.llm_together, args.llm_rate, desc)


def consistent(args: argparse.Namespace, pairs: list, report: dict[str, int]) -> list:
    """Pairs whose sides speak of the same; all of them where no sentence encoder is installed."""
    from train.models.sentences import embed, find_encoder, last_layer

    try:
        encoder = find_encoder()
    except InputError as error:
        print(f"sides are not compared: {error}", file=sys.stderr)
        return pairs
    layer = last_layer(encoder)
    return own_pairs.consistent(
        pairs, lambda texts: embed(texts, encoder, [layer])[layer], args.consistency, report
    )


def write(out: Path, learned: pd.DataFrame, held: pd.DataFrame, report: dict[str, int]) -> None:
    for name, prompts, part in (
        ("train", "prompts", learned),
        ("validation", "held_out", held),
    ):
        part.to_parquet(out / f"{name}.parquet")
        lines = dict.fromkeys(" ".join(raw.split()) for raw in part.raw_prompt if raw.strip())
        (out / f"{prompts}.txt").write_text("".join(f"{r}\n" for r in lines), encoding="utf-8")
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def tell(report: dict[str, int], by_line: bool) -> None:
    print("\n".join(f"{n:8} {k}" for k, n in report.items()) if by_line else json.dumps(report))


def public(args: argparse.Namespace) -> None:
    """Pairs of the public pools, as the bundled models were made from them."""
    missing = [n for n in ("clip_interrogator", "coco30k") if not (args.data / n).is_dir()]
    if missing:
        raise InputError(f"{args.data} lacks the folder {missing[0]}: see docs/training.md")
    try:
        frame, report, texts = build(args.data, args.seed, Limits(), args.cuts)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing: see docs/training.md") from error
    rng = random.Random(args.seed)
    chosen = {c for c in sorted(frame.cluster.unique()) if rng.random() < args.validation}
    held = frame.cluster.isin(chosen)
    shuffled = [p.sample(frac=1, random_state=args.seed) for p in (frame[~held], frame[held])]
    report |= {"train": len(shuffled[0]), "validation": len(shuffled[1])}
    write(args.out, *shuffled, report)
    (args.out / "vocabulary.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    train.run(main)
