"""Concepts: a prompt's words find their lines, and no note contradicts the prompt."""

import gzip
import random

import pytest

from bp_core.errors import ModelError
from bp_core.text.concepts import FILE, PACKED, Concepts

LINES = """\
fox | creature | look: rust-red fur; amber eyes | place: frosty birch wood \
 | light: low sun from the side; moonlit snow | tags: fox, animal, no humans
hot air balloon | vehicle | look: striped nylon panels; wicker basket | light: dawn light
balloon | thing | look: knotted rubber neck
library | place | look: tall oak shelves; rolling ladder | light: dusty shafts from a window \
 | tags: library, bookshelf
jumping | action | look: both feet off the ground
""".strip().splitlines()


@pytest.fixture
def concepts() -> Concepts:
    return Concepts(LINES)


def notes(concepts, prompt, dialect="tags", n=14):
    return {note.text for note in concepts.notes(prompt, dialect, n, random.Random("seed"))}


def names(concepts, prompt):
    return [concept.name for concept in concepts.named(prompt)]


def test_words_find_their_concept_however_they_are_inflected(concepts):
    assert names(concepts, "Two foxes that jumped in LIBRARIES") == ["fox", "jumping", "library"]


def test_the_longer_name_wins(concepts):
    assert names(concepts, "hot-air balloons") == ["hot air balloon"]
    assert names(concepts, "a hot balloon") == ["balloon"]


def test_the_very_word_goes_before_its_kin():
    concepts = Concepts(["bowling | action | look: arm low", "bowl | thing | look: wide rim"])
    assert names(concepts, "bowling") == ["bowling"]
    assert names(concepts, "two bowls") == ["bowl"]


def test_a_thing_may_have_another_name():
    tv = "television | thing | look: dark glass"
    concepts = Concepts(["tv = television", tv, "tv set = television", "sofa = couch"])
    assert names(concepts, "a TV") == names(concepts, "two TV sets") == ["television"]
    assert names(concepts, "a television") == ["television"] and len(concepts) == 1
    assert names(concepts, "a sofa") == []


def test_what_has_its_colour_gets_no_other_tag():
    gloves = "gloves | clothing | tags: black gloves, white gloves, red scarf, leather"
    concepts = Concepts([gloves])
    assert notes(concepts, "1girl, white gloves", "booru") == {"red scarf", "leather"}
    assert "black gloves" in notes(concepts, "1girl, gloves, white hair", "booru")


def test_what_no_host_could_read_and_either_or_are_not_told():
    concepts = Concepts(
        ["fox | creature | look: red or grey fur; bushy tail | tags: bow (tie), fur"]
    )
    assert notes(concepts, "a fox") == {"bushy tail"}
    assert notes(concepts, "a fox", "booru") == {"fur"}


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("a fox", {"moss and straw", "low viewpoint"}),
        ("a fox seen from above", {"moss and straw"}),
        ("close-up of a fox", {"moss and straw"}),
        ("a fox, side view", {"moss and straw"}),
        ("a fox looking up at the moon", {"moss and straw"}),
        ("a fox with a view on life's past", {"moss and straw"}),
        ("a red fox", {"moss and straw", "low viewpoint"}),
        ("a red fox on a blue chair", {"low viewpoint"}),
    ],
)
def test_colours_and_a_viewpoint_that_the_artist_chose_are_the_only_ones(prompt, told):
    concepts = Concepts(["fox | creature | colour: moss and straw | view: low viewpoint"])
    assert notes(concepts, prompt) == told


def test_what_is_not_there_is_not_told(concepts):
    assert names(concepts, "a library without foxes") == ["library"]
    assert names(concepts, "no fox") == names(concepts, "not a fox") == []


def test_light_and_view_are_of_the_main_thing():
    coat = "coat | clothing | look: horn buttons | place: on a hanger | light: lamp in a hall"
    concepts = Concepts(["man | person | look: square jaw | view: waist-up", coat, LINES[0]])
    assert notes(concepts, "a man in a coat") == {"square jaw", "waist-up", "horn buttons"}
    assert {"on a hanger", "lamp in a hall"} < notes(concepts, "a coat")


def test_a_colour_is_no_fruit():
    concepts = Concepts(["orange | food | look: thick rind", "orange tree | plant | look: leaves"])
    assert names(concepts, "an orange cat") == []
    assert (
        names(concepts, "an orange on a plate") == names(concepts, "half an orange") == ["orange"]
    )
    assert names(concepts, "orange trees") == ["orange tree"]


