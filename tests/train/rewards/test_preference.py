"""preference.py: rankings read as judgements of two, a head that learns them, and its command."""

import json

import pytest
import torch

from bp_core.errors import InputError
from bp_core.score.preference import FILE
from train import preference as command
from train.rewards.preference import (
    Addition,
    Ranking,
    accuracy,
    agreement,
    learn,
    pairs,
    read_rankings,
)


def ranking(prompt, *texts, source="writer", reader="a"):
    return Ranking(prompt, "tags", tuple(Addition(t, source, "") for t in texts), reader, "1")


def write(path, rankings):
    rows = []
    for r in rankings:
        row = r._asdict() | {"ranked": [a._asdict() for a in r.ranked]}
        rows.append(json.dumps(row))
    path.write_text("\n".join(rows))
    return path


def test_a_ranking_is_its_judgements_of_two():
    additions = Addition("x", "writer", ""), Addition("y", "written", "")
    mixed = Ranking("a", "tags", additions, "", "")
    judged = pairs([ranking("b", "1", "2", "3"), mixed])
    assert list(zip(*map(torch.Tensor.tolist, judged))) == [
        (0, 1, 0), (0, 2, 0), (1, 2, 0), (3, 4, 1),
    ]  # fmt: skip
    assert len(pairs([mixed], ["writer"]).kept) == 0


def test_agreement_counts_the_judgements_that_two_readers_share():
    one, other = [ranking("a", "x", "y", "z")], [ranking("a", "x", "z", "y")]
    assert agreement(one, other) == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="in common"):
        agreement(one, [ranking("b", "x", "y")])


def test_a_head_learns_what_readers_keep():
    torch.manual_seed(0)
    rankings = [ranking(str(i), "1", "2", "3", "4") for i in range(120)]
    x = torch.randn(480, 8)
    x[:, 0] = -torch.arange(4).repeat(120).float() + 0.3 * x[:, 0]  # what decides
    judged = pairs(rankings)
    right, error = accuracy(learn(x, judged), x, judged)
    assert right > 0.85 and error < 0.02


def test_the_command_writes_a_head_that_the_rewriter_reads(model_folder, tmp_path):
    subjects = ["cat", "garden", "lighthouse", "painting", "dusk", "focus", "oil", "detail"]
    rankings = [ranking(f"a {s} {t}", ", oil painting", ", 8k") for s in subjects for t in "abc"]
    path = write(tmp_path / "r.jsonl", rankings)
    command.main(["--model", str(model_folder), "--rankings", str(path), "--depths", "1", "2"])
    about = json.loads((model_folder / "preference.json").read_text())
    assert about["judgements"] == 24 and about["depth"] in (1, 2)
    assert 0 <= about["accuracy by depth"]["1"]["all"] <= 1
    assert (model_folder / FILE).is_file()


@pytest.mark.parametrize(
    "line",
    ["{", '{"prompt": "a fox"}', '{"prompt": "a", "dialect": "tags", "reader": "", "batch": "",'
     ' "ranked": [{"text": "b", "source": "writer", "flaw": ""}]}'],
)  # fmt: skip
def test_a_row_of_another_form_is_named_with_its_line(tmp_path, line):
    (tmp_path / "a.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=r"a\.jsonl, line 1"):
        read_rankings(tmp_path)
    with pytest.raises(InputError, match="no rankings"):
        read_rankings(tmp_path / "none")


def test_the_bundled_rankings_are_as_many_as_was_asked_and_readers_agree():
    rankings = read_rankings(command.RANKINGS)
    twice = read_rankings(command.RANKINGS / "twice")
    assert len(pairs(rankings).kept) >= 6000 and len(pairs(rankings, ["writer"]).kept) >= 4000
    assert len(pairs(twice).kept) >= 100 and agreement(twice, rankings) > 0.8
