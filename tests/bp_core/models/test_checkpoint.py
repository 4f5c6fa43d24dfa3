"""Weights on disk."""

import os

import pytest
import torch
from safetensors.torch import load_file

from bp_core.models.checkpoint import write_safetensors
from bp_core.models.load import pack_folder


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_weights_can_be_read_by_whoever_may_read_the_folder(dialect_writer, tmp_path):
    """A host may run as another user than the one who trained."""
    (tmp_path / "any").touch()
    mode = (tmp_path / "any").stat().st_mode
    path = tmp_path / "x.safetensors"
    write_safetensors({"a": torch.ones(2)}, path, {"format": "pt"})
    assert path.stat().st_mode == mode and load_file(path)["a"].tolist() == [1, 1]
    path.chmod(0o640)  # what somebody chose stays
    write_safetensors({"a": torch.zeros(2)}, path)
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(ValueError):
        write_safetensors({"a": "no tensor"}, tmp_path / "new.safetensors")
    assert not (tmp_path / "new.safetensors").exists()
    packed = pack_folder(dialect_writer, tmp_path / "packed")
    assert {file.stat().st_mode for file in packed.iterdir()} == {mode}
