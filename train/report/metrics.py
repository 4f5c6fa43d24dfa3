"""Figures for what a rewriter writes: kept words, added words, repetition, diversity, drift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean, median

from bp_core.errors import InputError
from bp_core.rewriter import Result
from bp_core.rules.blocklist import Blocklist
from bp_core.rules.policy import adds_somebody, three_word_runs
from bp_core.text.words import clauses, content_stems, words

# What people append to any prompt whatever: the baseline that a rewriter must beat.
FIXED_TAIL = "highly detailed, digital painting, artstation, concept art, sharp focus, illustration"


def _figure(meaning: str):
    return field(metadata={"meaning": meaning})


@dataclass(frozen=True)
class Figures:
    """Means over prompts unless said otherwise; shares are 0-1.

    Each field's metadata tells its `meaning` in one line, for those who read a report.
    """

    kept: float = _figure("content words of the prompt that the best candidate has, share")
    kept_all: float = _figure("the same over all candidates")
    added_words: float = _figure("words that the best candidate adds, median")
    blocked: float = _figure("candidates that add a blocked term, share")
    repeated: float = _figure(
        "candidates that add a content word of the prompt once more (expand), share"
    )
    reworded: float = _figure(
        "best candidates in which the prompt's own phrases read otherwise (rewrite), share"
    )
    twice: float = _figure("candidates that add a phrase twice, share")
    distinct_bigrams: float = _figure(
        "word pairs added by one prompt's candidates: different ones over all"
    )
    unasked_people: float = _figure(
        "best candidates with a person or a portrait nobody asked for, share"
    )
    commonest: str = _figure("the added phrase that most best candidates share")
    commonest_share: float = _figure("best candidates with that phrase, share")
    unchanged: float = _figure("prompts without any candidate, share")
    candidates: float = _figure("distinct candidates a prompt")


def measure(results: Sequence[Result]) -> Figures:
    """Figures of one rewriter's results; raises InputError when none has a candidate."""
    done = [r for r in results if r.candidates]
    if not done:
        raise InputError(
            f"no candidate for any of {len(results)} prompts: train the model further, or raise n"
        )
    best = [r.candidates[0] for r in done]
    every = [(r.prompt, c) for r in done for c in r.candidates]
    commonest, commonest_share = next(iter(phrase_shares(results)), ("", 0.0))
    return Figures(
        kept=mean(c.kept for c in best),
        kept_all=mean(c.kept for _, c in every),
        added_words=median(added_words(results)),
        blocked=mean(
            any(Blocklist(allow=prompt).find(phrase) for phrase in c.added) for prompt, c in every
        ),
        repeated=mean(_repeats(prompt, c.added) for prompt, c in every),
        reworded=mean(reworded(r.prompt, r.candidates[0].text) for r in done),
        twice=mean(_twice(c.added) for _, c in every),
        distinct_bigrams=mean(distinct_bigrams([c.added for c in r.candidates]) for r in done),
        unasked_people=mean(
            any(adds_somebody(phrase, r.prompt) for phrase in r.candidates[0].added) for r in done
        ),
        commonest=commonest,
        commonest_share=commonest_share,
        unchanged=1 - len(done) / len(results),
        candidates=mean(len(r.candidates) for r in results),
    )


def added_words(results: Sequence[Result]) -> list[int]:
    """How many words the best candidate of each prompt that has one adds."""
    return [len(words(" ".join(r.candidates[0].added))) for r in results if r.candidates]


def phrase_shares(results: Sequence[Result]) -> list[tuple[str, float]]:
    """Added phrases, commonest first, each with the share (0-1) of best candidates that have it."""
    best = [r.candidates[0] for r in results if r.candidates]
    count = Counter(phrase for c in best for phrase in dict.fromkeys(p.lower() for p in c.added))
    return [(phrase, times / len(best)) for phrase, times in count.most_common()]


def reworded(prompt: str, text: str) -> bool:
    """Whether a rewrite does more than put something behind the prompt: a phrase of the prompt
    reads otherwise, or something stands between two."""
    new, lost = clauses(text), set(clauses(prompt)) - set(clauses(text))
    return bool(lost) or new[: len(clauses(prompt))] != clauses(prompt)


def _repeats(prompt: str, added: Sequence[str]) -> bool:
    taken = set(content_stems(prompt))
    return any(taken.intersection(content_stems(phrase)) for phrase in added)


def _twice(added: Sequence[str]) -> bool:
    """True when a phrase comes twice, or a run of three words does."""
    phrases = [p.lower() for a in added for p in clauses(a)]
    runs = [run for phrase in phrases for run in three_word_runs(phrase)]
    return len(set(phrases)) < len(phrases) or len(set(runs)) < len(runs)


def distinct_bigrams(candidates: Sequence[Sequence[str]]) -> float:
    """Different over all bigrams of the added words of several candidates, 0-1."""
    pairs = [
        pair for added in candidates for phrase in added for pair in pairwise(words(phrase.lower()))
    ]
    return len(set(pairs)) / len(pairs) if pairs else 1.0
