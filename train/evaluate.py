"""Measure rewriters on prompt sets: report.json, and report.html with plots and samples to read.

    python train/evaluate.py --data data --judge train/starter/judge --out runs/evaluate
    python train/evaluate.py --perplexity runs/pairs
    python train/evaluate.py --model runs/starter_writer/model runs/starter_ppo/model \\
        --judge train/starter/judge --sets --prompts my/prompts.txt --n 8

Prompts: PartiPrompts and GenEval (`--data`), and files of your own (`--prompts`). `--judge FOLDER`
scores with a second reward model, one that neither trained nor ranked what it judges. Both files
are written anew after each run (a rewriter on a set in a mode), so that a killed evaluation keeps
what was finished.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
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
        recall: remind it of them while it writes, as inference does.
    """
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
        for key, recall in (("kept_unguarded", True), ("kept_unreminded", False)):
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
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    folders = [find(model) for model in args.model or [STARTER]]
    models = dict(zip(short_names(folders), folders, strict=True))
    if args.perplexity:
        figures = {
            name: perplexity(Rewriter.load(folder, dtype="float32", reward=None), args.perplexity)
            for name, folder in models.items()
        }
        print(json.dumps(figures if len(figures) > 1 else next(iter(figures.values())), indent=2))
        return
    modes = [Settings(mode=mode, n=args.n, seed=args.seed) for mode in args.modes]
    sets = prompt_sets(args)
    train.make_folder(args.out)
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


if __name__ == "__main__":
    train.run(main)
