"""What people's prompts tell of phrases: who could have written one, and what goes with what.

A reward model of few labels knows neither: it likes "digital painting", it likes "canon eos 5d",
and so it likes both at once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations, product
from statistics import fmean

from bp_core.text.words import clauses, content_stems, words

# Expected and found tails that each two words get in addition: rare ones say little.
_PRIOR = 5
# Nats below which people keep two phrases apart.
_APART = -1.0


class Attested:
    """Phrases that people could have written: whatever three words, or two at the beginning or
    the end of a phrase, follow each other in them, did so in what people wrote.

    Args:
        tails: what people added to prompts, phrases parted by commas.
    """

    def __init__(self, tails: Iterable[str]) -> None:
        self._known = {run for tail in tails for phrase in clauses(tail) for run in _runs(phrase)}

    def __call__(self, phrase: str) -> bool:
        return self._known.issuperset(_runs(phrase))


def _runs(phrase: str) -> Iterator[tuple[str, str, str]]:
    """Three words in a row, one of which may be the phrase's beginning or end ("")."""
    run = ["", *words(phrase.lower()), ""]
    return zip(run, run[1:], run[2:], strict=False)


class Company:
    """Whether people put phrases together, and behind such a prompt.

    By pointwise mutual information (Church & Hanks 1990) of content words: how many tails hold
    both, in different phrases, against how many would by chance, in nats; and the same of a word
    in a prompt and one in its tail. "Digital painting" and "canon eos 5d" have -1.9, "35mm" and
    "film grain" +1.1.

    Args:
        pairs: (prompt, tail) as people wrote them.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = 0
        self._asked, self._added = Counter(), Counter()
        self._within, self._across = Counter(), Counter()
        for prompt, tail in pairs:
            phrases = [set(content_stems(phrase)) for phrase in clauses(tail)]
            asked, added = set(content_stems(prompt)), set().union(*phrases)
            self._pairs += 1
            self._asked.update(asked)
            self._added.update(added)
            self._across.update(product(asked, added))
            # A set: phrases of one tail that share words count once.
            self._within.update(
                {tuple(sorted(ab)) for x, y in combinations(phrases, 2) for ab in product(x, y)}
            )
        self._phrases = cache(self._phrases)
        self._prompt_word = cache(self._prompt_word)

    def __call__(self, prompt: str, phrases: Sequence[str]) -> float:
        """Mean over the phrases, in nats: of each what it has with the prompt's words on average,
        and with that other phrase which goes with it least, if people keep the two apart."""
        asked = sorted(set(content_stems(prompt)))
        clashes = [
            min((self._phrases(*sorted((one, other))) for other in phrases if other != one),
                default=0.0)
            for one in phrases
        ]  # fmt: skip
        behind = [_mean(self._prompt_word(word, phrase) for word in asked) for phrase in phrases]
        return _mean(min(0.0, clash) + x for clash, x in zip(clashes, behind, strict=True))

    def apart(self, one: str, other: str) -> bool:
        """Whether people keep two phrases apart."""
        return self._phrases(*sorted((one, other))) < _APART

    def _phrases(self, one: str, other: str) -> float:
        """Of two phrases, in alphabetical order."""
        return _mean(
            self._information(self._within[min(a, b), max(a, b)], self._added[a], self._added[b])
            for a, b in product(content_stems(one), content_stems(other))
            if a != b
        )

    def _prompt_word(self, word: str, phrase: str) -> float:
        """Of a prompt's word and a phrase behind it."""
        return _mean(
            self._information(self._across[word, stem], self._asked[word], self._added[stem])
            for stem in content_stems(phrase)
            if stem != word
        )

    def _information(self, both: int, one: int, other: int) -> float:
        expected = one * other / max(1, self._pairs)
        return math.log((both + _PRIOR) / (expected + _PRIOR))


def _mean(values: Iterable[float]) -> float:
    """0 of nothing."""
    numbers = list(values)
    return fmean(numbers) if numbers else 0.0


class People:
    """What people's pairs tell of phrases.

    Args:
        rows: pairs of train/collect.py, as `train.data.pairs.read_pairs` reads them.
    """

    def __init__(self, rows: Sequence[Mapping[str, str]]) -> None:
        tails = [row for row in rows if row["mode"] == "expand"]
        self.attested = Attested(row["prompt"] for row in tails)
        # Phrases that collect.py lent to captions were put together by no one.
        written = (row for row in tails if row["source"] != "borrowed")
        self.company = Company((row["raw_prompt"], row["prompt"]) for row in written)

    def tidy(self, phrases: Sequence[str]) -> list[str]:
        """The attested ones that go with those before them."""
        tidied: list[str] = []
        for phrase in filter(self.attested, phrases):
            if not any(self.company.apart(phrase, earlier) for earlier in tidied):
                tidied.append(phrase)
        return tidied
