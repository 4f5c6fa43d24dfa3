"""policy.py: what no model may add."""

import pytest

from bp_core.rules.blocklist import Blocklist
from bp_core.rules.policy import adds_somebody, permitted


@pytest.mark.parametrize(
    ("clause", "raw", "adds"),
    [
        ("a tiny figure on the pier", "a lighthouse", True),
        ("old woman at the window", "a lighthouse", True),
        ("a woman in a red coat", "a woman at a window", False),
        ("graphite legs", "a table", False),
        ("low walker's view", "a fork in the road", True),
        ("hand-painted tiles", "black coffee", False),
        ("no humans", "a fox", False),
        ("1girl", "a fox", True),
        ("solo", "1girl, library", False),
    ],
)
def test_nobody_comes_into_a_prompt_unasked(clause, raw, adds):
    assert adds_somebody(clause, raw) == adds


def test_a_phrase_must_say_something_new():
    phrases = ["rust-red fur", "red fur", "tall oak shelves", "fox", "oak shelves, tall"]
    assert permitted(phrases, "a fox in a library") == ["rust-red fur", "tall oak shelves"]


def test_more_about_the_artist_s_own_words_is_welcome():
    assert permitted(["chain-stitched reeds"], "a heron in the reeds") == ["chain-stitched reeds"]


def test_names_stay_out_and_what_was_taken_before_counts():
    block = Blocklist((), allow="a fox").find
    assert permitted(["by greg rutkowski", "wet fur"], "a fox", block, ["fur"]) == ["wet fur"]
    assert permitted(["wet fur"], "a fox", block, ["wet fur"]) == []
