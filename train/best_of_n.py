"""The best of several rewrites of each prompt, as pairs that a rewriter then learns from.

    python train/best_of_n.py --prompts runs/prompts/train.txt --out runs/best
    python train/sft.py --config train/configs/starter_best.yaml

Rejection sampling, or RAFT (Dong et al. 2023, arXiv 2304.06767; Llama 2, arXiv 2307.09288, section
3.2): every prompt is rewritten n times as for an artist, the guard behind the model, and what the
reward likes best is what the model learns to write at once. Unlike PPO it never sees a text of its
own that the guard had to mend; and it goes no further from the model before than the best of n
lies, at most log n - (n - 1) / n nats. With `--attested PAIRS` every two words that follow each
other in a learned phrase do so somewhere in tails that people wrote: no words that are none.

`train.parquet` and `validation.parquet` have the columns of `train/collect.py`, and `gain`, the
reward above that of the prompt as it was typed, in standard deviations.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from bp_core.errors import BeautifulPromptError, InputError
from bp_core.prompt import parse
from bp_core.rewriter import Result, Rewriter
from bp_core.words import clauses, words
from train.rl.rewards import StockWords
from train.rl.rollouts import read_prompts, short
from train.sft import read_pairs

# Prompts rewritten at once; word counts of the last 16 such parts make a word a stock word.
_PART = 128


@dataclass(frozen=True)
class Option:
    """One rewrite that may be learned.

    Attributes:
        target: what the model is to write: the tail in `expand`, the whole prose in `rewrite`.
        added: the phrases that the prompt did not have.
        gain: reward above the prompt's own, in standard deviations.
    """

    target: str
    added: tuple[str, ...]
    gain: float


def options(result: Result, mode: str) -> list[Option]:
    """A prompt's candidates as what there is to choose from."""
    return [
        Option(
            ", ".join(c.added) if mode == "expand" else parse(c.text).prose, c.added, float(c.score)
        )
        for c in result.candidates
    ]


class Attested:
    """Phrases that people could have written: of word pairs, or a single word, that they wrote.

    Args:
        tails: what people added to prompts, phrases parted by commas.
        times: how often a pair must occur.
    """

    def __init__(self, tails: Iterable[str], times: int = 2) -> None:
        count = Counter(run for tail in tails for phrase in clauses(tail) for run in _runs(phrase))
        self._known = {run for run, found in count.items() if found >= times}

    def __call__(self, phrase: str) -> bool:
        run = words(phrase.lower())
        return bool(run) and self._known.issuperset(pairwise(run) if len(run) > 1 else [tuple(run)])


def _runs(phrase: str) -> list[tuple[str, ...]]:
    """A phrase's word pairs and words."""
    run = words(phrase.lower())
    return [*pairwise(run), *zip(run, strict=True)]


def choose(
    several: Sequence[Option], stock: StockWords, weight: float, limit: float
) -> Option | None:
    """The option with the highest gain, stock words taken off; None when none gains anything.

    Args:
        stock: words that were chosen lately.
        weight, limit: as `stock_weight` and `stock_limit` of train/ppo.py.
    """
    best = max(several, key=lambda o: o.gain - weight * stock.excess(o.added, limit), default=None)
    return best if best is not None and best.gain > 0 else None


def rewrite(
    prompts: Sequence[str],
    mode: str,
    first: int,
    *,
    model: str | None,
    reward: str,
    n: int,
    seed: int,
) -> list[list[Option]]:
    """Options of each prompt; `first` is the first one's place among all, for its seed."""
    rewriter = _load(model, reward)
    seeds = [(seed << 32) + first + i for i in range(len(prompts))]
    results = rewriter.many(prompts, mode=mode, n=n, seeds=seeds)
    return [options(result, mode) for result in results]


_loaded: dict[tuple, Rewriter] = {}


def _load(model: str | None, reward: str) -> Rewriter:
    """The rewriter, once a process."""
    key = model, reward
    if key not in _loaded:
        _loaded[key] = Rewriter.load(model, reward=reward)
    return _loaded[key]


