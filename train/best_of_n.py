"""The best of several rewrites of each prompt, as pairs that a rewriter then learns from.

    python train/best_of_n.py --prompts runs/prompts/train.txt --out runs/best
    python train/sft.py --config train/configs/starter_composed.yaml

Rejection sampling, or RAFT (Dong et al. 2023, arXiv 2304.06767; Llama 2, arXiv 2307.09288, section
3.2): every prompt is rewritten n times as for an artist, the guard behind the model, and what the
reward likes best is what the model learns to write at once. Unlike PPO it never sees a text of its
own that the guard had to mend; and it goes no further from the model before than the best of n
lies, at most log n - (n - 1) / n nats.

A reward of few labels hardly knows words that are none from words, nor what goes with what. With
`--pairs` phrases are left out that nobody could have written, and those that people keep apart
from an earlier one (no canon eos in a digital painting); what is left is scored anew. With
`--company_weight` phrases count for more that people put together, and behind such prompts. With
`--fit` (`train/starter/fit.py`) phrases that people do not put behind such prompts are cut as well, and the
better the others fit, the more they count. What the reward's taste finds unsuitable is neither
written nor lent; with `--taste_weight` phrases count for more, the better they suit the prompt.

The best phrases of n rewrites seldom stand in one of them. With `--compose` as many more additions
to a prompt are put together from all of them, and from phrases that people put behind such prompts
(`--borrow`), and chosen from likewise. Additions that use a word twice are left out.

Each round narrows what a model writes.

`train.parquet` and `validation.parquet` have the columns of `train/collect.py`, `added`, the new
phrases, and `gain`, the reward above that of the prompt as it was typed, in standard deviations.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from bp_core.errors import BeautifulPromptError, InputError
from bp_core.rewriter import Result, Rewriter
from bp_core.rules.admissible import admissible
from bp_core.score.text_reward import Reward
from bp_core.settings import Settings
from bp_core.text.prompt import parse
from bp_core.text.words import content_stems, words
from train.data.phrasing import People
from train.rl.rewards import StockWords
from train.rl.rollouts import read_prompts, short
from train.sft import read_pairs
from train.starter.fit import Fit

# Prompts rewritten at once and in one mode; the last 16 such parts tell what a stock word is.
_PART = 128
# Arguments that `rewrite` takes over.
_HOW = ("model", "reward", "pairs", "fit", "n", "compose", "borrow", "fit_weight", "seed")
# Words of a composed addition, and how much likelier a phrase is drawn that gains one standard
# deviation of the prompt's phrases more: e to the power of the latter.
_COMPOSED = (8, 16)
_SHARPNESS = 2.0
# Nats below which a phrase does not fit its prompt.
_UNFIT = -0.7
COLUMNS = ["raw_prompt", "prompt", "mode", "source", "added", "gain"]


@dataclass(frozen=True)
class Option:
    """One rewrite that may be learned.

    Attributes:
        target: what the model is to write: the tail in `expand`, the whole prose in `rewrite`.
        added: the phrases that the prompt did not have.
        gain: reward above the prompt's own, in standard deviations.
        fit: mean of the phrases, in nats, by train/starter/fit.py.
        company: of the phrases, by train/data/phrasing.py.
        taste: mean probability (0-1) of the phrases to suit the prompt, by the reward's taste.
    """

    target: str
    added: tuple[str, ...]
    gain: float
    fit: float = 0.0
    company: float = 0.0
    taste: float = 0.0


@dataclass(frozen=True)
class Fitting:
    """What `train/starter/fit.py` tells of a prompt's phrases.

    Attributes:
        nats: of each phrase that it was asked for, and of those lent.
        lent: phrases that people put behind such prompts.
        weight: of a nat, beside a standard deviation of reward.
    """

    nats: Mapping[str, float]
    lent: Sequence[str] = ()
    weight: float = 0.0

    def fits(self, phrase: str) -> bool:
        return self.nats[phrase] > _UNFIT


@dataclass(frozen=True)
class Weights:
    """What an option is chosen by, beside its gain.

    Attributes:
        stock, stock_limit: as `stock_weight` and `stock_limit` of train/ppo.py.
        fit, company, taste: times the option's own.
    """

    stock: float = 0.0
    stock_limit: float = 1.0
    fit: float = 0.0
    company: float = 0.0
    taste: float = 0.0


def options(
    result: Result,
    mode: str,
    reward: Reward,
    people: People | None = None,
    fitting: Fitting | None = None,
    compose: int = 0,
    rng: random.Random | None = None,
) -> list[Option]:
    """A prompt's candidates as what there is to choose from.

    Args:
        people, fitting: tell what is cut from an addition; a free rewrite with such a phrase is
            left out.
        compose: additions to put together from all of them, in `expand`; drawn by `rng`.
    """
    found: dict[tuple[str, ...], Option] = {}
    anew: list[tuple[str, ...]] = []
    parsed = parse(result.prompt)
    taste = getattr(reward, "taste", None)
    suits = None if taste is None else taste.of(parsed.prose)

    def tidy(phrases: Sequence[str]) -> tuple[str, ...]:
        kept = phrases if fitting is None else list(filter(fitting.fits, phrases))
        if suits is not None:
            # What others lend has not been judged yet.
            chances = zip(kept, suits(kept), strict=True)
            kept = [phrase for phrase, p in chances if p >= Settings.min_taste]
        return tuple(kept if people is None else people.tidy(kept))

    def gains(additions: Sequence[Sequence[str]]) -> list[float]:
        texts = [parsed.prose, *(parse(parsed.expand(", ".join(a))).prose for a in additions)]
        own, *scores = reward.score(texts, raw=[parsed.prose] * len(texts))
        return [score.total - own.total for score in scores]

    for candidate in result.candidates:
        added = candidate.added
        kept = tidy(added)
        if kept == added:
            target = ", ".join(added) if mode == "expand" else parse(candidate.text).prose
            # Candidates come best first; free rewrites may add the same and be worded otherwise.
            found.setdefault(added, Option(target, added, float(candidate.score)))
        elif kept and mode == "expand":
            anew.append(kept)
    written = [*found, *anew]
    if compose and written and mode == "expand":
        lent = [] if fitting is None else admissible(", ".join(fitting.lent), parsed.prose)
        phrases = sorted({phrase for added in (*written, lent) for phrase in added})
        worth = dict(zip(phrases, gains([[p] for p in phrases]), strict=True))
        if fitting is not None:
            worth = {p: gain + fitting.weight * fitting.nats[p] for p, gain in worth.items()}
        for _ in range(compose):
            anew.append(composed(written, worth, rng, lambda p: tidy(admissible(p, parsed.prose))))
    anew = [added for added in dict.fromkeys(anew) if added and added not in found]
    if anew:
        for added, gain in zip(anew, gains(anew), strict=True):
            found[added] = Option(", ".join(added), added, gain)
    several = list(found.values())
    if fitting is not None:
        several = [replace(o, fit=fmean(map(fitting.nats.get, o.added))) for o in several]
    if suits is not None:
        several = [replace(o, taste=fmean(suits(o.added))) for o in several]
    if people is not None:
        several = [replace(o, company=people.company(result.prompt, o.added)) for o in several]
    return several


def composed(
    written: Sequence[tuple[str, ...]],
    worth: Mapping[str, float],
    rng: random.Random,
    guard: Callable[[str], Sequence[str]],
) -> tuple[str, ...]:
    """Phrases drawn without replacement, of a drawn number of words, in the order in which several
    additions have them, what none of them has in the middle.

    By the Gumbel-top-k trick (Kool et al. 2019, arXiv 1903.06059): probable is what is worth more.

    Args:
        worth: of each phrase, by itself.
        guard: a tail to those of its phrases that may be added.
    """
    scale = np.std(list(worth.values())) / _SHARPNESS or 1.0
    drawn = sorted(worth, key=lambda p: -worth[p] / scale + math.log(rng.expovariate(1)))
    size, count, kept = rng.randint(*_COMPOSED), 0, []
    # The guard would refuse much of what is drawn later, for saying nothing new.
    for phrase in guard(", ".join(drawn[: 2 * size])):
        length = len(words(phrase))
        if count + length <= size:
            kept.append(phrase)
            count += length
    places = {p: [a.index(p) / len(a) for a in written if p in a] for p in kept}
    kept.sort(key=lambda p: fmean(places[p] or [0.5]))
    return tuple(guard(", ".join(kept)))


def echoes(added: Sequence[str]) -> bool:
    """Whether two phrases share a content word: "beautiful scenery, beautiful valley"."""
    stems = [stem for phrase in added for stem in set(content_stems(phrase))]
    return len(set(stems)) < len(stems)


def choose(several: Sequence[Option], stock: StockWords, weights: Weights) -> Option | None:
    """The option of the highest worth; None when none gains anything.

    Args:
        stock: words that were chosen lately.
    """

    def worth(option: Option) -> float:
        excess = stock.excess(option.added, weights.stock_limit)
        fitting = weights.fit * option.fit + weights.taste * option.taste
        fitting += weights.company * option.company
        return option.gain - weights.stock * excess + fitting

    return max((o for o in several if o.gain > 0), key=worth, default=None)


def rewrite(
    prompts: Sequence[str],
    mode: str,
    first: int,
    *,
    model: str | None,
    reward: str,
    pairs: str | None,
    fit: str | None,
    n: int,
    compose: int,
    borrow: int,
    fit_weight: float,
    seed: int,
) -> list[list[Option]]:
    """Options of each prompt of a part that begins at place `first`, which makes its seeds."""
    rewriter, people = _load(model, reward), pairs and _people(pairs)
    seeds = [(seed << 32) + first + i for i in range(len(prompts))]
    results = rewriter.many(prompts, mode=mode, n=n, seeds=seeds)
    fittings = [None] * len(results)
    if fit:
        fittings = fitted(_fit(fit), results, borrow, fit_weight, seeds)
    return [
        options(result, mode, rewriter.reward, people, fitting, compose, random.Random(own))
        for result, fitting, own in zip(results, fittings, seeds, strict=True)
    ]


def fitted(
    fit: Fit, results: Sequence[Result], borrow: int, weight: float, seeds: Sequence[int]
) -> list[Fitting]:
    """How the phrases of each prompt's candidates fit, and `borrow` others that do."""
    written = {p for result in results for c in result.candidates for p in c.added}
    phrases = [*fit.common, *sorted(written)]
    found = fit.nats([result.prompt for result in results], phrases)
    # What one person wrote again and again fits nowhere.
    found[:, [phrase.lower() in fit.copied for phrase in phrases]] = -np.inf
    return [
        Fitting(
            dict(zip(phrases, row.tolist(), strict=True)),
            fit.draw(row[: len(fit.common)], borrow, np.random.default_rng(seed)),
            weight,
        )
        for row, seed in zip(found, seeds, strict=True)
    ]


