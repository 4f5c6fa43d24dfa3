"""Which notes make an addition, and in what order."""

import random

from bp_core.text.composition import PHRASES, TAGS, compose, form_of
from bp_core.text.notes import Note

FOX = [
    Note("rust-red fur", "look", "main", 5, "fox"),
    Note("amber eyes", "look", "main", 5, "fox"),
    Note("white bib", "look", "main", 5, "fox"),
    Note("low viewpoint", "view", "main", 5, "fox"),
    Note("rust and cream", "colour", "main", 5, "fox"),
    Note("burnt orange", "colour", "main", 5, "fox"),
]
LIBRARY = [
    Note("tall oak shelves", "look", "second", 5, "library"),
    Note("red fur rugs", "look", "second", 5, "library"),
    Note("dusty window light", "light", "second", 5, "library"),
]


def composed(notes, form=PHRASES, seed="a", temperature=0.0, first=True, worth=None):
    worth = {note.text: -float(place) for place, note in enumerate(notes)} | (worth or {})
    chosen = compose(notes, worth, form, random.Random(seed), temperature, first)
    return [note.text for note in chosen]


def test_looks_come_first_then_light_colours_and_view_one_of_each():
    assert composed(FOX + LIBRARY) == [
        "rust-red fur", "amber eyes", "white bib", "tall oak shelves", "dusty window light",
        "rust and cream", "low viewpoint",
    ]  # fmt: skip


def test_one_thing_alone_may_give_all_looks_but_nothing_is_said_twice():
    assert composed(FOX)[:3] == ["rust-red fur", "amber eyes", "white bib"]
    furs = [FOX[0], FOX[1]._replace(text="dense winter fur")]
    assert composed(furs) == ["rust-red fur"]


def test_a_palette_may_name_a_colour_that_was_named():
    assert "rust and cream" in composed(FOX) and "rust-red fur" in composed(FOX)


def test_what_is_worth_most_is_taken():
    assert "burnt orange" in composed(FOX, worth={"burnt orange": 1.0})


def test_further_candidates_forget_some_notes_and_the_same_seed_gives_the_same():
    first = composed(FOX, temperature=0.5)
    others = {tuple(composed(FOX, seed=str(i), temperature=0.5, first=False)) for i in range(20)}
    assert len(others) > 5
    assert first == composed(FOX, temperature=0.5)


def test_forms_are_of_the_dialect():
    assert form_of("booru") is TAGS and form_of("tags") is form_of("prose") is PHRASES
    tags = [Note(f"tag{i}", "tags", "main", 5, "fox") for i in range(20)]
    assert len(composed(tags, TAGS)) == 14


def test_hair_is_long_and_black_and_what_is_liked_best_comes_first():
    tags = {"long hair": 6, "hat": 5, "black hair": 8, "brown hair": 8, "solo": 9, "blue eyes": 7,
            "closed eyes": 7, "short hair": 6}  # fmt: skip
    notes = [Note(tag, "tags", "main", grade, "1girl") for tag, grade in tags.items()]
    assert composed(notes, TAGS) == ["solo", "black hair", "blue eyes", "long hair", "hat"]


def test_a_picture_has_one_viewpoint_one_framing_one_place():
    tags = ["from side", "fox", "from above", "standing", "full body", "sitting", "upper body"]
    notes = [Note(tag, "tags", "main", 5, "fox") for tag in tags]
    assert composed(notes, TAGS) == ["from side", "fox", "standing", "full body"]
