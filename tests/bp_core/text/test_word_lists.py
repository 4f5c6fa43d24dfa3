"""The lists of words: whole, each with its comment, and without repetition."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bp_core
from bp_core.text.word_lists import read_lines, read_words

PACKAGE = Path(bp_core.__file__).parent
LISTS = sorted(PACKAGE.glob("*/lists/*.txt"))
CODE = "".join(
    path.read_text("utf-8") for path in [*PACKAGE.glob("text/*.py"), *PACKAGE.glob("rules/*.py")]
)


def name_of(path: Path) -> str:
    return f"{path.parent.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", LISTS, ids=name_of)
def test_a_list_says_what_it_decides_and_repeats_nothing(path):
    assert path.read_text("utf-8").startswith("# ")
    lines = read_lines(name_of(path))
    assert lines and not any(line.startswith("#") for line in lines)
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize("name", ["text/stop_words"])
def test_a_word_stands_in_one_group(name):
    words = " ".join(read_lines(name)).split()
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("path", LISTS, ids=name_of)
def test_every_list_is_read(path):
    assert re.search(rf'"[^"\n]*\b{path.stem}\b[^"\n]*"', CODE)


def test_comments_and_empty_lines_are_no_entries():
    assert "" not in read_lines("text/stop_words")
    assert not any("#" in word for word in read_words("text/stop_words"))


def test_a_form_has_one_base():
    forms = [form for line in read_lines("text/irregular") for form in line.split(": ")[1].split()]
    assert len(set(forms)) == len(forms)
