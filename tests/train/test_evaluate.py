"""train/evaluate.py on tiny random models: its report, several rewriters, early errors, kills."""

import html
import json
from dataclasses import fields

import pytest

from bp_core.errors import InputError, ModelError
from bp_core.rewriter import Candidate, Result, Rewriter
from tests.bp_core.score.test_text_reward import reward_folder
from tests.conftest import random_bloom, write_folder
from train import evaluate
from train.report.metrics import Figures, measure, phrase_shares, reworded

PROMPTS = ["a cat in the garden", "a lighthouse <at> dusk", "an old oak & a fox", "the sea, $5 $x_"]
FIGURES = [field.name for field in fields(Figures)]


@pytest.fixture
def work(tmp_path):
    texts = ["a cat in the garden, oil painting, sharp focus", "a lighthouse at dusk, 8k, detailed"]
    for seed, name in enumerate(("one", "two")):
        write_folder(tmp_path / name / "model", random_bloom(vocab_size=300, seed=seed), texts)
    reward_folder(tmp_path / "judge")
    (tmp_path / "mine.txt").write_text("\n".join(PROMPTS) + "\n\n", encoding="utf-8")
    return tmp_path


def run(work, *models, **more):
    options = {"sets": [], "prompts": [work / "mine.txt"], "n": 2, "out": work / "out"}
    options |= {"reward": "none", "judge": work / "judge"} | more
    argv = ["--model", *(work / name / "model" for name in models)] if models else []
    for key, value in options.items():
        if value is not None:
            argv += [f"--{key}", *(value if isinstance(value, list) else [value])]
    evaluate.main([str(word) for word in argv])
    report = json.loads((work / "out/report.json").read_text(encoding="utf-8"))
    return report, (work / "out/report.html").read_text(encoding="utf-8")


def test_one_rewriter_gives_figures_and_a_page_that_stands_alone(work, capsys):
    report, page = run(work, "one")
    assert list(report) == ["mine, expand", "mine, rewrite"]
    expected = [*FIGURES, "samples"]
    assert list(report["mine, expand"]) == [*expected, "gain"]
    assert list(report["mine, rewrite"]) == [*expected, "kept_unguarded", "kept_unreminded", "gain"]
    assert {"best", "candidate 0", "fixed tail"} < set(report["mine, expand"]["gain"])
    assert {s["prompt"] for s in report["mine, expand"]["samples"]} == set(PROMPTS)
    assert not any(word in page for word in ("<script", "<link", "src=", "@import", "url(http"))
    assert page.count("<svg") == 5  # gain, its distribution, added words, phrases of two runs
    for field in fields(Figures):
        assert f"{field.name}<" in page and html.escape(field.metadata["meaning"]) in page
    assert "an old oak &amp; a fox<mark>" in page and "<at>" not in page
    assert "| kept |" in capsys.readouterr().out


def test_several_rewriters_stand_side_by_side(work):
    report, page = run(work, "one", "two", modes=["expand"])
    assert list(report) == ["one, mine, expand", "two, mine, expand"]
    alone, _ = run(work, "two", modes=["expand"])
    assert report["two, mine, expand"] == alone["mine, expand"]
    row = next(line for line in page.splitlines() if ">a cat in the garden<" in line)
    assert row.count("a cat in the garden<mark>") == 2


