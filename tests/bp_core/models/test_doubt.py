"""Doubt: phrases that a model was unsure of, or made up beside its notes."""

import json

import pytest

from bp_core import Rewriter
from bp_core.errors import ModelError
from bp_core.models.doubt import FEATURES, FILE, Doubt, features
from bp_core.models.folder import BUNDLED

NOTES = ["rust-red fur", "tall oak shelves"]


def test_features_tell_how_sure_and_how_noted_a_phrase_is():
    mean, least, tokens, noted, known = features("Rust-red fur", [-1.0, -3.0], NOTES)
    assert (mean, least, noted, known) == (-2.0, -3.0, 1.0, 1.0)
    assert tokens == pytest.approx(0.693, abs=1e-3)
    assert features("tall fur hat", [-20.0], NOTES)[:2] == [-6.0, -10.0]
    assert features("tall fur hat", [-20.0], NOTES)[3:] == [0.0, pytest.approx(2 / 3)]
    assert features("fox", [-1.0], [])[3:] == [0.0, 0.0]


def write(folder, **changes):
    stated = {"weights": dict.fromkeys(FEATURES, 0.0), "bias": 0.0, "limit": 0.2}
    stated |= {"usual": -2.0, "worth": 1.5} | changes
    (folder / FILE).write_text(json.dumps(stated))


def test_a_folder_has_one_or_none(tmp_path):
    assert Doubt.load(tmp_path) is None
    write(tmp_path)
    doubt = Doubt.load(tmp_path)
    assert doubt.limit == 0.2 and doubt.of("a fox", [-1.0], NOTES) == 0.5
    assert doubt.score(-1.0) == 1.5 and doubt.score(-2.0) == 0


@pytest.mark.parametrize("changes", [{"weights": {}}, {"bias": "much"}, {"limit": None}])
def test_what_is_missing_is_named_with_the_file(tmp_path, changes):
    write(tmp_path, **changes)
    with pytest.raises(ModelError, match=r"doubt\.json lacks"):
        Doubt.load(tmp_path)


def test_it_ranks_drafts_unless_a_reward_is_named(dialect_writer):
    write(dialect_writer)
    doubt = Doubt.load(dialect_writer)
    asked = {"prompt": "a fox", "n": 4, "max_new_tokens": 8, "min_new_tokens": 1}
    for candidate in Rewriter.load(dialect_writer)(**asked).candidates:
        assert candidate.score == doubt.score(candidate.logprob) and candidate.aesthetic is None
    for candidate in Rewriter.load(dialect_writer, reward=BUNDLED / "reward")(**asked).candidates:
        assert candidate.score != doubt.score(candidate.logprob) and candidate.aesthetic is not None
