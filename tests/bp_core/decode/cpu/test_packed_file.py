"""packed_file.py: 8-bit weights on disk load to the same network, and never stand in for others."""

import json

import pytest
import torch

from bp_core.cli import main
from bp_core.decode.cpu import packed_file
from bp_core.decode.cpu.rounding import Rounded
from bp_core.errors import ModelError
from bp_core.models.checkpoint import fingerprint
from bp_core.models.load import load, pack

pytestmark = pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="FBGEMM is for x86"
)
IDS = torch.tensor([[5, 6, 7, 8, 9]])


def read(folder):
    return packed_file.read(folder / packed_file.FILE, lambda: fingerprint(folder))


def test_the_command_keeps_weights_that_load_to_the_same_network(model_folder, capsys, monkeypatch):
    before = load(model_folder, dtype="int8").network.model(IDS)
    main(["models", "--pack", str(model_folder), "--json"])
    path = model_folder / packed_file.FILE
    assert json.loads(capsys.readouterr().out) == {"path": str(path)}
    monkeypatch.setattr(Rounded, "of", lambda *_: pytest.fail("rounded again"))
    assert torch.equal(load(model_folder, dtype="int8").network.model(IDS), before)


def test_weights_of_another_training_are_rounded_anew(model_folder, caplog):
    from safetensors.torch import load_file, save_file

    pack(model_folder)
    file = next(model_folder.glob("model*.safetensors"))
    save_file({name: tensor + 1 for name, tensor in load_file(file).items()}, file)
    assert read(model_folder) is None
    assert "other weights" in caplog.text and "--pack" in caplog.text


def test_a_broken_file_is_passed_over(model_folder, caplog):
    path = pack(model_folder)
    path.write_bytes(path.read_bytes()[:1000])
    assert read(model_folder) is None
    assert "--pack" in caplog.text
    load(model_folder, dtype="int8")


def test_a_failed_write_leaves_nothing(model_folder, monkeypatch):
    monkeypatch.setattr(
        packed_file.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(ModelError, match="full"):
        pack(model_folder)
    assert not list(model_folder.glob(f"{packed_file.FILE}*"))
