"""Pairs from prompt pools: cleaning, cutting, and what must never get in."""

import csv
import json
import random

import pandas as pd
import pytest

from train import collect
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


@pytest.fixture
def data(tmp_path):
    """Small pools in the layout of the public ones."""
    rng = random.Random(0)
    things = ["fox", "lighthouse", "castle", "robot", "garden", "ship", "teapot", "owl"]
    places = ["on a hill", "in the snow", "by the sea", "in a forest", "under a bridge"]
    moods = "soft warm cold misty golden silver gentle ancient quiet bright stormy dusty".split()
    nouns = "glow river meadow cloud shadow bridge tower valley mirror lantern garden rain".split()

    def phrase() -> str:
        return (
            f"{rng.choice(moods)} {rng.choice(nouns)} and {rng.choice(moods)} {rng.choice(nouns)}"
        )

    def prompt(i: int) -> str:
        tail = ", ".join(phrase() for _ in range(5))
        return f"a {rng.choice(things)} {rng.choice(places)} number {i}, {tail}"

    for folder in (
        "imagereward aigiqa20k pickapic_sfw unigenbench coco30k podvodka partiprompts geneval "
        "agiqa3k clip_interrogator"
    ).split():
        (tmp_path / folder).mkdir()
    (tmp_path / "imagereward/prompts.json").write_text(
        json.dumps(
            [{"text": prompt(i)} for i in range(60)] + [{"text": "a secret owl, golden glow"}]
        )
    )
    with open(tmp_path / "aigiqa20k/prompt_mos.csv", "w", newline="") as file:
        csv.writer(file).writerows([f"x_{i}.png", prompt(i), 3.0] for i in range(60, 90))
    (tmp_path / "pickapic_sfw/prompts.txt").write_text("\n".join(prompt(i) for i in range(90, 120)))
    (tmp_path / "unigenbench/prompts.txt").write_text(
        "\n".join(f"a {t} with {m} {n}" for t in things for m in moods for n in nouns)
    )
    with open(tmp_path / "coco30k/captions.csv", "w", newline="") as file:
        rows = [[i, "coco", f"A {t} {p}.", 1] for i, t in enumerate(things) for p in places]
        csv.writer(file).writerows([["id", "source", "caption", "seed"], *rows])
    pairs = [f"a {t}</s>a {t} {places[0]}, {phrase()}, {phrase()}" for t in things]
    with open(tmp_path / "podvodka/pairs.csv", "w", newline="") as file:
        csv.writer(file).writerows([["text"], *([p + "<|endoftext|>"] for p in pairs)])
    (tmp_path / "partiprompts/PartiPrompts.tsv").write_text(
        "Prompt\tCategory\tChallenge\tNote\na secret owl\tAnimals\tBasic\t\n"
    )
    (tmp_path / "geneval/generation_prompts.txt").write_text("a photo of a bench\n")
    with open(tmp_path / "agiqa3k/data.csv", "w", newline="") as file:
        csv.writer(file).writerows([["name", "prompt"], ["x.png", "statue of a man"]])
    (tmp_path / "clip_interrogator/artists.txt").write_text("Greg Rutkowski\n")
    return tmp_path


def test_pairs_are_cut_from_the_pools(data, tmp_path):
    out = tmp_path / "pairs"
    collect.main(["--data", str(data), "--out", str(out), "--validation", "0.2"])
    train, held_out = (pd.read_parquet(out / f"{n}.parquet") for n in ("train", "validation"))
    assert set(train["mode"]) >= {"expand", "text"}
    assert not set(train[train["mode"] != "text"].cluster) & set(held_out.cluster)
    expand = train[train["mode"] == "expand"]
    assert (expand.prompt.str.split().str.len() >= collect.Limits.tail_min).all()
    for row in expand.itertuples():
        assert not set(row.prompt.split(", ")) & set(row.raw_prompt.split(", "))
    assert not train.raw_prompt.str.contains("secret").any()
    assert (out / "vocabulary.txt").read_text()