def test_a_place_of_the_prompt_is_the_only_place(concepts):
    assert "frosty birch wood" in notes(concepts, "a fox")
    assert "frosty birch wood" not in notes(concepts, "a fox in a library")
    assert {"tall oak shelves", "rust-red fur"} <= notes(concepts, "a fox in a library")


def test_a_stated_colour_or_hour_shuts_others_out(concepts):
    assert "rust-red fur" in notes(concepts, "a fox")
    assert "rust-red fur" not in notes(concepts, "a white fox")
    assert "low sun from the side" not in notes(concepts, "a fox at night")
    assert "moonlit snow" not in notes(concepts, "a fox at noon")


def test_what_the_prompt_says_is_not_noted(concepts):
    assert "amber eyes" not in notes(concepts, "a fox with amber eyes")


def test_danbooru_has_its_own_notes(concepts):
    assert notes(concepts, "fox, library", "booru") == {"animal", "bookshelf"}


def test_no_more_notes_than_asked_and_the_seed_chooses(concepts):
    drawn = [
        tuple(concepts.notes("a fox in a library", "tags", 3, random.Random(seed)))
        for seed in ("a", "b", "a")
    ]
    assert all(len(choice) == 3 for choice in drawn)
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_prompt_that_names_nothing_known_has_no_notes(concepts):
    assert notes(concepts, "infinity") == set()
    assert notes(concepts, "") == set()


def test_a_damaged_line_is_named_with_its_file(tmp_path):
    (tmp_path / FILE).write_text("fox | beast | look: fur\n", encoding="utf-8")
    concepts = Concepts.load(tmp_path)
    with pytest.raises(ModelError, match=r"concepts\.txt.*'beast' is no kind.*'fox \| beast"):
        concepts.notes("a fox", "tags", 3, random.Random("seed"))
    assert Concepts.load(tmp_path / "elsewhere") is None


def test_phrases_have_grades_where_the_line_gives_one_for_each():
    graded = "fox | creature | look: red fur; amber eyes | place: a wood | grades: 72 9"
    told = Concepts([graded]).notes("a fox", "tags", 9, random.Random("seed"))
    assert {(n.text, n.field, n.role, n.grade) for n in told} == {
        ("red fur", "look", "main", 7), ("amber eyes", "look", "main", 2),
        ("a wood", "place", "main", 9),
    }  # fmt: skip
    changed = graded.replace("amber eyes", "amber eyes; black ears")
    told = Concepts([changed]).notes("a fox", "tags", 9, random.Random("seed"))
    assert {note.grade for note in told} == {5} and len(told) == 4


def test_notes_say_what_their_concept_is_to_the_picture(concepts):
    told = concepts.notes("a fox jumping in a library", "tags", 24, random.Random("seed"))
    roles = {note.text: note.role for note in told}
    assert roles["rust-red fur"] == "main" and roles["tall oak shelves"] == "second"
    assert roles["both feet off the ground"] == "quality"


def test_of_what_is_not_known_it_is_told_what_is_true_of_anything():
    anything = "* | thing | look: clean silhouette | view: eye level | tags: simple background"
    concepts = Concepts([*LINES, anything])
    assert [concept.name for concept in concepts.named("a glimmerwock")] == ["*"]
    assert [concept.name for concept in concepts.named("a glimmerwock and a fox")] == ["fox"]
    assert concepts.named("* | ,") == []
    notes = concepts.notes("a glimmerwock", "tags", 9, random.Random(0))
    assert {note.text for note in notes} == {"clean silhouette", "eye level"}


def test_a_packed_file_is_read_and_one_that_may_be_edited_before_it(tmp_path):
    packed = gzip.compress(b"fox | creature | look: red fur\n")
    (tmp_path / PACKED).write_bytes(packed)
    assert Concepts.load(tmp_path).named("a fox")[0].fields == {"look": ("red fur",)}
    (tmp_path / FILE).write_text("fox | creature | look: grey fur\n")
    assert Concepts.load(tmp_path).named("a fox")[0].fields == {"look": ("grey fur",)}
    (tmp_path / FILE).unlink()
    for damaged in (packed[:-9], b"no gzip", packed[:12] + b"\xff" * 8 + packed[20:]):
        (tmp_path / PACKED).write_bytes(damaged)
        with pytest.raises(ModelError, match="copy the model's folder again"):
            Concepts.load(tmp_path)


def test_what_a_negation_takes_away_is_not_among_the_notes_of_others():
    concepts = Concepts(["dog | creature | look: worn leather collar; wet nose"])
    assert notes(concepts, "a dog without a collar") == {"wet nose"}
    assert "worn leather collar" in notes(concepts, "a dog")


