"""What the starter's reward is worth: agreement with people, transfer, tails, and speed.

    python benchmarks/reward.py --data runs/reward --a bp_core/starter/reward --b FOLDER
    python benchmarks/reward.py … --prompts data/partiprompts/PartiPrompts.tsv

`--data` is the folder of `reward_data.py`. With `--prompts` (a TSV with the column Prompt)
the bundled rewriter writes 8 candidates a prompt, A chooses and B judges. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import benchmarks  # noqa: F401  # the root on sys.path
from bp_core.score.text_reward import ALPHA, TextReward
from bp_core.text.fidelity import fidelity
from train.report.metrics import FIXED_TAIL
from train.rewards.ranking import interval, ordered, report

TAILS = (
    FIXED_TAIL,
    "beautiful detailed portrait, octane render, 8k",
    "portrait",
    "beautiful",
    "octane render",
    "highly detailed",
    "photo",
    "sharp focus",
    "soft lighting",
    "abstract",
    "texture",
    "blurry",
    "trending on artstation",
)
# As a policy would write them that found a word the reward likes. The longest has 62 words.
PRAISE = (
    "beautiful, highly detailed, octane render, 8k, masterpiece, stunning, cinematic lighting, "
    "sharp focus, intricate, elegant, award winning, vivid colors, hyperrealistic, epic"
)
STUFFED = {
    "beautiful × 3": "beautiful, beautiful, beautiful",
    "beautiful × 20": ", ".join(["beautiful"] * 20),
    "portrait × 20": ", ".join(["portrait"] * 20),
    "octane render, 8k × 10": ", ".join(["octane render, 8k"] * 10),
    "14 praises": PRAISE,
    "14 praises × 3": ", ".join([PRAISE] * 3),
}


def scores(model: TextReward, prompts: list[str]) -> np.ndarray:
    return model.score(prompts).numpy()


def siblings(model: TextReward, human: pd.DataFrame) -> dict[str, float]:
    """Pairwise accuracy within near-duplicate clusters: one subject, other modifiers."""
    clusters = [part for _, part in human.groupby("cluster") if len(part) > 1]
    several = pd.concat(clusters)
    guess = dict(zip(several.index, scores(model, several.prompt.tolist()), strict=True))
    parts = []
    for part in clusters:
        pairs = list(combinations(part.index, 2))
        truth = np.array([part.score[i] - part.score[j] for i, j in pairs])
        parts.append((truth, np.array([guess[i] - guess[j] for i, j in pairs])))

    def accuracy(rows: np.ndarray) -> float:
        return ordered(*(np.concatenate([parts[r][k] for r in rows]) for k in (0, 1)))

    low, high = interval(accuracy, len(parts), 500)
    whole = accuracy(np.arange(len(parts)))
    pairs = sum(len(truth) for truth, _ in parts)
    return {"pairs": pairs, "clusters": len(parts), "accuracy": whole, "low": low, "high": high}


def modifier_effects(model: TextReward, transfer: pd.DataFrame) -> dict[str, object]:
    """Effects of agiqa3k's modifiers: people's, by regression over subjects, and the model's.

    Every prompt of that set has a subject of its own, so no two differ in modifiers alone; the
    effect of a modifier is estimated over its 10 to 40 prompts, the subject held by the model's
    score of it.
    """
    names = sorted({m for row in transfer.modifiers for m in row})
    subject = scores(model, transfer.subject.tolist())
    has = np.array([[m in list(row) for m in names] for row in transfer.modifiers], float)
    design = np.column_stack([np.ones(len(transfer)), subject, has])
    truth = transfer.score.to_numpy()
    subjects = transfer.subject.tolist()[:100]
    plain = scores(model, subjects)
    guess = np.array(
        [(scores(model, [f"{s}, {m}" for s in subjects]) - plain).mean() for m in names]
    )

    def effects(rows: np.ndarray) -> np.ndarray:
        return np.linalg.lstsq(design[rows], truth[rows], rcond=None)[0][2:]

    def accuracy(rows: np.ndarray) -> float:
        found = effects(rows)
        i, j = np.triu_indices(len(names), 1)
        return ordered(found[i] - found[j], guess[i] - guess[j])

    low, high = interval(accuracy, len(transfer), 500)
    everyone = np.arange(len(transfer))
    table = {
        name: {"people": round(float(p), 3), "model": round(float(g), 3)}
        for name, p, g in zip(names, effects(everyone), guess, strict=True)
    }
    return {"accuracy": accuracy(everyone), "low": low, "high": high, "effects": table}


def tails(model: TextReward, prompts: list[str]) -> dict[str, float]:
    """Mean gain (sd) of appending each tail to plain prompts."""
    plain = scores(model, prompts)
    named = {tail: tail for tail in TAILS} | STUFFED
    return {
        name: float((scores(model, [f"{p}, {tail}" for p in prompts]) - plain).mean())
        for name, tail in named.items()
    }


def speed(model: TextReward, runs: int = 50) -> dict[str, float]:
    """Milliseconds to score 8 candidates of about 40 words, median and 95 % quantile."""
    words = (f"a lighthouse at dusk, {FIXED_TAIL}, " * 3).split()
    prompts = [" ".join(words[i:] + words[:i]) for i in range(8)]
    model.score(prompts)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        model.score(prompts)
        times.append((time.perf_counter() - start) * 1e3)
    return {"median_ms": float(np.median(times)), "p95_ms": float(np.quantile(times, 0.95))}


Rows = list[tuple[str, list[str]]]


def rewrites(prompts: list[str]) -> Rows:
    """(prompt, its eight candidates in the order drawn) of the bundled rewriter."""
    from bp_core import Rewriter

    results = Rewriter.load(reward=None).many(prompts, n=8, seed=7)
    return [
        (p, [c.text for c in sorted(r.candidates, key=lambda c: c.index)])
        for p, r in zip(prompts, results, strict=True)
        if r.candidates
    ]


def left_alone(model: TextReward, rows: Rows) -> dict[str, object]:
    """Share of prompts that no candidate beats, for several margins and 4 or 8 candidates.

    In expand mode every word is kept, so the reward's gain is 1 - α of the aesthetic one.
    """
    raw = scores(model, [p for p, _ in rows])
    gains = [scores(model, texts) - own for (_, texts), own in zip(rows, raw, strict=True)]
    out: dict[str, object] = {}
    for n in (1, 4, 8):
        best = (1 - ALPHA) * np.array([g[:n].max() for g in gains])
        margins = {str(m): float((best < m).mean()) for m in (0.0, 0.02, 0.05, 0.1)}
        quantiles = np.quantile(best, [0.1, 0.25, 0.5, 0.75, 0.9]).round(3).tolist()
        out[f"best of {n}"] = {
            "share below margin": margins,
            "gain at 10, 25, 50, 75, 90 %": quantiles,
        }
    fidelities = [fidelity(p, t).kept for p, texts in rows for t in texts]
    out["candidates that keep every word"] = float(np.mean(np.array(fidelities) == 1))
    return out


def agreement(a: TextReward, b: TextReward, rows: Rows) -> list[dict[str, float]]:
    """What B says of A's best of four, by A's gain in the whole reward (1 - α of the aesthetic)."""
    raws, fours = [p for p, _ in rows], [texts[:4] for _, texts in rows]
    chosen = [texts[int(a.score(texts).argmax())] for texts in fours]
    gain = (1 - ALPHA) * (scores(a, chosen) - scores(a, raws))
    verdict = scores(b, chosen) - scores(b, raws)
    out = []
    for low, high in pairwise([-np.inf, 0, 0.05, 0.1, 0.2, 0.3, np.inf]):
        part = verdict[(gain >= low) & (gain < high)]
        if len(part):
            agrees, mean = float((part > 0).mean()), float(part.mean())
            out.append({"from": low, "n": len(part), "B agrees": agrees, "B's mean gain": mean})
    return out


def best_of_eight(a: TextReward, b: TextReward, rows: Rows) -> dict[str, object]:
    """Gain judged by B of the candidate that A likes best, with 95 % intervals over prompts."""
    raw = scores(b, [p for p, _ in rows])
    chosen = [texts[int(a.score(texts).argmax())] for _, texts in rows]
    best, first = scores(b, chosen), scores(b, [texts[0] for _, texts in rows])
    fixed = scores(b, [f"{p}, {FIXED_TAIL}" for p, _ in rows])
    out: dict[str, object] = {"prompts": len(rows)}
    for name, gain in (
        ("best over raw", best - raw),
        ("best over candidate 0", best - first),
        ("candidate 0 over raw", first - raw),
        ("fixed tail over raw", fixed - raw),
        ("best over fixed tail", best - fixed),
    ):
        low, high = interval(lambda r, gain=gain: float(gain[r].mean()), len(gain))
        out[name] = {"mean": float(gain.mean()), "low": low, "high": high}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("runs/reward"))
    parser.add_argument("--a", type=Path, help="the reward of half A (the bundled one)")
    parser.add_argument("--b", type=Path, help="the reward of half B")
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--limit", type=int, help="of the prompts, every so many, this many")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    human = pd.read_parquet(args.data / "human.parquet")
    transfer = pd.read_parquet(args.data / "transfer.parquet")
    test = human[human.split == "test"]
    plain = pd.read_parquet(args.data / "pool.parquet").query("source == 'plain'").prompt
    models = {"A": TextReward.load(args.a)}
    if args.b:
        models["B"] = TextReward.load(args.b)
    out: dict[str, object] = {}
    for name, model in models.items():
        unseen = human[(human.half != name) | (human.split != "train")]
        out[name] = {
            "test": report(test.score, scores(model, test.prompt.tolist())),
            "transfer": report(transfer.score, scores(model, transfer.prompt.tolist())),
            "one cluster": siblings(model, unseen),
            "modifiers": modifier_effects(model, transfer),
            "tails": tails(model, plain.head(300).tolist()),
            "speed of 8": speed(model),
        }
    if args.b:
        both = [scores(m, test.prompt.tolist()) for m in models.values()]
        out["A with B on the test prompts"] = report(*both)
    if args.b and args.prompts:
        prompts = pd.read_csv(args.prompts, sep="\t").Prompt.tolist()
        step = max(1, len(prompts) // (args.limit or len(prompts)))
        prompts = prompts[::step][: args.limit]
        rows = rewrites(prompts)
        out["best of 8"] = best_of_eight(models["A"], models["B"], rows)
        out["B on A's best of 4"] = agreement(models["A"], models["B"], rows)
        out["left alone by A"] = left_alone(models["A"], rows)
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
