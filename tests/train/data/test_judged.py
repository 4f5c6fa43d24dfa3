"""Judged phrases: rows of the project's own file, faults named."""

import json

import pytest

from bp_core.errors import InputError
from bp_core.text.prompt import parse
from train.data.held_out import held_out
from train.data.judged import Judged, read_judged
from train.starter.suitability import JUDGEMENTS

ROW = {"prompt": "a fox", "dialect": "tags", "phrases": "red fur; a hat", "wrong": [1], "best": [0]}


def write(folder, *rows):
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_row_is_phrases_with_what_readers_made_of_them(tmp_path):
    path = write(tmp_path, ROW, {k: v for k, v in ROW.items() if k != "best"})
    first, second = read_judged(path)
    assert first == Judged("a fox", "tags", ("red fur", "a hat"), frozenset({1}), frozenset({0}))
    assert second.best is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"wrong": [2]}, "there are 2 phrases"),
        ({"phrases": None}, "line 1"),
        ({"best": 3}, "line 1"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path, change, fault):
    with pytest.raises(InputError, match=fault):
        list(read_judged(write(tmp_path, ROW | change)))


def test_the_project_s_judgements_are_many_and_whole():
    rows = [row for file in JUDGEMENTS.glob("*.jsonl") for row in read_judged(file)]
    judged = [row for row in rows if row.best is not None]
    assert len(judged) > 11_000 and sum(held_out(row.prompt) for row in judged) > 300
    assert all(not row.wrong & row.best for row in judged)
    assert all(parse(row.prompt).prose for row in judged[::50])
