"""The words that a small writer may add."""

import pytest

from bp_core.errors import ModelError
from bp_core.models.folder import BUNDLED
from bp_core.text.lexicon import FILE, Lexicon, write


@pytest.fixture
def lexicon(tmp_path):
    write(tmp_path / FILE, ["A red fox runs", "moss on every ledge, 85mm"])
    return Lexicon.load(tmp_path)


@pytest.mark.parametrize(
    "text", ["red foxes", "a fox running", "the fox's ledges", "35mm, f/2.8, 3"]
)
def test_words_of_the_list_pass_in_all_their_forms(lexicon, text):
    assert lexicon.unknown(text, {"the", "f"}) == []


@pytest.mark.parametrize(
    ("text", "unknown"),
    [("foccus on a fox", ["foccus"]), ("theways, redd", ["theways", "redd"]), ("猫", ["猫"])],
)
def test_other_words_are_named(lexicon, text, unknown):
    assert lexicon.unknown(text) == unknown


def test_the_prompt_brings_its_own(lexicon):
    assert lexicon.unknown("a zorb fox", {"zorb"}) == []


def test_a_folder_without_a_list_has_none(tmp_path):
    assert Lexicon.load(tmp_path) is None


def test_a_damaged_list_says_what_to_do(tmp_path):
    (tmp_path / FILE).write_bytes(b"\xff\xfe red")
    with pytest.raises(ModelError, match="copy the model's folder again"):
        Lexicon.load(tmp_path).unknown("red")


def test_the_bundled_list_knows_words_and_no_junk():
    lexicon = Lexicon.load(BUNDLED)
    junk = "photographerus foccus ilustration theways theia belce"
    assert lexicon.unknown("soft morning light, moss on every ledge, 1girl, silver hair") == []
    assert lexicon.unknown(junk) == junk.split()
