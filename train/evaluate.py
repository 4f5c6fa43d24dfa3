"""Measure rewriters on prompt sets: one table, and samples to read.

    python train/evaluate.py --data ../shared/data --out runs/evaluate
    python train/evaluate.py --data ../shared/data --perplexity runs/pairs
    python train/evaluate.py --model runs/starter_ppo/model --judge runs/starter_reward_b/model \\
        --sets partiprompts --prompts runs/prompts/coco1000.txt --n 8

Prompts: PartiPrompts and GenEval, and files of your own. `--judge FOLDER` scores with a second
reward model, one that neither trained nor ranked what it judges.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bp_core.draft import sampling_params
from bp_core.errors import BeautifulPromptError
from bp_core.rewriter import Result, Rewriter
from bp_core.sampling import Draw
from bp_core.settings import Settings
from bp_core.words import words
from train.collect import read_evaluation_sets
from train.metrics import FIXED_TAIL, Figures, measure
from train.ranking import interval


def perplexity(rewriter: Rewriter, pairs: Path) -> dict[str, float]:
    """Held-out perplexity a token of the model, and of a trigram on the same tokens."""
    import torch

    from train.ngram import KneserNey
    from train.sft import read_pairs

    model = rewriter.model

    def encode(row: dict[str, str]) -> dict[str, list[int]]:
        prompt = model.encode(row["raw_prompt"], row["mode"])
        text = model.template.lead + row["prompt"]
        target = [*model.tokenizer.encode(text, add_special_tokens=False).ids, model.eos_id]
        return {"input_ids": prompt + target, "labels": [-100] * len(prompt) + target}

    sets = {
        name: [encode(r) for r in read_pairs(str(pairs / f"{name}.parquet")) if r["mode"] != "text"]
        for name in ("train", "validation")
    }
    loss, count = 0.0, 0
    with torch.inference_mode():
        for example in sets["validation"]:
            ids = torch.tensor([example["input_ids"]])
            logits = model.network.logits(model.network.hidden(ids))[0, :-1].float()
            labels = torch.tensor(example["labels"])[1:]
            loss += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
            count += int((labels != -100).sum())
    trigram = KneserNey((e["input_ids"] for e in sets["train"]), model.network.vocab_size)
    return {
        "model": math.exp(loss / count),
        "trigram": trigram.perplexity(sets["validation"]),
        "tokens": count,
    }


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
    found = write(rewriter.model, wanted, modes, draws, params, chunk=64, whole=True)
    return float(np.mean([r.kept for r in found]))


def gains(results: Sequence[Result], judge) -> dict[str, np.ndarray]:
    """Reward above the raw prompt's, in z, of the best candidate, candidate 0 and a fixed tail."""
    from bp_core.prompt import parse

    found: dict[str, list[float]] = {"best": [], "candidate 0": [], "fixed tail": []}
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
        own, *scores = judge.score([parse(text).prose for text in texts]).tolist()
        for name, score in zip(found, scores, strict=True):
            found[name].append(score - own)
    arrays = {name: np.array(values) for name, values in found.items()}
    for name in ("best", "candidate 0"):
        arrays[f"{name} over fixed tail"] = arrays[name] - arrays["fixed tail"]
    return arrays


def samples(results: Sequence[Result], count: int, seed: int = 0) -> list[dict]:
    """Unpicked results: a seeded draw."""
    drawn = random.Random(seed).sample(list(results), min(count, len(results)))
    return [{"prompt": r.prompt, "text": r.text, "note": r.note} for r in drawn]


def table(figures: dict[str, Figures]) -> str:
    """The figures of several runs as a Markdown table."""
    rows = [asdict(f) for f in figures.values()]
    lines = ["| | " + " | ".join(figures) + " |", "|---" * (len(figures) + 1) + "|"]
    for name in rows[0]:
        cells = [f"{r[name]:.4g}" if isinstance(r[name], float) else str(r[name]) for r in rows]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a model folder (the bundled starter)")
    parser.add_argument("--reward", default="starter", help="ranks; a folder, or none")
    parser.add_argument("--judge", help="folder of a reward model that judges")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="*", default=["partiprompts", "geneval"])
    parser.add_argument("--prompts", nargs="*", type=Path, default=[], help="text, one a line")
    parser.add_argument("--modes", nargs="+", default=["expand", "rewrite"])
    parser.add_argument("--n", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="prompts of each set, a seeded draw")
    parser.add_argument("--perplexity", type=Path, help="folder of pairs: measure that, no more")
    parser.add_argument("--out", type=Path, default=Path("runs/evaluate"))
    args = parser.parse_args(argv)
    reward = None if args.reward == "none" or args.perplexity else args.reward
    rewriter = Rewriter.load(args.model, reward=reward)
    if args.perplexity:
        print(json.dumps(perplexity(rewriter, args.perplexity), indent=2))
        return
    judge = None
    if args.judge:
        from bp_core.reward import TextReward

        judge = TextReward.load(args.judge)
    args.out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Figures] = {}
    report: dict[str, dict] = {}
    sets = {n: p for n, p in read_evaluation_sets(args.data).items() if n in args.sets}
    sets |= {path.stem: path.read_text(encoding="utf-8").splitlines() for path in args.prompts}
    for name, prompts in sets.items():
        if args.limit:
            prompts = random.Random(args.seed).sample(prompts, min(args.limit, len(prompts)))
        for mode in args.modes:
            run = f"{name}, {mode}"
            results = rewriter.many(prompts, mode=mode, n=args.n, seed=args.seed)
            figures[run] = measure(results)
            report[run] = asdict(figures[run]) | {"samples": samples(results, 100)}
            if mode == "rewrite":
                kept = [kept_unguarded(rewriter, prompts, args.seed, r) for r in (True, False)]
                report[run]["kept_unguarded"], report[run]["kept_unreminded"] = kept
                print(f"{run}: words kept before the guard {kept[0]:.4f}, unreminded {kept[1]:.4f}")
            if judge is not None:
                report[run]["gain"] = {
                    name: {
                        "mean": float(gain.mean()),
                        "interval": interval(lambda rows, g=gain: float(g[rows].mean()), len(gain)),
                    }
                    for name, gain in gains(results, judge).items()
                }
                print(run, json.dumps(report[run]["gain"], indent=1))
    (args.out / "report.json").write_text(
        json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(table(figures))


if __name__ == "__main__":
    try:
        main()
    except BeautifulPromptError as error:
        sys.exit(f"evaluate.py: {error}")
