"""Measure rewriters: on prompt sets, by the pictures that they make, and by people's votes.

    python train/evaluate.py --data data --judge train/starter/judge --out runs/evaluate
    python train/evaluate.py --perplexity runs/pairs
    python train/evaluate.py --model runs/starter_writer/model runs/starter_ppo/model \\
        --judge train/starter/judge --sets --prompts my/prompts.txt --n 8
    python train/evaluate.py --sets --prompts my.txt --render stable-diffusion-v1-5/… --blind
    python train/evaluate.py --blind ours=ours.jsonl theirs=theirs.jsonl --out runs/blind
    python train/evaluate.py --votes votes-ann.json votes-bob.json --out runs/votes

Prompts: PartiPrompts and GenEval (`--data`), and files of your own (`--prompts`). `--judge FOLDER`
scores with a second reward model, one that neither trained nor ranked what it judges. `report.json`
and `report.html` are written anew after each run (a rewriter on a set in a mode), so that a killed
evaluation keeps what was finished.

`--render PIPELINE` draws the raw prompts and the rewrites from the same seeds and scores the
pictures: `pictures.html`, `pictures.json`. `--blind` writes `vote.html`, a page on which a person
votes between what was written or drawn without knowing by whom; with NAME=FILE it is about texts or
pictures from elsewhere. `--votes` counts what the page exports, and writes it as preferences for
`train/preference.py` and `train/reward.py`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from itertools import product
from pathlib import Path

import numpy as np

import train
from bp_core.decode.sampling import Draw
from bp_core.drafter import sampling_params
from bp_core.errors import InputError
from bp_core.models import STARTER
from bp_core.models.folder import find
from bp_core.rewriter import Result, Rewriter
from bp_core.settings import Settings
from bp_core.text.words import words
from train.compare.gallery import figures, write_gallery
from train.compare.gallery import table as pictures_table
from train.compare.packet import read_packet_votes, write_packet
from train.compare.page import write_voting_page
from train.compare.pictures import SCORES, DrawingArguments, draw, with_pictures, with_raw
from train.compare.preferences import write_preferences
from train.compare.rewrites import about_rewrites, of_runs, read_rewrites, write_rewrites
from train.compare.versions import Version, read_versions, to_items
from train.compare.votes import count, read_votes
from train.compare.votes import table as votes_table
from train.data.pairs import read_pairs
from train.data.pools import read_evaluation_sets
from train.report.evaluation import Run, table, write_report
from train.report.metrics import FIXED_TAIL, measure
from train.report.page import write_whole
from train.rewards.ranking import interval
from train.rl.rollouts import read_prompts

_SAMPLES = 100


def perplexity(rewriter: Rewriter, pairs: Path) -> dict[str, float]:
    """Perplexity a token of the model on held-out pairs."""
    import torch

    model = rewriter.model

    loss, count = 0.0, 0
    with torch.inference_mode():
        for row in read_pairs(pairs / "validation.parquet"):
            if row["mode"] == "text":
                continue
            prompt = model.encode(
                row["raw_prompt"],
                row["mode"],
                dialect=row["dialect"],
                notes=[note for note in row["notes"].split("; ") if note],
            )
            text = model.template.lead + row["prompt"]
            target = [*model.tokenizer.encode(text, add_special_tokens=False).ids, model.eos_id]
            hidden = model.network.hidden(torch.tensor([prompt + target]))[0]
            logits = model.network.logits(hidden[len(prompt) - 1 : -1]).float()
            labels = torch.tensor(target)
            loss += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
            count += len(target)
    return {"model": math.exp(loss / count), "tokens": count}


def kept_unguarded(
    rewriter: Rewriter, prompts: Sequence[str], seed: int, recall: bool = True
) -> float:
    """Share (0-1) of the artist's words in what the model itself writes, no guard behind it.

    Args:
        recall: remind it of them while it writes, as inference does. One that composes needs none.
    """
    if rewriter.model.composes:
        asked = {"mode": "rewrite", "n": 1, "min_kept": 0.0}
        results = rewriter.many(prompts, seeds=[seed] * len(prompts), **asked)
        return float(np.mean([c.kept for result in results for c in result.candidates]))
    from train.rl.rollouts import Prompt, write

    wanted = [Prompt(p) for p in prompts if words(p)]
    draws = [[Draw(seed, 0)]] * len(wanted)
    modes = ["rewrite"] * len(wanted)
    params = sampling_params(Settings(mode="rewrite"))
    params = params if recall else replace(params, recall=0.0)
    rollouts = write(rewriter.model, wanted, modes, draws, params, 64, True, rewriter.taste)
    return float(np.mean([r.kept for r in rollouts]))


def gains(results: Sequence[Result], judge) -> dict[str, np.ndarray]:
    """Reward above the raw prompt's, in z, of the best candidate, candidate 0 and a fixed tail."""
    from bp_core.text.prompt import parse

    gained: dict[str, list[float]] = {"best": [], "candidate 0": [], "fixed tail": []}
    for result in results:
        if not result.candidates:
            continue
        first = min(result.candidates, key=lambda c: c.index)
        texts = [
            result.prompt,
            result.candidates[0].text,
            first.text,
            parse(result.prompt).expand(FIXED_TAIL),
        ]
        base, *scores = judge.score([parse(text).prose for text in texts]).tolist()
        for name, score in zip(gained, scores, strict=True):
            gained[name].append(score - base)
    arrays = {name: np.array(values) for name, values in gained.items()}
    for name in ("best", "candidate 0"):
        arrays[f"{name} over fixed tail"] = arrays[name] - arrays["fixed tail"]
    return arrays


