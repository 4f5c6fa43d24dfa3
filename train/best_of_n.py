"""The best of several rewrites of each prompt, as pairs that a rewriter then learns from.

    python train/best_of_n.py --prompts my/prompts.txt --model runs/mine/model --out runs/mine_best

Rejection sampling, or RAFT (Dong et al. 2023, arXiv 2304.06767; Llama 2, arXiv 2307.09288, section
3.2): every prompt is rewritten n times as for an artist, the guard behind the model, and what the
reward likes best is what the model learns to write at once. Unlike PPO it never sees a text of its
own that the guard had to mend; and it goes no further from the model before than the best of n
lies, at most log n - (n - 1) / n nats.

A reward of few labels hardly knows what goes with what. What its taste finds unsuitable is not
learned; with `--taste_weight` phrases count for more, the better they suit the prompt. A writer
that learned from judged phrases needs no taste; with `--suits_reward starter` its judgement
chooses, as in `train/configs/starter_ppo.yaml`.

The best phrases of n rewrites seldom stand in one of them. With `--compose` as many more additions
to a prompt are put together from all of them, and chosen from likewise. Additions that use a word
twice are left out.

Each round narrows what a model writes.

`train.parquet` and `validation.parquet` have the columns of `train/sft.py`, `added`, the new
phrases, and `gain`, the reward above that of the prompt as it was typed, in standard deviations.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

import torch

import train
from bp_core.drafter import Drafter
from bp_core.errors import InputError
from bp_core.models import STARTER
from bp_core.models.load import Model
from bp_core.rewriter import Rewriter
from bp_core.score.text_reward import load_reward
from bp_core.settings import Settings
from bp_core.text.dialect import TAGS
from bp_core.text.words import words
from train.data.progress import watched
from train.rewards.suits import SuitsReward
from train.rl.options import Option, echoes, options
from train.rl.rewards import StockWords
from train.rl.rollouts import read_prompts, short

# Prompts rewritten at once and in one mode; the last 16 such parts tell what a stock word is.
_PART = 128
COLUMNS = ["raw_prompt", "prompt", "mode", "dialect", "notes", "source", "added", "gain"]


@dataclass(frozen=True)
class Weights:
    """What an option is chosen by, beside its gain.

    Attributes:
        stock, stock_limit: as `stock_weight` and `stock_limit` of train/ppo.py.
        taste: times the option's own.
    """

    stock: float = 0.0
    stock_limit: float = 1.0
    taste: float = 0.0


def choose(options: Sequence[Option], stock: StockWords, weights: Weights) -> Option | None:
    """The option of the highest worth; None when none gains anything.

    Args:
        stock: words that were chosen lately.
    """

    def worth(option: Option) -> float:
        excess = stock.excess(option.added, weights.stock_limit)
        return option.gain - weights.stock * excess + weights.taste * option.taste

    return max((option for option in options if option.gain > 0), key=worth, default=None)


def rewrite(
    args: argparse.Namespace, prompts: Sequence[str], mode: str, first: int
) -> list[list[Option]]:
    """Options of each prompt of a part that begins at place `first`, which makes its seeds."""
    rewriter = _load(args.model, args.reward, args.suits_reward, args.alpha)
    seeds = [(args.seed << 32) + first + i for i in range(len(prompts))]
    # Options are lists of phrases.
    results = rewriter.many(prompts, mode=mode, dialect=TAGS, n=args.n, seeds=seeds)
    return [
        options(result, mode, rewriter.reward, args.compose, random.Random(seed), rewriter.taste)
        for result, seed in zip(results, seeds, strict=True)
    ]


@cache
def _load(model: str | None, reward: str, suits: str | None, alpha: float) -> Rewriter:
    """The rewriter, ranked by the reward, once a process.

    Many a writer ranks by itself; what it thinks of its drafts is no gain over the prompt.
    """
    rewriter = Rewriter.load(model or STARTER, reward=reward)
    judge = rewriter.reward or load_reward()
    if suits is not None:
        judge = SuitsReward(suits, judge.aesthetic if alpha < 1 else None, alpha)
    return Rewriter(rewriter.model, judge, rewriter.taste)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", required=True, help="text, one a line, or Parquet")
    parser.add_argument("--model", help="folder that writes; the bundled starter if left out")
    parser.add_argument("--reward", default="starter", help="folder that chooses")
    parser.add_argument(
        "--suits_reward", help="a writer that judges phrases (a folder, or starter) chooses, too"
    )
    parser.add_argument("--alpha", type=float, default=0.9, help="its weight beside --reward, 0-1")
    parser.add_argument("--count", type=int, default=16_000, help="prompts, a seeded draw")
    parser.add_argument("--longest", type=int, default=40, help="tokens of a prompt")
    parser.add_argument("--n", type=int, default=8, help="rewrites of each")
    parser.add_argument(
        "--compose", type=int, default=0, help="additions of 8 to 16 words made of their phrases"
    )
    parser.add_argument("--words_min", type=int, default=8, help="words that an expansion adds")
    parser.add_argument("--rewrite_words_min", type=int, default=5, help="that a free rewrite adds")
    parser.add_argument("--rewrite_share", type=float, default=0.25, help="rewritten, not expanded")
    parser.add_argument("--stock_weight", type=float, default=1.5, help="see docs/training.md")
    parser.add_argument("--stock_limit", type=float, default=0.06)
    parser.add_argument("--taste_weight", type=float, default=0.0, help="of phrases that suit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/best"))
    args = parser.parse_args(argv)
    if min(args.workers, args.count) < 1 or args.compose < 0:
        raise InputError("--workers and --count must be 1 or more, --compose not below 0")
    train.make_folder(args.out)
    torch.set_num_threads(1)
    model = _load(args.model, args.reward, args.suits_reward, args.alpha).model
    typed = short(model, read_prompts(args.prompts), args.longest)
    prompts = [prompt.raw for prompt in typed]
    rng = random.Random(args.seed)
    rng.shuffle(prompts)
    prompts = prompts[: args.count]

    modes = [
        "rewrite" if rng.random() < args.rewrite_share else "expand"
        for _ in range(0, len(prompts), _PART)
    ]
    least = {"expand": args.words_min, "rewrite": args.rewrite_words_min}

    def eligible(option: Option, mode: str) -> bool:
        return len(words(" ".join(option.added))) >= least[mode] and not echoes(option.added)

    choices = [
        [option for option in options if eligible(option, modes[place // _PART])]
        for place, options in enumerate(rewrite_all(args, prompts, modes))
    ]
    weights = Weights(args.stock_weight, args.stock_limit, args.taste_weight)
    write(pairs(prompts, modes, choices, weights, model, args.seed), args.out)


def rewrite_all(
    args: argparse.Namespace, prompts: list[str], modes: list[str]
) -> list[list[Option]]:
    """Options of each prompt, the same for any number of workers; a mode for each part."""
    places = range(0, len(prompts), _PART)
    parts = [prompts[i : i + _PART] for i in places]
    spawn = get_context("spawn")
    with ProcessPoolExecutor(args.workers, spawn, torch.set_num_threads, (1,)) as pool:
        done = pool.map(partial(rewrite, args), parts, modes, places)
        done = watched(done, len(places), "rewriting")
        return [each for part in done for each in part]


def pairs(
    prompts: list[str],
    modes: list[str],
    choices: list[list[Option]],
    weights: Weights,
    model: Model,
    seed: int = 0,
) -> list[dict]:
    """A row for each prompt that has something to be learned.

    Args:
        model: that wrote the options, by `seed`: with its notes, where it reads some.
    """
    stock, rows = StockWords(), []
    for mode, start in zip(modes, range(0, len(prompts), _PART), strict=True):
        part = slice(start, start + _PART)
        chosen = [
            (place, option)
            for place, options in enumerate(choices[part], start)
            if (option := choose(options, stock, weights)) is not None
        ]
        stock.add([option.added for _, option in chosen])
        for place, option in chosen:
            read = Settings(mode=mode, dialect=TAGS, seed=(seed << 32) + place)
            reader = Drafter(model, prompts[place], read, composing=False)
            # Where a model writes right behind the prompt, its comma is the model's.
            joint = f"{reader.lead} " if model.template.dialects and mode == "expand" else ""
            rows.append(
                {"raw_prompt": reader.read, "prompt": joint + option.target,
                 "mode": mode, "dialect": TAGS, "notes": "; ".join(reader.notes),
                 "source": "best", "added": ", ".join(option.added), "gain": option.gain}
            )  # fmt: skip
    return rows


def write(rows: list[dict], folder: Path) -> None:
    """Both files; every fiftieth prompt is for validation."""
    import pandas as pd

    held_out = set(sorted({row["raw_prompt"] for row in rows})[::50])
    files = {
        "validation": [row for row in rows if row["raw_prompt"] in held_out],
        "train": [row for row in rows if row["raw_prompt"] not in held_out],
    }
    if not all(files.values()):
        raise InputError(
            f"{len(rows)} rewrites of the prompts are eligible and score above them: "
            "give more prompts or a higher --n"
        )
    for name, chosen in files.items():
        pd.DataFrame(chosen, columns=COLUMNS).to_parquet(folder / f"{name}.parquet", index=False)
        gain = fmean(row["gain"] for row in chosen)
        print(f"{name}: {len(chosen)} pairs, mean gain {gain:.3f}", file=sys.stderr)


if __name__ == "__main__":
    train.run(main)
