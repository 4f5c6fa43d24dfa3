"""Words, stems and clauses of prompts."""

from __future__ import annotations

import pytest

from bp_core.text.words import clauses, content_stems, stem, words


@pytest.mark.parametrize(
    "forms",
    [
        "ride rides riding rode ridden",
        "dance dances dancing danced",
        "sit sits sitting sat",
        "run runs running ran",
        "fall falls falling fell fallen",
        "decorate decorating decorated",
        "float floating floated",
        "sparkle sparkling sparkled",
        "capture captured capturing",
        "leaf leaves",
        "man men",
        "child children",
        "mouse mice",
        "glass glasses",
        "horse horses",
        "box boxes",
        "virus viruses",
        "hero heroes",
        "pony ponies",
        "movie movies",
        "ache aches",
        "lens lenses",
        "color colors colour coloured",
        "gray grey",
        "big bigger biggest",
        "three 3",
        "café CAFE cafe's",
        "1,000 1000",
    ],
)
def test_forms_of_one_word_share_a_stem(forms):
    assert len(set(map(stem, forms.split()))) == 1


@pytest.mark.parametrize(
    "pair",
    "universe university|star stare|car care|plan plane|king kin|seed see|red r|news new|"
    "shorts short|evening even|flower flow|hundred hundr|red read|wing win|rose rise".split("|"),
)
def test_different_words_do_not(pair):
    first, second = pair.split()
    assert stem(first) != stem(second)


def test_words():
    text = "A red-haired dog’s 1,000 f/1.8 35.5mm, don't! 你好世界 हिन्दी 4K"
    assert words(text) == [
        "a", "red", "haired", "dog's", "1,000", "f", "1.8", "35.5mm", "don't", "你好世界",
        "हिन्दी", "4k",
    ]  # fmt: skip


def test_content_stems():
    assert content_stems("no people on the left of 红色帽子") == [
        "no", "person", "left", "红色", "色帽", "帽子",
    ]  # fmt: skip


def test_clauses():
    text = "a cat, 1,000 birds; f/1.8, 35.5mm. Dr. Who by J. R. Smith! 你好，世界。ok\n\nnew, "
    assert clauses(text) == [
        "a cat", "1,000 birds", "f/1.8", "35.5mm", "Dr. Who by J. R. Smith", "你好", "世界", "ok",
        "new",
    ]  # fmt: skip
