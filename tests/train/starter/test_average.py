"""Weights between models."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from bp_core.errors import InputError
from bp_core.models.load import load
from tests.conftest import random_bloom, write_folder
from train.starter import average

TEXTS = ["a cat in the garden, oil painting, sharp focus", "a lighthouse at dusk, 8k, detailed"]


def folder(path, texts=TEXTS, shift=0.0, **shape):
    made = write_folder(path, random_bloom(vocab_size=300, **shape), texts)
    tensors = load_file(made / "model.safetensors")
    save_file({k: t + shift for k, t in tensors.items()}, made / "model.safetensors")
    return made


def test_weights_are_the_mean(tmp_path):
    one = folder(tmp_path / "one")
    others = [one, folder(tmp_path / "two", shift=3.0), folder(tmp_path / "three", shift=-1.5)]
    average.main([*map(str, others), "--out", str(tmp_path / "out"), "--weights", "float32"])
    found, first = (load_file(f / "model.safetensors") for f in (tmp_path / "out", one))
    for name, tensor in first.items():
        torch.testing.assert_close(found[name], tensor + 0.5)
    assert load(tmp_path / "out").template == load(one).template


def test_models_of_different_kinds_have_no_mean(tmp_path):
    one = folder(tmp_path / "one")
    for name, other in (
        ("deeper", folder(tmp_path / "deeper", n_layer=3)),
        ("words", folder(tmp_path / "words", texts=["words of another kind, entirely"])),
    ):
        with pytest.raises(InputError, match=f"{name} has another shape or tokenizer"):
            average.average([str(one), str(other)], tmp_path / "out")
    assert not (tmp_path / "out").exists()
