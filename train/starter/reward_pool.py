"""Prompts that nobody scored, over which the starter's reward is distilled from its teacher.

A text reward is used to compare tails on one subject, by a policy that looks for its weak spots.
So beside what people wrote ("rich", "plain") the pool holds one subject with several tails
("mixed"), what artists type before they think of a tail ("short": their first phrase, alone or with
one to three more), what the bundled rewriter makes of plain prompts ("rewritten"), and tails as a
policy that stuffs them would write ("stuffed"), which the student must read as soberly as its
teacher.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pandas as pd

from bp_core.text.words import clauses
from train.data.cleaning import clean, is_english
from train.data.dedup import near
from train.data.pools import read_captions, read_podvodka, read_pools

_TAILS = 3  # different tails of one subject
_PRAISE = 60  # commonest phrases of rich prompts, the words that a stuffed tail is made of


class Tails:
    """Phrases of rich prompts and how often each is written; phrases of three prompts or more.

    Args:
        manners: phrases that name a medium or a style.
    """

    def __init__(self, rich: list[str], manners: list[str]) -> None:
        self.manners = manners
        count = Counter(c.lower() for p in rich for c in clauses(p)[1:] if len(c) < 60)
        self.phrases = [c for c, k in count.items() if k >= 3]
        self.weights = [count[c] ** 0.5 for c in self.phrases]
        self.praise = sorted(self.phrases, key=lambda c: -count[c])[:_PRAISE]
        self.whole = [", ".join(clauses(p)[1:]) for p in rich if len(clauses(p)) > 2]

    def usual(self, rng: random.Random) -> str:
        """Phrases drawn one by one, or now and then a whole tail that somebody wrote."""
        tail = ", ".join(rng.choices(self.phrases, self.weights, k=rng.randint(1, 10)))
        return tail if rng.random() < 0.75 else rng.choice(self.whole)

    def few(self, rng: random.Random) -> list[str]:
        """Up to three phrases, the last of them in two cases of five a manner."""
        phrases = rng.choices(self.phrases, self.weights, k=rng.choice((0, 1, 1, 2)))
        return phrases + [rng.choice(self.manners)] * (rng.random() < 0.4)

    def stuffed(self, rng: random.Random) -> str:
        """One phrase many times, a list of praise, or 40 to 80 words."""
        kind = rng.randrange(4)
        if kind == 0:
            phrase = rng.choice(rng.choice((self.phrases, self.praise)))
            return rng.choice((", ", " ")).join([phrase] * rng.randint(2, 20))
        if kind == 1:
            return ", ".join(rng.sample(self.praise, rng.randint(5, 25)))
        if kind == 2:
            some = rng.sample(self.praise, 3)
            return ", ".join(rng.choices(some, k=rng.randint(6, 20)))
        size, tail = rng.randint(40, 80), ""
        while len(tail.split()) < size:
            tail += ", " * bool(tail) + rng.choices(self.phrases, self.weights)[0]
        return tail


def pool(data: Path, held_out: list[str], size: dict[str, int], seed: int) -> pd.DataFrame:
    """The pool: prompt, source. A smaller size takes the start of what a larger one would.

    Args:
        held_out: prompts that no published prompt of the pool may come near to.
        size: how many of "rich", "plain", "mixed", "short", "rewritten" and "stuffed" to take at
            most.
    """
    pools = read_pools(data)
    pairs = read_podvodka(data)
    rich = [*pools["imagereward"], *pools["pickapic"], *(high for _, high in pairs)]
    plain = [*read_captions(data), *pools["unigenbench"], *(low for low, _ in pairs)]
    sides = {}
    for name, prompts in (("rich", rich), ("plain", plain)):
        prompts = sorted({c for p in prompts if is_english(c := clean(p))})
        far = ~near(prompts, held_out)
        sides[name] = [p for p, ok in zip(prompts, far, strict=True) if ok]
        random.Random(f"{seed} {name}").shuffle(sides[name])
    tails = Tails(sides["rich"], manners(data))
    firsts = [clauses(p)[0] for p in sides["rich"] if len(clauses(p)) > 1]
    subjects = sides["plain"] + [f for f in firsts if len(f.split()) > 2]
    sides["mixed"], rng = [], random.Random(f"{seed} mixed")
    while len(sides["mixed"]) < size["mixed"]:
        subject = rng.choice(subjects)
        sides["mixed"] += [f"{subject}, {tails.usual(rng)}" for _ in range(_TAILS)]
    rng = random.Random(f"{seed} short")
    short = [", ".join([rng.choice(firsts), *tails.few(rng)]) for _ in range(size["short"])]
    # The first phrase of a prompt may come nearer to a held-out one than the whole did.
    sides["short"] = [p for p, close in zip(short, near(short, held_out), strict=True) if not close]
    rng = random.Random(f"{seed} stuffed")
    # Every tenth of them without a subject.
    sides["stuffed"] = [
        f"{rng.choice(subjects)}, {tails.stuffed(rng)}" if i % 10 else tails.stuffed(rng)
        for i in range(size["stuffed"])
    ]
    rng = random.Random(f"{seed} rewritten")
    sides["rewritten"] = rewritten([rng.choice(subjects) for _ in range(size["rewritten"] // 8)])
    rows = [(p, source) for source, prompts in sides.items() for p in prompts[: size[source]]]
    frame = pd.DataFrame(rows, columns=["prompt", "source"])
    return frame.drop_duplicates("prompt", ignore_index=True)


def manners(data: Path) -> list[str]:
    """ "an etching", "art nouveau style", …: clip-interrogator's mediums and movements."""
    folder = data / "clip_interrogator"
    mediums, movements = (
        (folder / f"{name}.txt").read_text(encoding="utf-8").split("\n")
        for name in ("mediums", "movements")
    )
    return [m for m in mediums if m] + [f"{m} style" for m in movements if m]


def rewritten(prompts: list[str]) -> list[str]:
    """The bundled rewriter's eight candidates of each prompt."""
    from bp_core import Rewriter

    if not prompts:
        return []
    results = Rewriter.load(reward=None).many(prompts, n=8, seed=0)
    return [c.text for result in results for c in result.candidates]