def samples(results: Sequence[Result], count: int, seed: int = 0) -> list[dict]:
    """Unpicked results: a seeded draw."""
    drawn = random.Random(seed).sample(list(results), min(count, len(results)))
    return [{"prompt": r.prompt, "text": r.text, "note": r.note} for r in drawn]


def short_names(folders: Sequence[Path]) -> list[str]:
    """As much of the end of each folder's path as tells them apart, `model` at the end left out.

    Raises:
        InputError: a folder comes twice.
    """
    paths = [folder.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise InputError("a model is given twice: give each folder once")
    parts = [(p.parent if p.name == "model" and p.parent.name else p).parts for p in paths]
    depth = 1
    while len(names := ["/".join(p[-depth:]) for p in parts]) > len(set(names)):
        depth += 1
    return names


def prompt_sets(args: argparse.Namespace) -> dict[str, list[str]]:
    """The prompts asked for, by set.

    Raises:
        InputError: an unknown set, a file without prompts, two sets of one name, or no set.
    """
    sets: dict[str, list[str]] = {}
    if args.sets:
        if args.data is None:
            raise InputError("--sets needs --data: give it, or --sets alone and --prompts")
        try:
            known = read_evaluation_sets(args.data)
        except OSError as error:
            raise InputError(
                f"cannot read the evaluation sets ({error}): give their folder as --data, or "
                "--sets without a name and --prompts of your own"
            ) from error
        if unknown := [name for name in args.sets if name not in known]:
            raise InputError(f"no set '{unknown[0]}': there are {', '.join(known)}")
        sets = {name: prompts for name, prompts in known.items() if name in args.sets}
    for path in args.prompts:
        if path.stem in sets:
            raise InputError(f"two prompt sets are called {path.stem}: rename one of the files")
        sets[path.stem] = list(dict.fromkeys(prompt.raw for prompt in read_prompts(str(path))))
    if not sets:
        raise InputError("nothing to measure on: give --sets or --prompts")
    if args.limit is not None:
        if args.limit < 1:
            raise InputError(f"limit is {args.limit}: use 1 or more prompts of each set")
        for name, prompts in sets.items():
            count = min(args.limit, len(prompts))
            sets[name] = random.Random(args.seed).sample(prompts, count)
    return sets


def measure_run(
    rewriter: Rewriter, model: str, name: str, prompts: Sequence[str], settings: Settings, judge
) -> Run:
    """Rewrite a set in the mode of `settings`, and measure what came of it.

    Args:
        model, name: what the rewriter and the set are called.
        judge: a TextReward, or None.
    """
    mode, seed = settings.mode, settings.seed
    results = rewriter.many(prompts, mode=mode, n=settings.n, seed=seed)
    entry = asdict(measure(results)) | {"samples": samples(results, _SAMPLES)}
    if mode == "rewrite":
        reminded = {"kept_unguarded": True, "kept_unreminded": False}
        if rewriter.model.composes:
            del reminded["kept_unreminded"]
        for key, recall in reminded.items():
            entry[key] = kept_unguarded(rewriter, prompts, seed, recall)
    gain_arrays: dict[str, np.ndarray] = {}
    if judge is not None:
        gain_arrays = gains(results, judge)
        entry["gain"] = {
            kind: {
                "mean": float(gain.mean()),
                "interval": interval(lambda rows, g=gain: float(g[rows].mean()), len(gain)),
            }
            for kind, gain in gain_arrays.items()
        }
    return Run(model, name, mode, entry, results, gain_arrays)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="*", help="model folders (the bundled starter)")
    parser.add_argument("--reward", default="starter", help="ranks; a folder, or none")
    parser.add_argument("--judge", help="folder of a reward model that judges")
    parser.add_argument("--data", type=Path, help="folder of the sets: see docs/training.md")
    parser.add_argument("--sets", nargs="*", default=["partiprompts", "geneval"])
    parser.add_argument(
        "--prompts", nargs="*", type=Path, default=[], help="text, one a line, or Parquet"
    )
    parser.add_argument("--modes", nargs="+", default=["expand", "rewrite"])
    parser.add_argument("--n", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="prompts of each set, a seeded draw")
    parser.add_argument("--perplexity", type=Path, help="folder of pairs: measure that, no more")
    parser.add_argument("--out", type=Path, default=Path("runs/evaluate"))
    blind = parser.add_argument_group("votes of people who do not know who wrote what")
    blind.add_argument(
        "--blind",
        nargs="*",
        metavar="NAME=FILE",
        help="write vote.html: about this evaluation's rewrites or pictures, or about .jsonl with "
        "prompt and text, or picture",
    )
    blind.add_argument("--marks", action="store_true", help="no vote without marks, 1 to 5")
    blind.add_argument(
        "--votes", nargs="+", type=Path, help="count these: of vote.html, or .tsv of packet.txt"
    )
    blind.add_argument("--key", type=Path, help="key.json of the .tsv files of --votes")
    drawn = parser.add_argument_group("pictures")
    drawn.add_argument("--render", metavar="PIPELINE", help="of diffusers: hub id, folder, file")
    drawn.add_argument("--scores", nargs="*", choices=SCORES, default=list(SCORES))
    for field in fields(DrawingArguments):
        kind = {"int": int, "float | None": float}.get(field.type, str)
        name = f"--{field.name}"
        drawn.add_argument(name, type=kind, default=field.default, help=field.metadata["help"])
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    if args.votes:
        count_votes(args)
        return
    # What can be wrong is found out before a model runs.
    drawing = DrawingArguments(**{f.name: getattr(args, f.name) for f in fields(DrawingArguments)})
    if args.perplexity:
        print_perplexity(args)
        return
    if args.votes is None and args.key is not None:
        raise InputError("--key is of --votes: give those, too")
    versions = read_versions(args.blind) if args.blind else rewrites(args)
    train.make_folder(args.out)
    if args.render:
        versions = rendered(versions, args, drawing)
    if args.blind is not None:
        write_ballot(versions, args)


