"""starter/suitability.py: grades of notes, and what is weighed beside the writer's own reading."""

import json
import random

import numpy as np
import pytest
import torch

from bp_core.errors import InputError
from bp_core.models.load import load
from bp_core.models.suitability import FEATURES
from bp_core.text.concepts import FILE, Concepts
from tests.bp_core.models.test_suitability import suitability
from train.data.held_out import held_out
from train.starter.suitability import Grades, fit, main, write_grades

LINES = ["# a comment", "fox | creature | look: red fur; a hat | place: a wood | tags: fox, animal"]
PLACES = [("fox", "look", "red fur"), ("fox", "look", "a hat"), ("fox", "place", "a wood")]


def test_grades_are_drawn_to_their_field_and_to_all():
    marks = [(PLACES[0], 1)] * 12 + [(PLACES[1], -1)] * 12 + [(PLACES[2], 0)] * 2
    grades = Grades(marks)
    assert grades.of(PLACES[0]) == 8 and grades.of(PLACES[1]) == 1
    assert grades.of(PLACES[2]) in (4, 5)
    # Of what nobody judged, its field tells, and else nothing.
    assert Grades([(PLACES[0], 1)] * 50).of(("fox", "look", "new")) > 7
    assert Grades([]).of(PLACES[0]) in (4, 5)


def test_grades_are_written_behind_their_lines_and_again(tmp_path):
    path = tmp_path / FILE
    path.write_text("\n".join(LINES) + "\n")
    write_grades(path, Grades([(PLACES[0], 1)] * 50 + [(PLACES[1], -1)] * 50))
    graded = path.read_text()
    assert graded.startswith("# a comment\nfox | creature | look: red fur; a hat | place: a wood")
    assert graded.count("grades:") == 1
    (fox,) = Concepts.load(tmp_path).named("a fox")
    assert fox.grades["look"][0] > 7 and fox.grades["look"][1] < 2 and len(fox.grades["tags"]) == 2
    write_grades(path, Grades([(PLACES[0], 1)] * 50 + [(PLACES[1], -1)] * 50))
    assert path.read_text() == graded


def test_what_tells_is_weighed():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, len(FEATURES)))
    y = (x[:, 2] + 0.1 * rng.normal(size=400) > 0).astype(float)
    y[:40] = -1  # nobody said
    weights = fit("best", x, y, np.arange(400) // 4)
    assert len(weights) == len(FEATURES) + 1 and np.argmax(np.abs(weights)) == 2


def test_a_model_folder_learns_from_judgements_and_ranked_drafts(dialect_writer, tmp_path, capsys):
    size = load(dialect_writer).network.width
    # Directions that say nothing: what is learned is in the grades.
    suitability(size, directions=torch.zeros(2, size)).save(dialect_writer)
    (dialect_writer / FILE).write_text("\n".join(LINES) + "\n")
    prompts = [f"fox {number}" for number in range(400)]
    rows = [
        {"prompt": p, "dialect": "tags", "phrases": "red fur; a hat", "wrong": [1], "best": [0]}
        for p in prompts
    ]
    judged = tmp_path / "judged"
    judged.mkdir()
    (judged / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    drafts = [
        {"logprob": -0.1, "phrases": [{"text": "red fur"}]},
        {"logprob": -0.2, "phrases": [{"text": "a hat"}]},
    ]
    ranked = tmp_path / "ranked.jsonl"
    ranked.write_text(json.dumps({"prompt": "a fox", "dialect": "tags", "drafts": drafts}))
    arguments = ["--model", str(dialect_writer), "--ranked", str(ranked), "--judgements"]
    main([*arguments, str(judged)])
    model = load(dialect_writer)
    notes = {note.text: note for note in model.concepts.notes("fox", "tags", 9, random.Random(0))}
    phrases = [notes["red fur"], notes["a hat"]]
    verdicts = model.suitability.of(model, "fox", "tags", phrases)
    assert verdicts["red fur"].worth > verdicts["a hat"].worth
    assert "area under the curve 1.000" in capsys.readouterr().err
    assert model.suitability.ranking[0] > 0
    (judged / "rows.jsonl").write_text(
        json.dumps(next(r for r in rows if not held_out(r["prompt"])))
    )
    with pytest.raises(InputError, match="no row of a prompt that was held out"):
        main([*arguments, str(judged)])
