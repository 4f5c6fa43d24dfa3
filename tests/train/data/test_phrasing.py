"""What people's prompts tell of phrases."""

import math

import pytest

from train.data.phrasing import Attested, Company, People

PAIRS = [
    *[("a photo of a fox", "35mm, film grain")] * 30,
    *[("a fox", "oil painting, thick brush")] * 30,
    *[("a hill", "35mm, film grain, sunset")] * 40,
]


def test_phrases_are_attested_by_words_in_a_row():
    attested = Attested(["soft light, 8k", "very soft evening light", "Soft evening"])
    assert attested("soft light") and attested("8k")
    assert attested("Very soft evening") and attested("soft evening light")
    assert not attested("very soft light")  # three words that nobody wrote
    assert not attested("very soft") and not attested("evening light")  # half a phrase each
    assert not attested("8k light")


def test_company_is_what_people_put_together():
    company = Company(PAIRS)
    together, apart = (company("", tail) for tail in (["35mm", "film grain"], ["35mm", "oil"]))
    # 70 of 100 tails have the one, 30 the other, none both; what suits is no more than no clash.
    assert apart == pytest.approx(math.log(5 / (70 * 30 / 100 + 5)))
    assert together == 0
    # One clash in four phrases counts for the two that it is between.
    assert company("", ["35mm", "film grain", "sunset", "oil"]) < apart / 2


def test_company_of_the_prompt():
    company = Company(PAIRS)
    assert company("a photo of a wolf", ["oil painting"]) < 0 < company("a photo", ["35mm"])
    assert company("a fox", ["35mm"]) < company("a hill", ["35mm"])
    assert company("zebras", ["35mm"]) == company("a fox", ["never seen"]) == 0
    assert company("a fox", []) == 0


def test_people_tidy_what_they_keep_apart():
    rows = [{"raw_prompt": r, "prompt": p, "mode": "expand", "source": "x"} for r, p in PAIRS]
    lent = [{"raw_prompt": "", "prompt": "35mm, oil", "mode": "expand", "source": "borrowed"}] * 30
    whole = [{"raw_prompt": "", "prompt": "35mm, oil", "mode": "rewrite", "source": "x"}] * 30
    people = People(rows + lent + whole)
    assert people.tidy(["35mm", "oil painting", "brushed", "sunset"]) == ["35mm", "sunset"]
    assert people.tidy(["oil painting", "film grain", "thick brush"]) == [
        "oil painting",
        "thick brush",
    ]
    assert people.tidy(["oil"]) == ["oil"]  # lent, but attested
