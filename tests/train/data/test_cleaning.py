"""Cleaning of public prompts: syntax, spacing, other languages, names."""

import pytest

from train.data.cleaning import Names, clean, is_english, is_safe


@pytest.mark.parametrize(
    ("messy", "tidy"),
    [
        ("a cat, 8 k, sci - fi, high - detail", "a cat, 8k, sci-fi, high-detail"),
        ("cars of 1 9 5 0, f / 1. 4", "cars of 1950, f / 1.4"),
        ("a (red:1.2) fox <lora:x:1> :: 2", "a red fox"),
        ("the artist ' s studio , , fog", "the artist's studio, fog"),
        ("a fox --ar 16:9 --v 4", "a fox"),
        ("Generated image: A fox.", "A fox"),
        ("Please draw a fox", "a fox"),
    ],
)
def test_cleaning(messy, tidy):
    assert clean(messy) == tidy


def test_other_languages_and_nsfw_are_told():
    assert not is_english("una foto de un hombre con sombrero")
    assert not is_english("夕暮れの灯台")
    assert is_english("a fox in the snow")
    assert not is_safe("a nude figure") and is_safe("a fox")


def test_artists_are_stripped_and_common_words_are_not():
    names = Names(["Greg Rutkowski", "Rose", "John Constable"], frozenset({"rose", "john"}))
    text = "a rose by the river, art by greg rutkowski, john constable, oil painting, rutkowski"
    assert names.without_credits(text) == ["a rose by the river", "oil painting"]
    assert names.without_credits("a fox in the style of John Constable") == ["a fox"]
