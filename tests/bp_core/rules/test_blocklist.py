"""Names, credits and NSFW terms are found, unless the artist typed them."""

from __future__ import annotations

import time

import pytest

from bp_core.errors import InputError
from bp_core.rules.blocklist import Blocklist


@pytest.mark.parametrize(
    "phrase",
    [
        "Greg Rutkowski",
        "art by artgerm and greg rutkowski",
        "by an unknown hand, by Jane Roe",
        "a drawing by jane doe",
        "in the style of jane doe",
        "inspired by jane doe",
        "Mucha's poster",
        "zdzislaw beksiński",
        "h. r. giger",
        "Emma Watson as a queen",
        "Overwatch",
        "pixar style",
        "naked",
        "NSFW",
    ],
)
def test_what_is_blocked(phrase):
    assert Blocklist().find(phrase)


@pytest.mark.parametrize(
    "phrase",
    [
        "trending on artstation",
        "lit by candles",
        "by the sea",
        "a house by moonlight",
        "surrounded by trees",
        "made by hand",
        "rendered by octane",
        "red-breasted robin",
        "marvelous",
        "classic, glass, assorted",
        "sharp focus, highly detailed",
        "",
    ],
)
def test_what_is_free(phrase):
    assert Blocklist().find(phrase) == []


def test_the_artists_own_words_are_allowed():
    mine = Blocklist(allow="a (naked:1.2) mole rat by Alphonse Mucha, in the style of Van Gogh")
    for phrase in ("naked mole rat", "by alphonse mucha", "style of van gogh", "mucha"):
        assert mine.find(phrase) == []
    assert mine.find("by greg rutkowski")
    assert mine.find("art by alphonse mucha and wlop")


def test_own_words_and_patterns():
    mine = Blocklist(["lens flare", "/neon|glow/", " ", "Café"], allow="a lens flare")
    assert mine.find("a Lens Flare") == ["lens flare"]
    assert mine.find("glowing signs") == ["glow"]
    assert mine.find("cafe") == ["cafe"]
    assert mine.clean(["neon sign", "soft light", "by wlop"]) == ["soft light"]


def test_a_bad_pattern_is_named():
    with pytest.raises(InputError, match=r"/\[/"):
        Blocklist(["/[/"])


def test_long_text_takes_linear_time():
    start = time.process_time()
    Blocklist().find("by " * 300_000)
    assert time.process_time() - start < 5


def test_words_of_negative_prompts_are_not_added_unless_the_artist_has_them():
    assert Blocklist().find("low quality") and Blocklist().find("a blurry photo")
    assert not Blocklist().find("high quality, blurred background")
    assert not Blocklist(allow="a low quality webcam photo").find("low quality")


@pytest.mark.parametrize("phrase", ["grey sky", "bob cut", "a walker's view", "tim", "john"])
def test_half_a_name_is_no_name(phrase):
    assert not Blocklist().find(phrase)


@pytest.mark.parametrize("name", ["alex grey", "bob ross", "tim walker", "h r giger"])
def test_a_whole_name_is_one(name):
    assert Blocklist().find(f"in the manner of {name}")
