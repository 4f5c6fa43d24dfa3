"""Suitability: phrases judged by a writer's own layers, and notes chosen by that."""

import json

import pytest
import torch

from bp_core import Rewriter
from bp_core.errors import ModelError
from bp_core.models.folder import BUNDLED
from bp_core.models.load import load, pack_folder
from bp_core.models.suitability import FEATURES, FILE, Suitability, Verdict
from bp_core.text.notes import Note


def suitability(size, **changes):
    torch.manual_seed(0)
    fields = {"directions": torch.randn(2, size), "bias": torch.tensor([0.5, -0.5]), "depth": 1}
    return Suitability(**fields | changes)


def note(text, field="look", grade=5):
    return Note(text, field, "main", grade)


def test_a_folder_has_one_or_none_and_packing_takes_it_along(dialect_writer, tmp_path):
    assert load(dialect_writer).suitability is None
    made = suitability(load(dialect_writer).network.width, limit=0.3, ranking=(2.0, -1.0, 0.5))
    made.save(dialect_writer)
    read = load(pack_folder(dialect_writer, tmp_path / "packed")).suitability
    assert (read.depth, read.limit, read.ranking) == (1, 0.3, (2.0, -1.0, 0.5))
    assert torch.equal(read.directions, made.directions) and torch.equal(read.bias, made.bias)


def test_the_state_at_a_phrase_s_end_is_what_is_read(dialect_writer):
    model = load(dialect_writer, dtype="float32")
    made = suitability(model.network.width)
    few = made.features(model, "a fox", "tags", ["rust-red fur", "a lamp"])
    more = made.features(model, "a fox", "tags", ["rust-red fur", "a lamp", "oak shelves"])
    assert torch.allclose(few[:, :2], more[:2, :2], atol=1e-5)  # what follows is not known yet
    other = made.features(model, "a ship", "tags", ["rust-red fur", "a lamp"])
    assert not torch.allclose(few[:, :2], other[:, :2], atol=1e-3)
    assert made.of(model, "a fox", "tags", []) == {}


def test_where_a_phrase_is_from_is_weighed(dialect_writer):
    model = load(dialect_writer, dtype="float32")
    weights = torch.zeros(2, len(FEATURES) + 1)
    weights[0, FEATURES.index("made up")] = 2.0
    weights[0, FEATURES.index("place of main")] = -3.0
    weights[1, FEATURES.index("grade")] = 1.0
    made = suitability(model.network.width, weights=weights)
    phrases = [note("a pond", "place", 9), note("wet fur", "look", 0), "a lamp"]
    weights[0, FEATURES.index("look that leads")] = 4.0
    weights[1, FEATURES.index("follows")] = 5.0
    joined = [
        note("red", "look")._replace(leads=True),
        note("dusk", "light")._replace(follows=True),
    ]
    verdicts = made.of(model, "fox eggs", "tags", joined)
    assert verdicts["red"].wrong == 4.0 and verdicts["dusk"].best == pytest.approx(5.0 + 1 / 9)
    verdicts = made.of(model, "a fox", "tags", phrases)
    assert verdicts["a pond"] == Verdict(-3.0, 1.0)
    assert verdicts["wet fur"] == Verdict(0.0, -1.0) and verdicts["wet fur"].doubt == 0.5
    assert verdicts["a lamp"] == Verdict(2.0, 0.0)


def test_what_is_likely_wrong_is_not_chosen_and_two_choices_share_the_best():
    made = suitability(8, limit=0.4)
    notes = [note(f"look {rank}") for rank in range(9)]
    notes += [note("gold", "colour"), note("blue", "colour"), note("wrong")]
    verdicts = {n.text: Verdict(-3.0, 3.0 - rank / 4) for rank, n in enumerate(notes)}
    verdicts["wrong"] = Verdict(1.0, 5.0)
    first, second = made.choose(verdicts, notes, 6)
    assert set(first) & set(second) == {"look 0", "look 1"}
    assert len(first) == len(second) == 6 and "wrong" not in first + second
    first, second = made.choose(verdicts, notes, 9)
    # One palette each, though both had room.
    assert {"gold", "blue"} <= set(first + second)
    assert not {"gold", "blue"} <= set(first) and not {"gold", "blue"} <= set(second)


def test_few_notes_are_one_choice_and_none_are_none():
    made = suitability(8)
    verdicts = {"a": Verdict(-2.0, 0.0), "b": Verdict(-2.0, 1.0)}
    assert made.choose(verdicts, [note("a"), note("b")], 6) == [["b", "a"]]
    assert made.choose({}, [], 6) == [[]]


def test_likelihood_and_phrases_rank_a_draft():
    made = suitability(8, ranking=(2.0, -1.0, 0.5))
    assert made.score(-1.0, [1.0, 2.0]) == 2.0 * -1.0 - 1.5 + 0.5
    assert made.score(-1.0, []) == -1.5


@pytest.mark.parametrize("damage", ["cut", "names", "size", "ranking"])
def test_a_damaged_file_is_named_with_the_remedy(dialect_writer, damage):
    from safetensors.torch import load_file, save_file

    size = load(dialect_writer).network.width
    suitability(size + (damage == "size")).save(dialect_writer)
    path = dialect_writer / FILE
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    if damage in ("names", "ranking"):
        stated = {"depth": 1, "limit": 0.4, "names": list(FEATURES), "ranking": [1, -1, 0]}
        stated[damage] = stated[damage][1:]
        save_file(load_file(path), path, metadata={"suitability": json.dumps(stated)})
    with pytest.raises(ModelError, match=r"suitability\.safetensors.*copy the folder again"):
        load(dialect_writer)


def test_it_ranks_drafts_unless_a_reward_is_named(dialect_writer):
    suitability(load(dialect_writer).network.width, ranking=(2.0, 0.0, 0.5)).save(dialect_writer)
    asked = {"prompt": "a fox", "n": 4, "max_new_tokens": 8, "min_new_tokens": 1}
    for candidate in Rewriter.load(dialect_writer)(**asked).candidates:
        assert candidate.score == 2 * candidate.logprob + 0.5 and candidate.aesthetic is None
    for candidate in Rewriter.load(dialect_writer, reward=BUNDLED / "reward")(**asked).candidates:
        assert candidate.score != 2 * candidate.logprob + 0.5 and candidate.aesthetic is not None
