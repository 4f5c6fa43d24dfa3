"""What a rewrite keeps of the artist's words, and putting lost words back."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bp_core.text.fidelity import fidelity, mend


@pytest.mark.parametrize(
    ("raw", "rewrite"),
    [
        ("A Red Apple", "one shiny red apple"),
        ("three apples", "3 apples"),
        ("a man riding a horse", "horses, two men who ride"),
        ("children and mice under leaves", "a child, a mouse under a leaf"),
        ("a city without people", "a city, no people"),
        ("a lighthouse", "a light house"),
        ("an 8 k photo", "photo, 8k"),
        ("a cat, a cat, a cat", "a cat"),
        ("a café", "a CAFE"),
        ("in the of", "nothing of it"),
        ("", ""),
        ("红色帽子", "猫，红色帽子，雪"),
        ("a dog's red-haired owner", "the red haired owner of a dog"),
    ],
)
def test_nothing_is_lost(raw, rewrite):
    assert fidelity(raw, rewrite).kept == 1
    assert fidelity(raw, rewrite).lost == ()


@pytest.mark.parametrize(
    ("raw", "rewrite", "lost"),
    [
        ("a red apple", "a green apple", ("red",)),
        ("three apples", "apples", ("three",)),
        ("a park with no people", "a park with people", ("no people",)),
        ("a park with people", "a park with no people", ("people",)),
        ("Tokyo at night", "a city at night", ("Tokyo",)),
        ("a cat left of a dog", "a cat and a dog", ("left",)),
        ("the universe", "the university", ("universe",)),
        ('a sign "TO BE"', "a sign", ("TO", "BE")),
        ("红色帽子", "帽子", ("红色", "色帽")),
    ],
)
def test_what_is_lost_is_named(raw, rewrite, lost):
    assert fidelity(raw, rewrite).lost == lost


def test_the_share_counts_different_words():
    assert fidelity("a red cat, a red dog, a bird", "a cat and a dog").kept == pytest.approx(0.5)


def test_each_content_word_counts_and_a_negation_with_its_word():
    text = "a photo of three red apples, not green, without any leaves"
    assert fidelity(text, "a hill").lost == (
        "photo", "three", "red", "apples", "not green", "without any leaves",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "rewrite", "mended"),
    [
        (
            "three red apples on a table",
            "apples on a wooden table, still life",
            "three red apples on a wooden table, still life",
        ),
        (
            "a red apple and a green cup",
            "an apple and a cup, studio light",
            "a red apple and a green cup, studio light",
        ),
        ("a cat under a table", "a cat, cozy room", "a cat under a table, cozy room"),
        ("a sign saying “BE KIND”", "a sign, night", "a sign saying “BE KIND”, night"),
        (
            "a small room, a bed by the window",
            "a small room with a bed, soft light",
            "a small room with a bed, the window, soft light",
        ),
        ("a red cat", "a red cat, snow", "a red cat, snow"),
    ],
)
def test_mend_reads_naturally(raw, rewrite, mended):
    assert mend(raw, rewrite) == mended


texts = st.lists(
    st.sampled_from(
        "a the of no not without cat cats red riding three 3 left under , . ; ! \" ' “ ” 8 k "
        "don't 红色 猫 light house lighthouse é 🐱 - BE".split()
    ),
    max_size=16,
).map(" ".join)


@given(st.one_of(texts, st.text(max_size=40)), st.one_of(texts, st.text(max_size=40)))
@example(raw='" a "', rewrite="")
@settings(max_examples=400)
def test_mended_text_keeps_everything(raw, rewrite):
    assert fidelity(raw, raw).kept == 1
    found = fidelity(raw, rewrite)
    assert 0 <= found.kept <= 1
    assert (found.kept == 1) == (found.lost == ())
    mended = mend(raw, rewrite)
    assert fidelity(raw, mended).kept == 1
    if found.kept == 1:
        assert mended == rewrite


def test_long_text_takes_linear_time():
    raw = "a red cat under no tree " * 20_000
    start = time.process_time()
    mend(raw, raw.replace("red", "blue"))
    fidelity(raw, "x" * 1_000_000)
    assert time.process_time() - start < 10


def test_a_compound_is_kept_by_its_parts_unless_the_artist_has_both():
    assert fidelity("a lighthouse", "a light house").kept == 1
    raw = "humanoid dog, humanoiddog casting fireball"
    assert fidelity(raw, "humanoid dog, casting fireball").lost == ("humanoiddog",)
    assert fidelity(raw, raw).kept == 1