def models_of(args: argparse.Namespace) -> dict[str, Path]:
    """Folders of the rewriters by short name."""
    folders = [find(model) for model in args.model or [STARTER]]
    return dict(zip(short_names(folders), folders, strict=True))


def print_perplexity(args: argparse.Namespace) -> None:
    figures = {
        name: perplexity(Rewriter.load(folder, dtype="float32", reward=None), args.perplexity)
        for name, folder in models_of(args).items()
    }
    print(json.dumps(figures if len(figures) > 1 else next(iter(figures.values())), indent=2))


def rewrites(args: argparse.Namespace) -> dict[str, list[Version]]:
    """Measure the rewriters asked for, and report; what each wrote, for who draws or votes."""
    models = models_of(args)
    modes = [Settings(mode=mode, n=args.n, seed=args.seed) for mode in args.modes]
    sets = prompt_sets(args)
    train.make_folder(args.out)
    compared = args.render is not None or args.blind is not None
    if args.blind is not None and not args.render and len(models) * len(modes) < 2:
        raise InputError("one rewriter in one mode: give two to vote between, or --render")
    words = {name: getattr(args, name) for name in ("n", "seed", "modes", "reward", "judge")}
    decides = about_rewrites(models, sets, **words) if compared else {}
    if compared and (known := read_rewrites(args.out, decides)):
        print(f"{args.out}: these rewrites were measured before", file=sys.stderr)
        return known
    judge = None
    if args.judge:
        from bp_core.score.text_reward import TextReward

        judge = TextReward.load(args.judge)
    about = [
        "Prompts: " + ", ".join(f"{name} ({len(prompts)})" for name, prompts in sets.items()) + ".",
        f"{args.n} candidates a prompt, seed {args.seed}; ranking reward: {args.reward}; "
        f"judge: {args.judge or 'none'}.",
        *(f"{name}: {folder}" for name, folder in models.items()),
    ]
    total = len(models) * len(sets) * len(modes)
    runs: list[Run] = []
    for model, folder in models.items():
        rewriter = Rewriter.load(folder, reward=None if args.reward == "none" else args.reward)
        for (name, prompts), settings in product(sets.items(), modes):
            start = f"{model}, {name}, {settings.mode}: run {len(runs) + 1} of {total}"
            print(start, file=sys.stderr, flush=True)
            runs.append(measure_run(rewriter, model, name, prompts, settings, judge))
            report = {run.name(len(models) > 1): run.entry for run in runs}
            text = json.dumps(report, indent=1, ensure_ascii=False)
            write_whole(args.out / "report.json", text + "\n")
            write_report(args.out / "report.html", runs, about, total)
    print(table(runs))
    versions = of_runs(runs)
    if compared:
        write_rewrites(args.out, versions, decides)
    return versions


