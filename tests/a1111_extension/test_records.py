"""The infotext tells where a prompt comes from, image by image, and nothing of foreign prompts."""

from __future__ import annotations

from types import SimpleNamespace

from a1111_extension.records import JOB_RECORD, Recent, Record, infotext, pasted

RECORD = Record("a cat", "starter", "expand", 7)


def test_infotext_depends_on_the_prompt():
    records = Recent()
    records.put("a cat, soft light", RECORD)
    values = infotext(records)
    told = {key: value(prompt_text="a cat, soft light") for key, value in values.items()}
    assert told.pop("Beautify dialect") is None, "a picture of before tells none"
    assert told == {
        "Beautify original": "a cat",
        "Beautify model": "starter",
        "Beautify mode": "expand",
        "Beautify seed": 7,
    }
    assert all(value(prompt_text="a dog", p=object()) is None for value in values.values())


def test_a_jobs_own_record_stands_in_for_changed_prompts():
    job = SimpleNamespace(**{JOB_RECORD: RECORD})
    assert infotext(Recent())["Beautify original"](prompt_text="changed", p=job) == "a cat"


def test_pasted_reads_back_what_was_told():
    told = {"Beautify original": "a cat", "Beautify seed": "7", "Beautify mode": "expand"}
    assert pasted({**told, "Beautify model": "starter"}) == RECORD
    spoken = pasted({**told, "Beautify model": "starter", "Beautify dialect": "prose"})
    assert spoken == Record("a cat", "starter", "expand", 7, "prose")
    assert pasted({**told, "Beautify original": 1984}).original == "1984", "a number in SD.Next"
    assert pasted({"Prompt": "a cat"}) is None
    assert pasted({**told, "Beautify seed": "x"}).seed == -1


def test_recent_forgets_the_least_used():
    recent = Recent(most=2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)