@cache
def _load(model: str | None, reward: str) -> Rewriter:
    """The rewriter, once a process."""
    return Rewriter.load(model, reward=reward)


@cache
def _people(pairs: str) -> People:
    """What a file of pairs tells, once a process."""
    return People(read_pairs(pairs))


@cache
def _fit(folder: str) -> Fit:
    """What fits, once a process."""
    return Fit.load(folder)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", required=True, help="text, one a line, or Parquet")
    parser.add_argument("--model", help="folder that writes; the bundled starter if left out")
    parser.add_argument("--reward", default="starter", help="folder that chooses")
    parser.add_argument("--count", type=int, default=16_000, help="prompts, a seeded draw")
    parser.add_argument("--longest", type=int, default=40, help="tokens of a prompt")
    parser.add_argument("--n", type=int, default=8, help="rewrites of each")
    parser.add_argument(
        "--compose", type=int, default=0, help="additions of 8 to 16 words made of their phrases"
    )
    parser.add_argument("--pairs", help="of train/collect.py: only what people write is learned")
    parser.add_argument("--words_min", type=int, default=8, help="words that an expansion adds")
    parser.add_argument("--rewrite_words_min", type=int, default=5, help="that a free rewrite adds")
    parser.add_argument("--rewrite_share", type=float, default=0.25, help="rewritten, not expanded")
    parser.add_argument("--stock_weight", type=float, default=1.5, help="see docs/training.md")
    parser.add_argument("--stock_limit", type=float, default=0.06)
    parser.add_argument("--company_weight", type=float, default=0.0, help="of fitting phrases")
    parser.add_argument("--fit", help="folder of train/starter/fit.py: what does not fit is not learned")
    parser.add_argument("--fit_weight", type=float, default=0.0, help="of phrases that fit")
    parser.add_argument("--taste_weight", type=float, default=0.0, help="of phrases that suit")
    parser.add_argument("--borrow", type=int, default=0, help="phrases that fit, for --compose")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/best"))
    args = parser.parse_args(argv)
    if min(args.workers, args.count) < 1 or min(args.compose, args.borrow) < 0:
        raise InputError("--workers and --count must be 1 or more, --compose, --borrow not below 0")
    # What can be wrong is found out before anything is rewritten.
    if args.company_weight and not args.pairs:
        raise InputError("--company_weight needs --pairs: give the pairs of train/collect.py")
    if args.fit:
        _fit(args.fit)
    elif args.fit_weight or args.borrow:
        raise InputError("--fit_weight and --borrow need --fit: make it with train/starter/fit.py")
    if args.pairs:
        _people(args.pairs)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {args.out} ({error}): give another --out") from error
    torch.set_num_threads(1)
    how = {key: getattr(args, key) for key in _HOW}
    typed = short(_load(args.model, args.reward).model, read_prompts(args.prompts), args.longest)
    prompts = [prompt.raw for prompt in typed]
    rng = random.Random(args.seed)
    rng.shuffle(prompts)
    prompts = prompts[: args.count]

    modes = [
        "rewrite" if rng.random() < args.rewrite_share else "expand"
        for _ in range(0, len(prompts), _PART)
    ]
    least = {"expand": args.words_min, "rewrite": args.rewrite_words_min}
    found = [
        [
            o
            for o in several
            if len(words(" ".join(o.added))) >= least[modes[i // _PART]] and not echoes(o.added)
        ]
        for i, several in enumerate(rewrite_all(prompts, modes, args.workers, how))
    ]
    weights = Weights(
        args.stock_weight,
        args.stock_limit,
        args.fit_weight,
        args.company_weight,
        args.taste_weight,
    )
    write(pairs(prompts, modes, found, weights), args.out)


def rewrite_all(
    prompts: list[str], modes: list[str], workers: int, how: dict
) -> list[list[Option]]:
    """Options of each prompt, the same for any number of workers.

    Args:
        modes: of each part of the prompts.
        how: `rewrite`'s other arguments.
    """
    from tqdm import tqdm

    places = range(0, len(prompts), _PART)
    several = [prompts[i : i + _PART] for i in places]
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        found = pool.map(partial(rewrite, **how), several, modes, places)
        return [each for part in tqdm(found, total=len(places), desc="rewriting") for each in part]


def pairs(
    prompts: list[str], modes: list[str], found: list[list[Option]], weights: Weights
) -> list[dict]:
    """A row for each prompt that has something to be learned."""
    stock, rows = StockWords(), []
    for mode, start in zip(modes, range(0, len(prompts), _PART), strict=True):
        part = slice(start, start + _PART)
        chosen = [
            (prompt, option)
            for prompt, several in zip(prompts[part], found[part], strict=True)
            if (option := choose(several, stock, weights)) is not None
        ]
        stock.add([option.added for _, option in chosen])
        rows += [
            {"raw_prompt": parse(prompt).prose, "prompt": option.target, "mode": mode,
             "source": "best", "added": ", ".join(option.added), "gain": option.gain}
            for prompt, option in chosen
        ]  # fmt: skip
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
    try:
        main()
    except BeautifulPromptError as error:
        sys.exit(f"best_of_n.py: {error}")