def test_a_picture_without_colours_gets_none():
    line = "fox | creature | look: rust fur; white bib; bushy tail | colour: moss and straw"
    concepts = Concepts([line])
    assert notes(concepts, "a monochrome drawing of a fox") == {"white bib", "bushy tail"}
    concepts = Concepts(["1girl | person | tags: blonde hair, white hair, blue eyes, hat"])
    assert notes(concepts, "1girl, monochrome", "booru") == {"white hair", "hat"}


def test_what_has_no_notes_of_a_kind_gets_what_is_true_of_anything():
    concepts = Concepts(["1girl | person | tags: smile", "* | thing | look: crisp edges"])
    assert notes(concepts, "1girl, solo") == {"crisp edges"}
    assert notes(concepts, "1girl, solo", "booru") == {"smile"}


@pytest.mark.parametrize(
    ("prompt", "leads", "follows"),
    [
        ("a fox in a wood", False, False),
        ("fox eggs in a pond", True, False),
        ("a clay fox", False, True),
        ("fox-headed snow fox mask", True, False),  # the first mention tells
        ("fox, eggs", False, False),
        ("clay: fox (eggs)", False, False),
        ("the fox", False, False),
        ("Fox’s eggs", True, False),
    ],
)
def test_a_concept_knows_the_words_that_touch_it(tmp_path, prompt, leads, follows):
    (tmp_path / FILE).write_text("fox | creature | look: red fur\n")
    named = Concepts.load(tmp_path).named(prompt)
    assert [(c.leads, c.follows) for c in named] == ([(leads, follows)] if named else [])
    for note in Concepts.load(tmp_path).notes(prompt, "tags", 9, random.Random(0)):
        assert (note.leads, note.follows) == (leads, follows)


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("1girl", {"from side", "standing", "short hair", "hat"}),
        ("1girl, from below", {"standing", "short hair", "hat"}),
        ("1girl, from_below, (sitting)", {"short hair", "hat"}),
        ("1girl, very long hair", {"from side", "standing", "hat"}),
    ],
)
def test_tags_of_which_a_picture_has_one_are_the_artist_s_to_say(tmp_path, prompt, told):
    line = "1girl | person | tags: 1girl, from side, standing, short hair, hat"
    (tmp_path / FILE).write_text(line + "\n")
    notes = Concepts.load(tmp_path).notes(prompt, "booru", 9, random.Random(0))
    assert {note.text for note in notes} == told


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("1girl, hat", {"solo", "black hair", "blue eyes"}),
        ("1girl, solo, red hair", {"blue eyes"}),
        ("1girl, 1boy, from behind", {"black hair"}),
        ("2girls, 1girl, closed eyes", {"black hair"}),
    ],
)
def test_somebody_alone_is_solo_and_what_is_open_is_chosen(tmp_path, prompt, told):
    (tmp_path / FILE).write_text("1girl | person | tags: solo, black hair, blue eyes\n")
    notes = Concepts.load(tmp_path).notes(prompt, "booru", 9, random.Random(0))
    assert {note.text for note in notes} == told


def test_what_a_thing_says_goes_before_what_is_open_of_somebody(tmp_path):
    lines = [
        "1boy | person | tags: brown hair, ponytail, standing",
        "old man | person | tags: white hair, bald, hat",
    ]
    (tmp_path / FILE).write_text("\n".join(lines))
    notes = Concepts.load(tmp_path).notes("1boy, old man", "booru", 9, random.Random(0))
    assert {note.text for note in notes} == {"white hair", "bald", "hat", "standing"}


@pytest.mark.parametrize("prompt", ["a yellow t-shirt", "a yellow leather shirt", "yellow shirt"])
def test_what_has_its_colour_gets_no_other(tmp_path, prompt):
    line = "shirt | clothing | tags: shirt, white shirt, yellow shirt, sleeves"
    (tmp_path / FILE).write_text(line + "\n")
    notes = Concepts.load(tmp_path).notes(prompt, "booru", 9, random.Random(0))
    assert "white shirt" not in {note.text for note in notes}
    assert "sleeves" in {note.text for note in notes}


def test_a_phrase_that_is_a_look_and_a_tag_is_either(tmp_path):
    (tmp_path / FILE).write_text("shirt | clothing | look: short sleeves | tags: short sleeves\n")
    concepts = Concepts.load(tmp_path)
    for dialect, field in (("booru", "tags"), ("tags", "look")):
        (note,) = concepts.notes("a shirt", dialect, 9, random.Random(0))
        assert (note.text, note.field) == ("short sleeves", field)
