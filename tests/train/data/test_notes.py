"""Notes for training: phrases of the target among others that are known of the prompt."""

import random

from bp_core.text.concepts import Concepts
from train.data.notes import MOST, notes_for, phrases, with_notes
from train.data.written import Written

CONCEPTS = Concepts(
    ["fox | creature | look: white-tipped tail; amber eyes; black ears | tags: fox, animal"]
)
TAGS = Written("a fox", "tags", "expand", "oak shelves, green lamp, muddy paws, low viewpoint")
PROSE = Written(
    "a fox",
    "prose",
    "expand",
    "sitting on a worn leather chair. A green lamp lights the old atlas.",
)


def test_a_target_is_cut_at_commas_and_sentences_between_stop_words():
    assert phrases(TAGS) == ["oak shelves", "green lamp", "muddy paws", "low viewpoint"]
    assert "worn leather chair" in phrases(PROSE)
    assert "green lamp lights" in phrases(PROSE)
    assert all(len(phrase.split()) > 1 for phrase in phrases(PROSE))


def test_notes_mix_the_targets_phrases_with_what_is_known():
    drawn = [notes_for(TAGS, CONCEPTS, random.Random(str(i))) for i in range(60)]
    own = [sum(note in phrases(TAGS) for note in notes) for notes in drawn]
    assert max(own) == 2 and own.count(0) > 0  # two thirds of four at most
    assert any(notes == [] for notes in drawn)
    assert max(map(len, drawn)) <= MOST
    assert {"white-tipped tail", "amber eyes", "black ears"} < {n for notes in drawn for n in notes}


def test_a_target_that_was_written_from_notes_keeps_them():
    row = TAGS._replace(notes=("oak shelves", "amber eyes", "tall grass"))
    drawn = [notes_for(row, CONCEPTS, random.Random(str(i))) for i in range(9)]
    assert {frozenset(notes) for notes in drawn} == {frozenset(row.notes)}
    assert len(set(map(tuple, drawn))) > 1


def test_copies_of_a_row_have_other_notes():
    copies = with_notes([TAGS, PROSE], CONCEPTS, 3, seed=0)
    assert [row for row, _ in copies] == [TAGS, PROSE] * 3
    assert len({tuple(notes) for row, notes in copies if row is TAGS}) > 1
    assert copies == with_notes([TAGS, PROSE], CONCEPTS, 3, seed=0)