def test_no_model_is_the_starter(work, monkeypatch):
    asked = []
    rewriter = Rewriter.load(work / "one/model", reward=None)
    monkeypatch.setattr(Rewriter, "load", lambda model, **_: asked.append(model) or rewriter)
    report, _ = run(work, modes=["expand"])
    assert list(report) == ["mine, expand"] and asked[0].name == "starter"


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["runs/a/model"], ["a"]),
        (["runs/a/model", "runs/b/model"], ["a", "b"]),
        (["bp_core/starter", "runs/b/model"], ["starter", "b"]),
        (["x/a/model", "y/a/model", "c"], ["x/a", "y/a", "a/c"]),
        (["a/checkpoint-10", "a/checkpoint-20"], ["checkpoint-10", "checkpoint-20"]),
        (["/model"], ["model"]),
    ],
)
def test_a_rewriter_is_named_by_what_tells_its_folder_apart(folders, names, tmp_path):
    assert evaluate.short_names([tmp_path / "a" / folder for folder in folders]) == names


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prompts": ["missing.txt"]}, "no prompts at missing.txt"),
        ({"prompts": ["empty"]}, "no prompt with words"),
        ({"prompts": ["signs"]}, "no prompt with words"),
        ({"prompts": []}, "nothing to measure on"),
        ({"prompts": ["mine.txt", "mine.txt"]}, "two prompt sets are called mine"),
        ({"sets": ["nope"], "data": "shared"}, "no set 'nope': there are partiprompts"),
        ({"sets": ["partiprompts"], "data": "missing"}, "--data"),
        ({"n": 0}, "n is 0"),
        ({"limit": 0}, "limit is 0"),
        ({"modes": ["shout"]}, "'shout'"),
        ({"out": "mine.txt"}, "mine.txt"),
    ],
)
def test_what_cannot_work_is_said_before_a_model_runs(work, monkeypatch, options, says):
    monkeypatch.setattr(Rewriter, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    monkeypatch.setattr(evaluate, "read_evaluation_sets", evaluation_sets)
    monkeypatch.chdir(work)
    (work / "empty").write_text("")
    (work / "signs").write_text("...\n\n?\n")
    with pytest.raises(InputError, match=says) as error:
        run(work, "one", **options)
    assert "\n" not in str(error.value)


def evaluation_sets(data):
    if data.name == "missing":
        raise FileNotFoundError(2, "No such file or directory", str(data))
    return {"partiprompts": PROMPTS, "geneval": PROMPTS[:1]}


def test_a_missing_rewriter_is_said_before_another_runs(work, monkeypatch):
    monkeypatch.setattr(Rewriter, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    with pytest.raises(ModelError, match="three"):
        run(work, "one", "three")
    with pytest.raises(InputError, match="given twice"):
        run(work, "one", "one")


def test_a_killed_evaluation_keeps_its_finished_runs(work, monkeypatch):
    whole, _ = run(work, "one", "two")
    many, calls = Rewriter.many, []

    def killed(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return many(self, *args, **kwargs)

    monkeypatch.setattr(Rewriter, "many", killed)
    with pytest.raises(KeyboardInterrupt):
        run(work, "one", "two", out=work / "killed")
    report = json.loads((work / "killed/report.json").read_text(encoding="utf-8"))
    assert report == {name: whole[name] for name in list(whole)[:3]}
    page = (work / "killed/report.html").read_text(encoding="utf-8")
    assert "3 of 4 runs" in page and page.endswith("</html>\n")
    assert {p.name for p in (work / "killed").iterdir()} == {"report.json", "report.html"}


def test_without_a_judge_there_is_no_gain(work):
    report, page = run(work, "one", modes=["expand"], judge=None)
    assert "gain" not in report["mine, expand"]
    assert page.count("<svg") == 2


def result(*added):
    text = ", ".join(["a cat", *added])
    return Result("a cat", text, (Candidate(text, 0, added, 1.0, (), 4, -1.0),))


def test_phrases_are_counted_once_a_rewrite_whatever_their_case():
    results = [result("Soft light", "soft light", "fog"), result("soft light"), result("sea")]
    results.append(Result("...", "...", (), "no words"))
    shares = [("soft light", 2 / 3), ("fog", 1 / 3), ("sea", 1 / 3)]
    assert phrase_shares(results) == shares
    assert (measure(results).commonest, measure(results).commonest_share) == shares[0]


def test_a_rewriter_that_writes_nothing_has_no_figures():
    with pytest.raises(InputError, match="no candidate"):
        measure([Result("a cat", "a cat", (), "nothing new")])


def test_a_prompt_is_reworded_where_its_own_phrases_read_otherwise():
    assert reworded("a fox, oil painting", "a fox with red fur, oil painting, dusk")
    assert reworded("1girl, rain, sky", "1girl, rain, wet, sky")
    assert not reworded("a fox, oil painting", "a fox, oil painting, red fur")
    assert not reworded("A fox sleeps.", "A fox sleeps. Red fur.")
