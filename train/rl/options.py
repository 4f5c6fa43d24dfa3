"""What the best of n can be chosen from: a prompt's candidates, cut, composed and judged.

Phrases that do not suit the prompt are cut; what is left is scored anew. Additions are composed
from the phrases of all candidates.
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

# Words of a composed addition, and how much likelier a phrase is drawn that gains one standard
# deviation of the prompt's phrases more: e to the power of the latter.
_COMPOSED = (8, 16)
_SHARPNESS = 2.0


@dataclass(frozen=True)
class Option:
    """One rewrite that may be learned.

    Attributes:
        target: what the model is to write: the tail in `expand`, the whole prose in `rewrite`.
        added: the phrases that the prompt did not have.
        gain: reward above the prompt's own, in standard deviations.
        taste: mean probability (0-1) of the phrases to suit the prompt, by the reward's taste.
    """

    target: str
    added: tuple[str, ...]
    gain: float
    taste: float = 0.0


def options(
    result: Result,
    mode: str,
    reward: Reward,
    compose: int = 0,
    rng: random.Random | None = None,
    taste: Taste | None = None,
) -> list[Option]:
    """A prompt's candidates as what there is to choose from.

    Args:
        compose: additions to put together from all of them, in `expand`; drawn by `rng`.
        taste: tells what is cut from an addition; a free rewrite with such a phrase is left out.
    """
    by_phrases: dict[tuple[str, ...], Option] = {}
    anew: list[tuple[str, ...]] = []
    parsed = parse(result.prompt)
    suits = None if taste is None else taste.of(parsed.prose)

    def tidy(phrases: Sequence[str]) -> tuple[str, ...]:
        if suits is not None:
            chances = zip(phrases, suits(phrases), strict=True)
            phrases = [phrase for phrase, p in chances if p >= Settings.min_taste]
        return tuple(phrases)

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
        phrases = sorted({phrase for added in written for phrase in added})
        worth = dict(zip(phrases, gains([[p] for p in phrases]), strict=True))
        for _ in range(compose):
            anew.append(composed(written, worth, rng, lambda p: tidy(permitted(p, parsed.prose))))
    anew = [added for added in dict.fromkeys(anew) if added and added not in by_phrases]
    if anew:
        for added, gain in zip(anew, gains(anew), strict=True):
            by_phrases[added] = Option(", ".join(added), added, gain)
    choices = list(by_phrases.values())
    if suits is not None:
        choices = [replace(o, taste=fmean(suits(o.added))) for o in choices]
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
