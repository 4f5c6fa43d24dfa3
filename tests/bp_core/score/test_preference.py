"""preference.py: a head on the writer's own trunk that ranks its drafts, and the head's file."""

import pytest
import torch
from safetensors.torch import save_file

from bp_core import Rewriter
from bp_core.errors import ModelError
from bp_core.models.load import load
from bp_core.score.preference import FILE, Preference, Reading, features, shapes


def add_head(folder, depth=1, size=16):
    torch.manual_seed(0)
    weights = {name: torch.randn(shape) for name, shape in shapes(size).items()}
    weights["std"] = weights["std"].abs() + 0.5
    save_file(weights, folder / FILE, metadata={"depth": str(depth)})
    return folder


READINGS = [
    Reading("a cat", "expand", "tags", "a cat, sharp focus"),
    Reading("a cat", "expand", "tags", "a cat, oil painting of the garden, detailed"),
    Reading("a cat", "rewrite", "tags", "oil painting of a cat"),
]


def test_a_score_does_not_depend_on_what_is_read_beside_it(model_folder):
    model = load(add_head(model_folder))
    preference = Preference.load(model)
    together = preference.score(READINGS)
    alone = torch.cat([preference.score([reading]) for reading in READINGS])
    assert together.shape == (3,) and torch.allclose(together, alone, atol=1e-3)
    assert len(set(together.tolist())) == 3


def test_features_are_of_the_draft_s_tokens_and_not_of_the_prompt_s(model_folder):
    model = load(model_folder, dtype="float32")
    ids = model.encode("a cat", "expand")
    written = model.tokenizer.encode(", sharp focus").ids
    hidden = model.network.hidden(torch.tensor([[*ids, *written]]), depth=1)[0, len(ids) :]
    x = features(model, READINGS[:1], depth=1)
    assert torch.allclose(x[0], torch.cat((hidden.mean(0), hidden[-1])), atol=1e-5)


def test_the_preference_in_a_writer_s_folder_ranks_its_drafts(model_folder):
    rewriter = Rewriter.load(add_head(model_folder))
    assert rewriter.preference is not None and rewriter.reward is None and rewriter.taste is None
    candidates = rewriter("a cat", n=4, max_new_tokens=8, min_new_tokens=1).candidates
    scores = [candidate.score for candidate in candidates]
    assert scores == sorted(scores, reverse=True) and candidates[0].aesthetic is None
    assert Rewriter.load(model_folder, reward=None).preference is None


def test_a_folder_without_a_head_has_no_preference(model_folder):
    assert Preference.load(load(model_folder)) is None


@pytest.mark.parametrize("fault", ["size", "depth", "bytes"])
def test_a_head_that_is_not_the_writer_s_is_one_line(model_folder, fault):
    add_head(model_folder, size=8 if fault == "size" else 16)
    if fault == "depth":
        save_file({"mean": torch.zeros(2)}, model_folder / FILE)
    elif fault == "bytes":
        (model_folder / FILE).write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"train/preference\.py"):
        Rewriter.load(model_folder)
