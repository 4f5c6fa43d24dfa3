"""starter/estimates.py: digits of notes, told beforehand."""

import pytest

from bp_core.errors import InputError
from bp_core.text.notes import Concept
from train.starter.estimates import Expected, read_estimates
from train.starter.suitability import CONCEPTS, ESTIMATES, read_concepts

FOX = Concept.read("fox | creature | look: red fur; a hat | place: a wood")


def test_each_phrase_has_its_two_digits(tmp_path):
    path = tmp_path / "estimates.txt"
    path.write_text("# a comment\nfox | 98 12 / 46\nowl | 11\n")
    assert read_estimates(path, {"fox": FOX}) == {
        ("fox", "look", "red fur"): (9, 8),
        ("fox", "look", "a hat"): (1, 2),
        ("fox", "place", "a wood"): (4, 6),
    }


@pytest.mark.parametrize("line", ["fox 98 12", "fox | 9 12 / 46", "fox | x1 12 / 46"])
def test_a_line_that_is_none_is_named(tmp_path, line):
    path = tmp_path / "estimates.txt"
    path.write_text(f"# a comment\n{line}\n")
    with pytest.raises(InputError, match=r"estimates\.txt:2: no estimate"):
        read_estimates(path, {"fox": FOX})


def test_a_line_of_a_concept_that_has_changed_is_passed_over(tmp_path):
    path = tmp_path / "estimates.txt"
    path.write_text("fox | 98 12\n")
    assert read_estimates(path, {"fox": FOX}) == {}


def test_a_phrase_that_nobody_estimated_has_none(tmp_path):
    path = tmp_path / "estimates.txt"
    path.write_text("fox | 98 -- / 46\n")
    assert ("fox", "look", "a hat") not in read_estimates(path, {"fox": FOX})
    assert len(read_estimates(path, {"fox": FOX})) == 2


def test_little_that_was_judged_teaches_nothing():
    place = ("fox", "look", "red fur")
    assert Expected({place: (9, 8)}, {place: (3, 3)}).of(place) is None


def test_those_of_the_project_are_of_its_concepts():
    digits = read_estimates(ESTIMATES, read_concepts(CONCEPTS))
    assert len({name for name, _, _ in digits}) > 8_000