def parts(prompts: Sequence[str], share: float, seed: int) -> Iterator[tuple[list[str], str, int]]:
    """(prompts, mode, place of the first) of each part; about `share` (0-1) are to be rewritten."""
    rng = random.Random(seed)
    for first in range(0, len(prompts), _PART):
        mode = "rewrite" if rng.random() < share else "expand"
        yield list(prompts[first : first + _PART]), mode, first


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", required=True, help="text, one a line, or Parquet")
    parser.add_argument("--model", help="folder that writes; the bundled starter if left out")
    parser.add_argument("--reward", default="starter", help="folder that chooses")
    parser.add_argument("--count", type=int, default=16_000, help="prompts, a seeded draw")
    parser.add_argument("--longest", type=int, default=40, help="tokens of a prompt")
    parser.add_argument("--n", type=int, default=8, help="rewrites of each")
    parser.add_argument("--attested", help="pairs of train/collect.py that phrases must come from")
    parser.add_argument("--words_min", type=int, default=8, help="words that a rewrite adds")
    parser.add_argument("--rewrite_share", type=float, default=0.25, help="rewritten, not expanded")
    parser.add_argument("--stock_weight", type=float, default=1.5, help="see docs/training.md")
    parser.add_argument("--stock_limit", type=float, default=0.06)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/best"))
    args = parser.parse_args(argv)
    if args.workers < 1 or args.count < 1:
        raise InputError("--workers and --count must be 1 or more")
    torch.set_num_threads(1)
    how = {"model": args.model, "reward": args.reward, "n": args.n, "seed": args.seed}
    typed = short(_load(args.model, args.reward).model, read_prompts(args.prompts), args.longest)
    prompts = [prompt.raw for prompt in typed]
    random.Random(args.seed).shuffle(prompts)
    attested = None
    if args.attested:
        tails = [row["prompt"] for row in read_pairs(args.attested) if row["mode"] == "expand"]
        attested = Attested(tails)
    rows = collect(prompts[: args.count], args, how, attested)
    write(rows, args.out)


def collect(
    prompts: list[str],
    args: argparse.Namespace,
    how: dict,
    attested: Callable[[str], bool] | None,
) -> list[dict]:
    """The chosen pairs, the same for any number of workers."""
    from tqdm import tqdm

    def eligible(option: Option) -> bool:
        long = len(words(" ".join(option.added))) >= args.words_min
        return long and (attested is None or all(map(attested, option.added)))

    stock, rows = StockWords(), []
    work = list(parts(prompts, args.rewrite_share, args.seed))
    with ProcessPoolExecutor(
        args.workers, get_context("spawn"), torch.set_num_threads, (1,)
    ) as pool:
        found = pool.map(partial(rewrite, **how), *zip(*work, strict=True))
        for (part, mode, _), every in tqdm(zip(work, found, strict=True), total=len(work)):
            chosen = [
                choose(list(filter(eligible, several)), stock, args.stock_weight, args.stock_limit)
                for several in every
            ]
            stock.add([option.added for option in chosen if option])
            rows += [
                {"raw_prompt": parse(prompt).prose, "prompt": option.target, "mode": mode,
                 "source": "best", "gain": option.gain}
                for prompt, option in zip(part, chosen, strict=True) if option
            ]  # fmt: skip
    if not rows:
        raise InputError("no rewrite scores above its prompt: raise --n or train the model first")
    return rows


def write(rows: list[dict], folder: Path) -> None:
    """Both files; the last part of the rows is for validation."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    cut = len(rows) - max(1, len(rows) // 50)
    for name, chosen in (("train", rows[:cut]), ("validation", rows[cut:])):
        pd.DataFrame(chosen).to_parquet(folder / f"{name}.parquet", index=False)
        gain = mean(row["gain"] for row in chosen) if chosen else float("nan")
        print(f"{name}: {len(chosen)} pairs, mean gain {gain:.3f}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except BeautifulPromptError as error:
        sys.exit(f"best_of_n.py: {error}")
