"""report.html of PPO: its first lines, with and without held-out prompts."""

import re

import pytest

from train.rl.report import write_report

CONFIG = {"steps": 9, "kl_target": 6.0}
ROWS = [{"step": 0}, *({"step": i, "score/reward": 0.1 * i, "kept": 0.9, "kl": i} for i in (1, 2))]
SAMPLES = [{"mode": "expand", "prompt": "a cat", "text": "a cat, fog"}]


def evaluations(*modes):
    return [
        {"step": step, **{f"{mode}/{name}": [0.1 * step, 0.3 * step, 0.2] for mode in modes
                          for name in ("reward", "judge", "kept")}}
        for step in (0, 2)
    ]  # fmt: skip


def page(tmp_path, rows, evaluated, samples=()):
    write_report(tmp_path, rows, evaluated, samples, CONFIG)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def cells(text):
    rows = re.findall(r"<tr>.*?</tr>", text, re.S)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_reward_judge_kept_words_and_kl_come_first_each_with_its_meaning(tmp_path):
    text = page(tmp_path, ROWS, evaluations("expand"), SAMPLES)
    table = cells(text)[1:5]
    assert [row[0] for row in table] == ["reward", "judge", "kept words", "KL"]
    assert all(len(row[-1]) > 30 for row in table) and "near 6." in table[3][-1]
    assert table[0][1:3] == ["+0.067", "+0.333 ± 0.26"]
    # Differences 0.2, 0.6, 0 on three prompts: a mean of 0.267, t 4.30.
    assert table[0][3] == "-0.492 to +1.026"
    assert text.index("what it means") < text.index("<svg") < text.index("a cat<mark>")
    assert text.index("a cat<mark>") < text.index("All figures of the log")
    assert "No warning: judge and kept" in text and "3 held-out prompts" in text


def test_where_nobody_judges_no_warning_is_said_of_the_kept_words_alone(tmp_path):
    rows = [{k: v for k, v in row.items() if "judge" not in k} for row in evaluations("expand")]
    verdict = page(tmp_path, ROWS, rows).split("<table")[0]
    assert "No warning: kept words" in verdict and "--judge" in verdict


def test_two_modes_have_a_line_each(tmp_path):
    table = cells(page(tmp_path, ROWS, evaluations("expand", "rewrite")))
    assert [row[0] for row in table[1:3]] == ["reward, expand", "reward, rewrite"]


def test_without_held_out_prompts_the_rollouts_are_shown_and_the_remedy(tmp_path):
    text = page(tmp_path, ROWS, [])
    table = cells(text)[1:5]
    assert table[0][1:3] == ["+0.150", "+0.150"] and table[2][2] == "90.0%"
    assert "--judge" in table[1][-1] and "--eval_prompts" in text
    page(tmp_path, [{"step": 0}], [])  # before the first step


@pytest.mark.parametrize("count", [1, 5])
def test_warnings_stand_above_all(tmp_path, count):
    rows = [*ROWS, *({"step": i, "flag": f"over-optimised: {i}"} for i in range(3, 3 + count))]
    text = page(tmp_path, rows, evaluations("expand"))
    shown = re.findall(r"step \d+: over-optimised", text.partition("<table")[0])
    assert len(shown) == min(3, count) and f"{count} warning" in text
