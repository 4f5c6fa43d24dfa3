"""data/marked.py: whole additions that readers marked."""

import json

import pytest

from bp_core.errors import InputError
from train.data.marked import read_marked
from train.starter.suitability import COMPOSED

ROW = {
    "prompt": "A fox sleeps.",
    "dialect": "prose",
    "additions": ["red fur; a hat", "red fur; low sun"],
    "marks": [2, 4],
    "ranked": [1, 0],
    "wrong": ["a hat"],
}


def test_a_row_tells_its_phrases_and_what_was_liked(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW))
    (row,) = read_marked(path)
    assert row.phrases == ("red fur", "a hat", "low sun")
    assert row.liked == {"red fur", "low sun"}
    assert row.read == ("A fox sleeps", "tags")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranked": [1, 1]}, "each of 2 additions once"),
        ({"marks": [0, 4]}, "not 2 of 1 to 5"),
        ({"marks": [4]}, "not 2 of 1 to 5"),
        ({"wrong": ["a scarf"]}, "'a scarf' is wrong, but of no addition"),
    ],
)
def test_a_row_of_another_form_is_named(tmp_path, change, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(ROW | change))
    with pytest.raises(InputError, match=f"line 2: .*{message}"):
        list(read_marked(path))


def test_those_of_the_project_can_be_read():
    rows = [row for file in COMPOSED.glob("*.jsonl") for row in read_marked(file)]
    assert len(rows) > 2_000 and all(len(row.additions) > 2 for row in rows)
