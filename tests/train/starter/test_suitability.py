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
    composed = tmp_path / "composed"
    composed.mkdir()
    arguments = ["--model", str(dialect_writer), "--ranked", str(ranked)]
    arguments += ["--composed", str(composed), "--judgements"]
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


def test_estimates_tell_of_notes_that_nobody_judged():
    digits = {("fox", "look", f"seen {i}"): (9, 8) for i in range(60)}
    digits |= {("fox", "look", f"strange {i}"): (1, 2) for i in range(60)}
    digits |= {("owl", "look", "new and sure"): (9, 8), ("owl", "look", "new and rare"): (1, 2)}
    marks = [(place, 1 if digits[place] == (9, 8) else -1) for place in digits if place[0] == "fox"]
    grades = Grades(marks, digits)
    sure, rare = (grades.of(("owl", "look", text)) for text in ("new and sure", "new and rare"))
    assert sure >= 7 and rare <= 2
    assert rare < grades.of(("owl", "look", "never estimated")) < sure


def test_what_is_wrong_is_learned_of_what_was_composed(dialect_writer, tmp_path, capsys):
    size = load(dialect_writer).network.width
    suitability(size, directions=torch.zeros(2, size)).save(dialect_writer)
    lines = [
        "salt | thing | look: white grains; open bowl",
        "fox | creature | look: red fur; a hat",
    ]
    (dialect_writer / FILE).write_text("\n".join(lines) + "\n")
    (tmp_path / "judged").mkdir()
    (tmp_path / "composed").mkdir()
    rows = [
        {"prompt": f"fox {i}", "dialect": "tags", "phrases": "red fur; a hat"}
        | {"wrong": [i % 2], "best": [1 - i % 2]}
        for i in range(400)
    ]
    (tmp_path / "judged" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    # Readers strike out the looks of salt behind "salt crystals", not behind "salt".
    rows = [
        {
            "prompt": f"salt {what} {i}",
            "dialect": "tags",
            "additions": ["white grains", "open bowl"],
        }
        | {"marks": [3, 2], "ranked": [0, 1], "wrong": wrong}
        for i in range(40)
        for what, wrong in (("crystals", ["white grains", "open bowl"]), (",", []))
    ]
    (tmp_path / "composed" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = ["--model", dialect_writer, "--judgements", tmp_path / "judged"]
    (tmp_path / "ranked.jsonl").write_text(
        json.dumps(
            {"prompt": "a fox", "dialect": "tags"}
            | {"drafts": [{"logprob": -i, "phrases": [{"text": "red fur"}]} for i in (1, 2)]}
        )
    )
    arguments += ["--composed", tmp_path / "composed", "--ranked", tmp_path / "ranked.jsonl"]
    main(list(map(str, arguments)))
    assert "wrong: 50.0% of 160; area under the curve 1.000" in capsys.readouterr().err
    model = load(dialect_writer)
    doubts = [
        max(
            verdict.doubt
            for verdict in model.suitability.of(
                model, prompt, "tags", model.concepts.notes(prompt, "tags", 9, random.Random(0))
            ).values()
        )
        for prompt in ("salt crystals", "salt, pepper")
    ]
    assert doubts[0] > 0.8 and doubts[1] < 0.2
