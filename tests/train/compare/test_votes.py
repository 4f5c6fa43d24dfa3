"""Versions without names: what readers see, what is counted, and what is learned from."""

import json
import math

import pandas as pd
import pytest
from scipy.stats import binomtest

from bp_core.errors import InputError
from train import evaluate
from train.compare.packet import read_packet_votes, write_packet
from train.compare.page import write_voting_page
from train.compare.preferences import write_preferences
from train.compare.secret import cover, uncover
from train.compare.versions import Version, read_versions, to_items
from train.compare.votes import Reading, Vote, count, read_votes, wilson
from train.rewards.preference import read_rankings

PROMPTS = ["a cat", "a lighthouse", "the sea"]


def versions(**tails):
    return {
        name: [Version(prompt, prompt + tail, "tags") for prompt in PROMPTS]
        for name, tail in tails.items()
    }


ITEMS = to_items(versions(one=", fog", two=", rain", three=", fog"), 0)


def vote(item, kept, equal=False):
    """A vote for whoever wrote `kept` against the other one."""
    place = next(i for i, text in enumerate(ITEMS[item].texts) if text.endswith(kept))
    return Vote(item, place, 1 - place, equal)


def test_equal_versions_stand_once_and_the_seed_draws_the_order():
    assert all(len(item.texts) == 2 for item in ITEMS)
    assert {item.writers for item in ITEMS} <= {
        (("one", "three"), ("two",)),
        (("two",), ("one", "three")),
    }
    orders = {tuple(i.prompt for i in to_items(versions(a=", x", b=", y"), s)) for s in range(9)}
    sides = {i.texts[0][-1] for s in range(9) for i in to_items(versions(a=", x", b=", y"), s)}
    assert len(orders) > 1 and sides == {"x", "y"}


@pytest.mark.parametrize(("wins", "of"), [(0, 7), (3, 7), (7, 7), (150, 404), (0, 1)])
def test_the_interval_is_wilsons(wins, of):
    expected = binomtest(wins, of).proportion_ci(0.95, method="wilson")
    assert wilson(wins, of) == pytest.approx([expected.low, expected.high], abs=1e-6)
    assert wilson(0, 0) == [0, 1]


def test_votes_count_for_all_who_wrote_a_text_and_ties_for_none():
    ann = Reading(
        "ann", ITEMS, [vote(0, "fog"), vote(1, "rain"), vote(2, "fog", True)],
        marks={(0, vote(0, "fog").kept): 5, (1, vote(1, "fog").kept): 2},
        wrong={(1, vote(1, "fog").kept), (2, vote(2, "rain").kept)},
    )  # fmt: skip
    bob = Reading("bob", ITEMS, [vote(0, "fog"), vote(1, "fog")])
    figures = count([ann, bob])
    preferred = figures["all"]["preferred"]
    for name in ("one", "three"):
        row = preferred[f"{name} to two"]
        assert (row["share"], row["decided"], row["equal"]) == (0.75, 4, 1)
    assert preferred["two to one"]["share"] == 0.25 and "one to three" not in preferred
    assert figures["all"]["mark"] == {"one": 3.5, "three": 3.5}
    assert figures["all"]["wrong"] == {"one": 0.5, "three": 0.5, "two": 1}
    assert (figures["agreement"], figures["agreement_of"]) == (0.5, 2)
    assert count([ann])["agreement"] is None


def test_votes_become_rankings_of_two_and_scores(tmp_path):
    ann = Reading(
        "ann",
        ITEMS,
        [vote(0, "fog"), vote(1, "rain"), vote(2, "fog", True)],
        marks={(0, vote(0, "fog").kept): 5},
        wrong={(0, vote(0, "rain").kept)},
    )
    bob = Reading("bob", ITEMS, [vote(0, "rain")])
    assert write_preferences(tmp_path, [ann, bob]) == (3, 6)
    first, second, third = read_rankings(tmp_path / "preferences.jsonl")
    assert [a.text for a in first.ranked] == [", fog", ", rain"]
    assert [a.source for a in first.ranked] == ["one and three", "two"]
    assert [a.flaw for a in first.ranked] == ["", "wrong"] and first.reader == "ann"
    assert second.ranked[0].text == third.ranked[0].text == ", rain"
    scores = pd.read_parquet(tmp_path / "scores.parquet").set_index("prompt")
    assert scores.loc[f"{ITEMS[0].prompt}, fog", "score"] == 0.5
    assert scores.loc[f"{ITEMS[0].prompt}, fog", "mark"] == 5
    assert scores.loc[f"{ITEMS[1].prompt}, rain", "score"] == 1
    assert scores.loc[f"{ITEMS[2].prompt}, rain", "score"] == 0.5
    assert math.isnan(scores.loc[f"{ITEMS[1].prompt}, rain", "mark"])


