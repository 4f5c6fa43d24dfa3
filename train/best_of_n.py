"""The best of several rewrites of each prompt, as pairs that a rewriter then learns from.

    python train/best_of_n.py --prompts runs/prompts/train.txt --out runs/best
    python train/sft.py --config train/configs/starter_best.yaml

Rejection sampling, or RAFT (Dong et al. 2023, arXiv 2304.06767; Llama 2, arXiv 2307.09288, section
3.2): every prompt is rewritten n times as for an artist, the guard behind the model, and what the
reward likes best is what the model learns to write at once. Unlike PPO it never sees a text of its
own that the guard had to mend; and it goes no further from the model before than the best of n
lies, at most log n - (n - 1) / n nats.

A reward of few labels hardly knows words that are none from words, nor what goes with what. With
`--pairs` phrases are left out that nobody could have written, and those that people keep apart
from an earlier one (no canon eos in a digital painting); what is left is scored anew. With
`--company_weight` phrases count for more that people put together, and behind such prompts; with
`--relevance_weight` those that a sentence encoder finds nearer to their prompt than to others.

The best phrases of n rewrites seldom stand in one of them. With `--compose` as many more additions
to a prompt are put together from all of them, and chosen from likewise. Additions that use a word
twice are left out.

Each round narrows what a model writes; `--again` learns the pairs of earlier rounds beside its own.

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
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from bp_core.errors import BeautifulPromptError, InputError
from bp_core.guard import admissible
from bp_core.prompt import parse
from bp_core.reward import Reward
from bp_core.rewriter import Result, Rewriter
from bp_core.words import clauses, content_stems, words
from train.embed import find_encoder, last_layer, spread
from train.phrasing import People, Relevance
from train.rl.rewards import StockWords
from train.rl.rollouts import read_prompts, short
from train.sft import read_pairs

# Prompts rewritten at once and in one mode; the last 16 such parts tell what a stock word is.
_PART = 128
# Arguments that `rewrite` takes over.
_HOW = ("model", "reward", "pairs", "n", "compose", "seed")
# Words of a composed addition, and how much likelier a phrase is drawn that gains one standard
# deviation of the prompt's phrases more: e to the power of the latter.
_COMPOSED = (8, 16)
_SHARPNESS = 2.0
COLUMNS = ["raw_prompt", "prompt", "mode", "source", "added", "gain"]


@dataclass(frozen=True)
class Option:
    """One rewrite that may be learned.

    Attributes:
        target: what the model is to write: the tail in `expand`, the whole prose in `rewrite`.
        added: the phrases that the prompt did not have.
        gain: reward above the prompt's own, in standard deviations.
        relevance, company: of the phrases, by train/phrasing.py.
    """

    target: str
    added: tuple[str, ...]
    gain: float
    relevance: float = 0.0
    company: float = 0.0


@dataclass(frozen=True)
class Weights:
    """What an option is chosen by, beside its gain.

    Attributes:
        stock, stock_limit: as `stock_weight` and `stock_limit` of train/ppo.py.
        relevance, company: times the option's own.
    """

    stock: float = 0.0
    stock_limit: float = 1.0
    relevance: float = 0.0
    company: float = 0.0


def options(
    result: Result,
    mode: str,
    reward: Reward,
    people: People | None = None,
    compose: int = 0,
    rng: random.Random | None = None,
) -> list[Option]:
    """A prompt's candidates as what there is to choose from.

    Args:
        people: tells what is cut from an addition; a free rewrite with such a phrase is left out.
        compose: additions to put together from all of them, in `expand`; drawn by `rng`.
    """
    found: dict[tuple[str, ...], Option] = {}
    anew: list[tuple[str, ...]] = []
    parsed = parse(result.prompt)

    def gains(additions: Sequence[Sequence[str]]) -> list[float]:
        texts = [parsed.prose, *(parse(parsed.expand(", ".join(a))).prose for a in additions)]
        own, *scores = reward.score(texts, raw=[parsed.prose] * len(texts))
        return [score.total - own.total for score in scores]

    for candidate in result.candidates:
        added = candidate.added
        kept = added if people is None else tuple(people.tidy(added))
        if kept == added:
            target = ", ".join(added) if mode == "expand" else parse(candidate.text).prose
            # Candidates come best first; free rewrites may add the same and be worded otherwise.
            found.setdefault(added, Option(target, added, float(candidate.score)))
        elif kept and mode == "expand":
            anew.append(kept)
    written = [*found, *anew]
    if compose and written and mode == "expand":
        phrases = list(dict.fromkeys(phrase for added in written for phrase in added))
        alone = dict(zip(phrases, gains([[p] for p in phrases]), strict=True))
        for _ in range(compose):
            drawn = composed(written, alone, rng)
            kept = admissible(", ".join(drawn), parsed.prose)
            anew.append(tuple(kept if people is None else people.tidy(kept)))
    anew = [added for added in dict.fromkeys(anew) if added and added not in found]
    if anew:
        for added, gain in zip(anew, gains(anew), strict=True):
            found[added] = Option(", ".join(added), added, gain)
    if people is None:
        return list(found.values())
    return [replace(o, company=people.company(result.prompt, o.added)) for o in found.values()]


def composed(
    written: Sequence[tuple[str, ...]], alone: Mapping[str, float], rng: random.Random
) -> list[str]:
    """Phrases drawn from several additions without replacement, of a drawn number of words, in the
    order in which the additions have them.

    By the Gumbel-top-k trick (Kool et al. 2019, arXiv 1903.06059): probable is what gains more.

    Args:
        alone: of each phrase, what it gains by itself.
    """
    scale = np.std(list(alone.values())) / _SHARPNESS or 1.0
    drawn = sorted(alone, key=lambda p: -alone[p] / scale + math.log(rng.expovariate(1)))
    size, count, kept = rng.randint(*_COMPOSED), 0, []
    for phrase in drawn:
        length = len(words(phrase))
        if count + length <= size:
            kept.append(phrase)
            count += length
    places = {
        phrase: mean(a.index(phrase) / len(a) for a in written if phrase in a) for phrase in kept
    }
    return sorted(kept, key=places.get)


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
        fitting = weights.relevance * option.relevance + weights.company * option.company
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
    n: int,
    compose: int,
    seed: int,
) -> list[list[Option]]:
    """Options of each prompt of a part that begins at place `first`, which makes its seeds."""
    rewriter, people = _load(model, reward), pairs and _people(pairs)
    seeds = [(seed << 32) + first + i for i in range(len(prompts))]
    results = rewriter.many(prompts, mode=mode, n=n, seeds=seeds)
    return [
        options(result, mode, rewriter.reward, people, compose, random.Random(own))
        for result, own in zip(results, seeds, strict=True)
    ]


@cache
def _load(model: str | None, reward: str) -> Rewriter:
    """The rewriter, once a process."""
    return Rewriter.load(model, reward=reward)


@cache
def _people(pairs: str) -> People:
    """What a file of pairs tells, once a process."""
    return People(read_pairs(pairs))


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
    parser.add_argument("--again", nargs="*", default=[], help="train.parquet of earlier rounds")
    parser.add_argument("--words_min", type=int, default=8, help="words that an expansion adds")
    parser.add_argument("--rewrite_words_min", type=int, default=5, help="that a free rewrite adds")
    parser.add_argument("--rewrite_share", type=float, default=0.25, help="rewritten, not expanded")
    parser.add_argument("--stock_weight", type=float, default=1.5, help="see docs/training.md")
    parser.add_argument("--stock_limit", type=float, default=0.06)
    parser.add_argument("--company_weight", type=float, default=0.0, help="of fitting phrases")
    parser.add_argument("--relevance_weight", type=float, default=0.0, help="of phrases near by")
    parser.add_argument("--encoder", type=Path, help="judges relevance; default: the package's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/best"))
    args = parser.parse_args(argv)
    if args.workers < 1 or args.count < 1 or args.compose < 0:
        raise InputError("--workers and --count must be 1 or more, --compose not below 0")
    # What can be wrong is found out before anything is rewritten.
    if args.company_weight and not args.pairs:
        raise InputError("--company_weight needs --pairs: give the pairs of train/collect.py")
    attested = _people(args.pairs).attested if args.pairs else anything
    again = [row for path in args.again for row in earlier(path, attested)]
    embed = None
    if args.relevance_weight:
        encoder = args.encoder or find_encoder()
        embed = partial(vectors, encoder=encoder, last=last_layer(encoder), workers=args.workers)
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
    if embed is not None:
        found = with_relevance(prompts, found, embed)
    weights = Weights(
        args.stock_weight, args.stock_limit, args.relevance_weight, args.company_weight
    )
    write(pairs(prompts, modes, found, weights), again, args.out)


def anything(phrase: str) -> bool:
    """In place of `Attested`: nothing is asked of a phrase."""
    return True


def earlier(path: str, attested: Callable[[str], bool]) -> list[dict]:
    """The pairs of an earlier round, those that are still attested."""
    import pandas as pd

    try:
        rows = pd.read_parquet(path)[COLUMNS].to_dict("records")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"--again {path} is no train.parquet of this script ({error})") from error
    return [row for row in rows if all(map(attested, clauses(row["added"])))]


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


def with_relevance(
    prompts: list[str], found: list[list[Option]], embed: Callable[..., np.ndarray]
) -> list[list[Option]]:
    """The options, each with its relevance."""
    phrases = sorted({p for several in found for option in several for p in option.added})
    relevance = Relevance(prompts, phrases, embed)
    return [
        [replace(option, relevance=relevance(prompt, option.added)) for option in several]
        for prompt, several in zip(prompts, found, strict=True)
    ]


def vectors(texts: list[str], encoder: Path, last: int, workers: int) -> np.ndarray:
    """Sentence embeddings (n, d) by an encoder's last layer."""
    return spread(texts, workers, encoder=encoder, layers=[last])[last]


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


def write(rows: list[dict], again: list[dict], folder: Path) -> None:
    """Both files; every fiftieth new prompt is for validation, none that was learned before."""
    import pandas as pd

    held_out = set(sorted({row["raw_prompt"] for row in rows})[::50])
    files = {
        "validation": [row for row in rows if row["raw_prompt"] in held_out],
        "train": again + [row for row in rows if row["raw_prompt"] not in held_out],
    }
    if not all(files.values()):
        raise InputError(
            f"{len(rows)} rewrites of the prompts are eligible and score above them: "
            "give more prompts or a higher --n"
        )
    for name, chosen in files.items():
        pd.DataFrame(chosen, columns=COLUMNS).to_parquet(folder / f"{name}.parquet", index=False)
        gain = mean(row["gain"] for row in chosen)
        print(f"{name}: {len(chosen)} pairs, mean gain {gain:.3f}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except BeautifulPromptError as error:
        sys.exit(f"best_of_n.py: {error}")
