"""How often PPO's alarm of over-optimisation is wrong, and what falls it sees, in simulated runs.

    python benchmarks/alarm.py

A run has twenty evaluations of the same prompts, whose judge's gain differs from prompt to prompt
by 0.5 and wavers from evaluation to evaluation by `noise`, while the reward always rises. Its judge
stays, or falls in the second half, step by step, by `fall` in all.
"""

from __future__ import annotations

import argparse
from statistics import mean

import numpy as np

import benchmarks  # noqa: F401  # the root on sys.path
from train.rl.watch import Watch

_EVALUATIONS = 20


def history(prompts: int, noise: float, fall: float, rng: np.random.Generator) -> list[dict]:
    """Figures by prompt of a run's evaluations, as `evaluations.jsonl` has them."""
    own = rng.normal(0, 0.5, prompts)
    half = _EVALUATIONS // 2
    rows = []
    for step in range(_EVALUATIONS):
        lost = fall * max(0, step - half + 1) / half
        judge = own - lost + rng.normal(0, noise, prompts)
        rows.append({"expand/judge": judge.tolist(), "expand/reward": [float(step)] * prompts})
    return rows


def warned(rows: list[dict]) -> bool:
    watch = Watch()
    return any(watch(rows[: end + 1]) for end in range(1, len(rows)))


def warned_by_limit(rows: list[dict], limit: float) -> bool:
    means = [mean(row["expand/judge"]) for row in rows]
    return any(max(means[:end]) - means[end] > limit for end in range(1, len(means)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100, help="of each kind")
    parser.add_argument("--limit", type=float, default=0.1, help="a fixed one, to compare with")
    args = parser.parse_args()
    print(f"| prompts | noise | fall | warned | by a limit of {args.limit:g} |")
    print("|---|---|---|---|---|")
    for prompts in (8, 64, 96):
        for noise in (0.1, 0.3):
            for fall in (0.0, 0.1, 0.2):
                rng = np.random.default_rng(0)
                runs = [history(prompts, noise, fall, rng) for _ in range(args.runs)]
                shares = mean(map(warned, runs)), mean(warned_by_limit(r, args.limit) for r in runs)
                cells = "".join(f" {share:.0%} |" for share in shares)
                print(f"| {prompts} | {noise:g} | {fall:g} |{cells}", flush=True)


if __name__ == "__main__":
    main()