def test_a_rewording_is_scored_but_is_no_ranking_of_additions(tmp_path):
    rows = {"a": [Version("a cat", "one cat, fog")], "b": [Version("a cat", "a cat, rain")]}
    items = to_items(rows, 0)
    assert write_preferences(tmp_path, [Reading("x", items, [Vote(0, 0, 1)])]) == (0, 2)


def exported(page, choices, **changes):
    """What the page would export of these choices."""
    text = page.read_text(encoding="utf-8")
    data = json.loads(text.split('type="application/json">')[1].split("</script>")[0])
    votes = [
        {"item": item, "left": left, "right": right, "choice": choice, "seconds": 1}
        for (item, left, right), choice in zip(data["pairs"], choices)
    ]
    said = {key: data[key] for key in ("format", "id", "items", "key")}
    return said | {"reader": "", "votes": votes, "marks": []} | changes


def test_the_page_names_nobody_and_its_votes_do(tmp_path):
    items = to_items(versions(Zebra=", x </script><b>", Quokka=", y"), 0)
    assert write_voting_page(tmp_path / "vote.html", items, 0, False) == 3
    page = (tmp_path / "vote.html").read_text(encoding="utf-8")
    assert "Zebra" not in page and "Quokka" not in page and "http" not in page
    assert page.count("<script") == page.count("</script>") == 2
    said = exported(tmp_path / "vote.html", ["left", "right", "equal"])
    (tmp_path / "v.json").write_text(json.dumps(said))
    reading = read_votes(tmp_path / "v.json")
    assert reading.reader == "v" and [v.equal for v in reading.votes] == [False, False, True]
    for choice, (vote, row) in zip(["left", "right"], zip(reading.votes, said["votes"])):
        assert vote.kept == row[choice] and reading.items[vote.item].writers[vote.kept] != ()
    names = {name for item in reading.items for of in item.writers for name in of}
    assert names == {"Zebra", "Quokka"}
    assert {t for item in reading.items for t in item.texts} == {t for i in items for t in i.texts}


@pytest.mark.parametrize(
    "broken",
    ["", "[]", "{}", '{"format": "x"}', {"key": "AAAA"}, {"votes": [{"item": 9, "left": 0,
     "right": 1, "choice": "left"}]}],
)  # fmt: skip
def test_a_file_without_votes_is_told(tmp_path, broken):
    write_voting_page(tmp_path / "vote.html", to_items(versions(a=", x", b=", y"), 0), 0, False)
    if isinstance(broken, dict):
        broken = json.dumps(exported(tmp_path / "vote.html", [], **broken))
    (tmp_path / "v.json").write_text(broken)
    with pytest.raises(InputError, match=r"v\.json holds no votes"):
        read_votes(tmp_path / "v.json")


def test_names_are_covered():
    assert uncover(cover("ours, 雪", "0123456789abcdef"), "0123456789abcdef") == "ours, 雪"
    assert "ours" not in cover("ours", "ff")