def rendered(
    versions: dict[str, list[Version]], args: argparse.Namespace, drawing: DrawingArguments
) -> dict[str, list[Version]]:
    """Draw and score the versions and the raw prompts, and report; all with a picture each."""
    everyone = with_raw(versions)
    seeds = f"{drawing.first_seed} to {drawing.first_seed + drawing.seeds - 1}"
    count = len(next(iter(versions.values())))
    about = [f"{count} prompts, drawn by {args.render} from the seeds {seeds}."]

    def report(rows: list[dict]) -> None:
        write_gallery(args.out, everyone, rows, about)

    rows = draw(everyone, args.out, args.render, drawing, args.scores, report=report)
    print(pictures_table(figures(everyone, rows)))
    return with_pictures(everyone, args.out, rows, random.Random(args.seed).choice)


def write_ballot(versions: dict[str, list[Version]], args: argparse.Namespace) -> None:
    """vote.html; of texts also the packet for readers without a browser."""
    items = to_items(versions, args.seed)
    count = write_voting_page(args.out / "vote.html", items, args.seed, args.marks)
    if not items[0].pictures:
        write_packet(args.out, items)
    print(f"wrote {args.out / 'vote.html'}: {count} votes on {len(items)} prompts", file=sys.stderr)


def count_votes(args: argparse.Namespace) -> None:
    """Print what readers voted; votes.json has it by dialect, beside what can be learned from."""
    train.make_folder(args.out)
    readings = []
    for path in args.votes:
        if path.suffix == ".tsv" and args.key is None:
            raise InputError(f"{path} has letters only: give the packet's key.json as --key")
        readings.append(
            read_packet_votes(path, args.key) if path.suffix == ".tsv" else read_votes(path)
        )
    counted = count(readings)
    write_whole(args.out / "votes.json", json.dumps(counted, indent=1, ensure_ascii=False) + "\n")
    print(votes_table(counted))
    rankings, texts = write_preferences(args.out, readings)
    print(
        f"wrote {args.out}: votes.json, preferences.jsonl ({rankings} rankings of two additions), "
        f"scores.parquet ({texts} texts)",
        file=sys.stderr,
    )


if __name__ == "__main__":
    train.run(main)
