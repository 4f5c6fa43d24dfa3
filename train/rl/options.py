"""What the best of n can be chosen from: a prompt's candidates, cut, composed and judged.

Phrases are cut that nobody could have written, that people keep apart, that do not fit the prompt
or do not suit it; what is left is scored anew. Additions are composed from the phrases of all
candidates, and from phrases that people put behind such prompts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from bp_core.rewriter import Result
from bp_core.rules.policy import permitted
from bp_core.score.taste import Taste
from bp_core.score.text_reward import Reward
from bp_core.settings import Settings
from bp_core.text.prompt import parse
from bp_core.text.words import content_stems, words
from train.data.phrasing import People
from train.rewards.phrase_fit import Fit

# Words of a composed addition, and how much likelier a phrase is drawn that gains one standard
# deviation of the prompt's phrases more: e to the power of the latter.
_COMPOSED = (8, 16)
_SHARPNESS = 2.0
# Nats below which a phrase does not fit its prompt.
_UNFIT = -0.7


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


def options(
    result: Result,
    mode: str,
    reward: Reward,
    people: People | None = None,
    fitting: Fitting | None = None,
    compose: int = 0,
    rng: random.Random | None = None,
    taste: Taste | None = None,
) -> list[Option]:
    """A prompt's candidates as what there is to choose from.

    Args:
        people, fitting: tell what is cut from an addition; a free rewrite with such a phrase is
            left out.
        compose: additions to put together from all of them, in `expand`; drawn by `rng`.
    """
    by_phrases: dict[tuple[str, ...], Option] = {}
    anew: list[tuple[str, ...]] = []
    parsed = parse(result.prompt)
    suits = None if taste is None else taste.of(parsed.prose)

    def tidy(phrases: Sequence[str]) -> tuple[str, ...]:
        if fitting is not None:
            phrases = list(filter(fitting.fits, phrases))
        if suits is not None:
            # What others lend has not been judged yet.
            chances = zip(phrases, suits(phrases), strict=True)
            phrases = [phrase for phrase, p in chances if p >= Settings.min_taste]
        return tuple(phrases if people is None else people.tidy(phrases))

    def gains(additions: Sequence[Sequence[str]]) -> list[float]:
        texts = [parsed.prose, *(parse(parsed.expand(", ".join(a))).prose for a in additions)]
        base, *scores = reward.score(texts, raw=[parsed.prose] * len(texts))
        return [score.total - base.total for score in scores]

    for candidate in result.candidates:
        added = candidate.added
        tidied = tidy(added)
        if tidied == added:
            target = ", ".join(added) if mode == "expand" else parse(candidate.text).prose
            # Candidates come best first; free rewrites may add the same and be worded otherwise.
            by_phrases.setdefault(added, Option(target, added, float(candidate.score)))
        elif tidied and mode == "expand":
            anew.append(tidied)
    written = [*by_phrases, *anew]
    if compose and written and mode == "expand":
        lent = [] if fitting is None else permitted(fitting.lent, parsed.prose)
        phrases = sorted({phrase for added in (*written, lent) for phrase in added})
        worth = dict(zip(phrases, gains([[p] for p in phrases]), strict=True))
        if fitting is not None:
            worth = {p: gain + fitting.weight * fitting.nats[p] for p, gain in worth.items()}
        for _ in range(compose):
            anew.append(composed(written, worth, rng, lambda p: tidy(permitted(p, parsed.prose))))
    anew = [added for added in dict.fromkeys(anew) if added and added not in by_phrases]
    if anew:
        for added, gain in zip(anew, gains(anew), strict=True):
            by_phrases[added] = Option(", ".join(added), added, gain)
    choices = list(by_phrases.values())
    if fitting is not None:
        choices = [replace(o, fit=fmean(map(fitting.nats.get, o.added))) for o in choices]
    if suits is not None:
        choices = [replace(o, taste=fmean(suits(o.added))) for o in choices]
    if people is not None:
        choices = [replace(o, company=people.company(result.prompt, o.added)) for o in choices]
    return choices


def composed(
    written: Sequence[tuple[str, ...]],
    worth: Mapping[str, float],
    rng: random.Random,
    guard: Callable[[Sequence[str]], Sequence[str]],
) -> tuple[str, ...]:
    """Phrases drawn without replacement, of a drawn number of words, in the order in which several
    additions have them, what none of them has in the middle.

    By the Gumbel-top-k trick (Kool et al. 2019, arXiv 1903.06059): probable is what is worth more.

    Args:
        worth: of each phrase, by itself.
        guard: leaves of phrases those that may be added.
    """
    scale = np.std(list(worth.values())) / _SHARPNESS or 1.0
    drawn = sorted(worth, key=lambda p: -worth[p] / scale + math.log(rng.expovariate(1)))
    size, count, phrases = rng.randint(*_COMPOSED), 0, []
    # The guard would refuse much of what is drawn later, for saying nothing new.
    for phrase in guard(drawn[: 2 * size]):
        length = len(words(phrase))
        if count + length <= size:
            phrases.append(phrase)
            count += length
    places = {p: [a.index(p) / len(a) for a in written if p in a] for p in phrases}
    phrases.sort(key=lambda p: fmean(places[p] or [0.5]))
    return tuple(guard(phrases))


def echoes(added: Sequence[str]) -> bool:
    """Whether two phrases share a content word: "beautiful scenery, beautiful valley"."""
    stems = [stem for phrase in added for stem in set(content_stems(phrase))]
    return len(set(stems)) < len(stems)


def fitted(
    fit: Fit, results: Sequence[Result], borrow: int, weight: float, seeds: Sequence[int]
) -> list[Fitting]:
    """How the phrases of each prompt's candidates fit, and `borrow` others that do."""
    written = {p for result in results for c in result.candidates for p in c.added}
    phrases = [*fit.common, *sorted(written)]
    nats = fit.nats([result.prompt for result in results], phrases)
    # What one person wrote again and again fits nowhere.
    nats[:, [phrase.lower() in fit.copied for phrase in phrases]] = -np.inf
    return [
        Fitting(
            dict(zip(phrases, row.tolist(), strict=True)),
            fit.draw(row[: len(fit.common)], borrow, np.random.default_rng(seed)),
            weight,
        )
        for row, seed in zip(nats, seeds, strict=True)
    ]