def test_a_packet_is_read_without_a_browser_and_counts_the_same(tmp_path):
    items = to_items(versions(a=", x", b=", y", c="; z"), 0)
    write_packet(tmp_path, items)
    packet = (tmp_path / "packet.txt").read_text()
    assert packet.startswith(f"#1 [tags] {items[0].prompt}\n  A") and " … ; z" in packet
    letters = {n: "ABC"[i] for i, of in enumerate(items[0].writers) for n in of}
    ranking = letters["c"] + letters["a"] + letters["b"]
    marks = f"{letters['c']}5 {letters['a']}3"
    (tmp_path / "r.tsv").write_text(f"number\twhat\n#1\t{ranking}\t{marks}\t{letters['b']}\n")
    evaluate.main(
        ["--votes", f"{tmp_path}/r.tsv", "--key", f"{tmp_path}/key.json", "--out", str(tmp_path)]
    )
    found = json.loads((tmp_path / "votes.json").read_text())
    assert found["all"]["preferred"]["c to b"]["share"] == 1
    assert found["all"]["mark"] == {"a": 3, "c": 5} and found["all"]["wrong"]["b"] == 1
    assert len(read_rankings(tmp_path / "preferences.jsonl")) == 3
    with pytest.raises(InputError, match=r"key\.json as --key"):
        evaluate.main(["--votes", f"{tmp_path}/r.tsv", "--out", str(tmp_path)])
    (tmp_path / "r.tsv").write_text("9\tAB\n")
    with pytest.raises(InputError, match="line 1"):
        read_packet_votes(tmp_path / "r.tsv", tmp_path / "key.json")


def test_the_reading_of_the_lab_book_counts_as_it_did(tmp_path):
    from tests.test_imports import ROOT

    kept = ROOT / "docs/experiments/blind"
    readers = [read_packet_votes(kept / f"reader{i}.tsv", kept / "key.json") for i in (1, 2)]
    figures = count(readers)
    row = figures["all"]["preferred"]["new, best of 4 to starter"]
    assert [round(x, 3) for x in (row["share"], *row["interval"])] == [0.95, 0.925, 0.968]
    assert round(figures["all"]["mark"]["new, best of 4"], 2) == 3.21
    assert round(figures["tags"]["wrong"]["starter"], 2) == 0.28
    assert round(figures["agreement"], 3) == 0.972
    assert write_preferences(tmp_path, readers) == (0, 0)  # the key has no texts


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a": ["x"]}, "two or more"),
        ({"a": ["x"], "b": ["y"]}, "different prompts"),
        ({"a": ["x", "x"], "b": ["x"]}, "twice"),
        ({"a": ["x"], "b": ["x"]}, "nothing to choose"),
        ({"a": [], "b": []}, "no versions"),
    ],
)
def test_versions_that_cannot_be_compared_are_told(tmp_path, files, says):
    for name, prompts in files.items():
        rows = [json.dumps({"prompt": p, "text": p}) for p in prompts]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    named = [f"{name}={tmp_path}/{name}.jsonl" for name in files]
    with pytest.raises(InputError, match=says):
        evaluate.main(["--blind", *named, "--out", str(tmp_path / "out")])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "a"}, "prompt and text"),
        ({"text": "a"}, "prompt"),
        ({"prompt": "a", "picture": "none.png"}, "no picture"),
        ({"prompt": "a", "text": "b", "dialect": "latin"}, "'latin'"),
    ],
)
def test_a_row_that_is_no_version_is_named_with_its_line(tmp_path, row, says):
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(InputError, match=rf"a\.jsonl, line 1.*{says}"):
        read_versions([f"a={tmp_path}/a.jsonl", f"b={tmp_path}/a.jsonl"])
    with pytest.raises(InputError, match="NAME=FILE"):
        read_versions(["a.jsonl"])
    with pytest.raises(InputError, match="no versions at"):
        read_versions(["a=missing.jsonl"])


def test_what_rewriters_wrote_is_voted_on(tmp_path, model_folder):
    (tmp_path / "mine.txt").write_text("a cat in the garden\na lighthouse\n")
    evaluate.main(
        ["--model", str(model_folder), "--reward", "none", "--sets", "--prompts",
         str(tmp_path / "mine.txt"), "--n", "2", "--blind", "--out", str(tmp_path / "out")]
    )  # fmt: skip
    key = json.loads((tmp_path / "out/key.json").read_text())
    names = {name for row in key.values() for of in row["writers"].values() for name in of}
    assert names == {"expand", "rewrite"}
    assert (tmp_path / "out/vote.html").is_file()
    with pytest.raises(InputError, match="give two to vote between"):
        evaluate.main(
            ["--sets", "--prompts", str(tmp_path / "mine.txt"), "--modes", "expand", "--blind"]
        )
