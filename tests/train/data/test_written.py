"""written.py and its command: pairs that the project owns, their joints, variety and files."""

import json

import pandas as pd
import pytest

from bp_core.errors import InputError
from train.data.written import Written, figures, praises, read_written, variety
from train.starter.pair_files import clear, main, write


def row(prompt, text, dialect="tags", mode="expand"):
    return Written(prompt, dialect, mode, text)


@pytest.mark.parametrize(
    ("written", "target"),
    [
        (row("a fox", "rust-red fur"), ", rust-red fur"),
        (row("a fox,", "rust-red fur"), " rust-red fur"),
        (row("A fox sleeps.", "rust-red fur"), " Rust-red fur"),
        (row("a fox", ", asleep in straw.", "prose"), ", asleep in straw."),
        (row("a fox", "in straw.", "prose"), " in straw."),
        (row("a fox", "a rust-red fox in straw", mode="rewrite"), "a rust-red fox in straw"),
    ],
)
def test_the_target_begins_at_the_prompt_s_last_character(written, target):
    assert written.target == target


def test_the_bundled_pairs_are_as_many_and_as_varied_as_their_rules_ask():
    rows = [row for rows in read_written().values() for row in rows]
    counts = figures(rows)
    assert counts["additions"] >= 9000 and counts["prompts"] >= 3500
    assert counts["tags"] > counts["prose"] > counts["booru"] > 1000
    (_, opening), (_, phrase) = variety(rows).values()
    assert opening < 0.02 and phrase < 0.015
    assert not any(praises(row.text) and not praises(row.prompt) for row in rows)


def test_prompts_near_an_evaluation_set_are_left_out():
    rows = [row("a photo of two dogs", "wet fur"), row("a windmill at night", "torn sails")]
    assert clear(rows, {"geneval": ["a photo of two dogs"]}) == rows[1:]


@pytest.mark.parametrize(
    "line",
    ["{", '{"prompt": "a fox"}', '{"prompt": "a", "dialect": "x", "mode": "expand", "text": "b"}',
     '{"prompt": "", "dialect": "tags", "mode": "expand", "text": "b"}'],
)  # fmt: skip
def test_a_row_of_another_form_is_named_with_its_line(tmp_path, line):
    (tmp_path / "a.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=r"a\.jsonl, line 1"):
        read_written(tmp_path)
    with pytest.raises(InputError, match="no pairs"):
        read_written(tmp_path / "none")


def test_the_files_are_those_that_training_reads(tmp_path, capsys):
    rows = [row(f"a fox number {i}", "rust-red fur")._asdict() for i in range(200)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    main(["--pairs", str(tmp_path), "--out", str(tmp_path / "out")])
    assert json.loads(capsys.readouterr().out)["additions"] == 200
    train, validation = (
        pd.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("train", "validation")
    )
    assert len(train) + len(validation) == 200 and 0 < len(validation) < 30
    assert set(train.prompt) == {", rust-red fur"} and set(train.dialect) == {"tags"}


def test_a_model_learns_from_the_prose_that_it_will_read(tmp_path):
    rows = [row(f"a fox (red) {i}, ", "rust-red fur", "booru") for i in range(200)]
    write(rows, tmp_path)
    first = pd.read_parquet(tmp_path / "train.parquet").iloc[0]
    assert first.raw_prompt.startswith("a fox red ") and not first.raw_prompt.endswith(",")
    assert first.prompt == ", rust-red fur"
