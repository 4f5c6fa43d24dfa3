"""policy.py: what no model may add."""

import pytest

from bp_core.rules.blocklist import Blocklist
from bp_core.rules.policy import adds_somebody, permitted, stammers


@pytest.mark.parametrize(
    ("clause", "raw", "adds"),
    [
        ("a tiny figure on the pier", "a lighthouse", True),
        ("old woman at the window", "a lighthouse", True),
        ("a woman in a red coat", "a woman at a window", False),
        ("1girl", "a fox", True),
        ("3boys", "a fox", True),
        ("2girls", "1girl, library", True),
        ("multiple girls", "1girl, library", True),
        ("multiple girls", "2girls, library", False),
        ("girl reading", "1girl, library", False),
        ("solo", "1girl, library", False),
        ("1girl", "girl playing a violin", False),
        ("2boys", "a knight in the rain", True),
        ("2boys", "two knights in the rain", False),
        ("female child", "1girl, library", True),
        ("beautiful woman", "a man on a skateboard", True),
        ("distant figures", "a lighthouse", True),
        ("fisherman mending nets", "a pier", True),
        ("a child runs through the surf", "a beach", True),
        ("farmer in a straw hat", "a field of wheat", True),
        ("a knight on a white horse", "a castle", True),
        ("a crowd of onlookers", "a parade float", True),
        ("a woman's face", "a window", True),
        ("human hand on the brush", "a painting", True),
        ("no humans", "a fox", False),
        ("streets without people", "a town", False),
    ],
)
def test_nobody_comes_into_a_prompt_unasked(clause, raw, adds):
    assert adds_somebody(clause, raw) == adds


@pytest.mark.parametrize(
    "clause",
    [
        "figure-eight knot",
        "figure of eight",
        "graphite table legs",
        "clock face",
        "hands of a clock",
        "shoulder of a hill",
        "guy ropes beaded with dew",
        "baby blue",
        "a pair of baby shoes",
        "baby grand in straps",
        "crowded roofs",
        "sea urchins crowd the rocks",
        "a child's bed",
        "children's book print",
        "fisherman's hut",
        "farmer's market",
        "kid leather",
        "worker bees",
        "adult tapir",
        "family tree",
        "two-man saw",
        "man-made lake",
        "man's hat on a hook",
        "first-person view",
        "human scale",
        "diver's watch",
        "mother-of-pearl inlay",
        "record player",
        "painted lady",
        "hand-painted tiles",
        "portrait orientation",
    ],
)
def test_things_called_after_somebody_are_nobody(clause):
    assert not adds_somebody(clause, "a table by the sea")


@pytest.mark.parametrize(
    "clause", ["portrait", "selfie", "studio headshot", "gorgeous face", "long hair"]
)
def test_a_portrait_is_made_only_of_somebody(clause):
    assert adds_somebody(clause, "a lighthouse")
    for raw in ("elderly twins and a woman", "an alien", "1girl, library", "a knight in the rain"):
        assert not adds_somebody(clause, raw)


def test_what_the_prompt_names_may_have_its_portrait():
    assert not adds_somebody("formal fox portrait", "a fox in a library")
    assert adds_somebody("formal portrait", "a library")


def test_a_phrase_must_say_something_new():
    phrases = ["rust-red fur", "red fur", "tall oak shelves", "fox", "oak shelves, tall"]
    assert permitted(phrases, "a fox in a library") == ["rust-red fur", "tall oak shelves"]


def test_more_about_the_artist_s_own_words_is_welcome():
    assert permitted(["chain-stitched reeds"], "a heron in the reeds") == ["chain-stitched reeds"]


def test_names_stay_out_and_what_was_taken_before_counts():
    block = Blocklist((), allow="a fox").find
    assert permitted(["by greg rutkowski", "wet fur"], "a fox", block, ["fur"]) == ["wet fur"]
    assert permitted(["wet fur"], "a fox", block, ["wet fur"]) == []


def test_phrases_that_break_off_or_stammer_are_left_out():
    phrases = ["trending on", "with a", "24", "a cup with a cup", "very very wet", "close up"]
    assert permitted(phrases, "a cat") == ["close up"]
    whole = ["side by side", "jar after jar", "oversized lettering pushed in"]
    assert permitted(whole, "a cat") == whole
    assert stammers("on it is on it is fog") and not stammers("golden hour light")


def test_three_words_in_a_row_do_not_come_twice():
    phrases = ["trending on artstation", "8k trending on artstation", "fog"]
    assert permitted(phrases, "a cat") == ["trending on artstation", "fog"]


def test_what_was_said_is_not_contradicted():
    tags = ["indoors", "outdoors", "long hair", "short hair", "brown hair", "red hair", "red eyes"]
    assert permitted(tags, "1girl, nun") == ["indoors", "long hair", "brown hair", "red eyes"]
    assert permitted(["outdoors", "long hair"], "1girl, short hair, indoors") == []
    assert permitted(["outdoors"], "a stage indoors and outdoors", None, ["fog"]) == []  # not new


def test_two_may_differ():
    hair = ["long hair", "short hair", "black hair", "red hair"]
    assert permitted(hair, "2girls, witch") == hair
    assert permitted(hair, "two sisters and a girl") == hair
