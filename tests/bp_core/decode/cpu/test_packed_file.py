"""packed.py: 8-bit weights on disk load to the same network, and never stand in for others."""

import json

import pytest
import torch

from bp_core.cli import main
from bp_core.decode.cpu import fbgemm as quant
from bp_core.decode.cpu import packed_file as packed
from bp_core.errors import ModelError
from bp_core.models.load import load, load_bloom

pytestmark = pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="FBGEMM is for x86"
)
IDS = torch.tensor([[5, 6, 7, 8, 9]])


def write(folder):
    return packed.write(folder, load_bloom(folder, dtype="as stored")[0])


def test_the_command_keeps_weights_that_load_to_the_same_network(model_folder, capsys, monkeypatch):
    before = load(model_folder, dtype="int8").network(IDS)
    main(["models", "--pack", str(model_folder), "--json"])
    path = model_folder / packed.FILE
    assert json.loads(capsys.readouterr().out) == {"path": str(path)}
    monkeypatch.setattr(quant.Rounded, "of", lambda *_: pytest.fail("rounded again"))
    assert torch.equal(load(model_folder, dtype="int8").network(IDS), before)
    kept = torch.arange(0, 300, 2)
    trimmed = quant.pack(load_bloom(model_folder)[0], "int8", kept, packed.read(model_folder))
    assert torch.equal(trimmed(IDS)[..., kept], before[..., kept])


def test_weights_of_another_training_are_rounded_anew(model_folder, caplog):
    from safetensors.torch import load_file, save_file

    write(model_folder)
    file = next(model_folder.glob("model*.safetensors"))
    save_file({name: tensor + 1 for name, tensor in load_file(file).items()}, file)
    assert packed.read(model_folder) is None
    assert "other weights" in caplog.text and "--pack" in caplog.text


def test_a_broken_file_is_passed_over(model_folder, caplog):
    path = write(model_folder)
    path.write_bytes(path.read_bytes()[:1000])
    assert packed.read(model_folder) is None
    assert "--pack" in caplog.text
    load(model_folder, dtype="int8")


def test_a_failed_write_leaves_nothing(model_folder, monkeypatch):
    monkeypatch.setattr(packed.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(ModelError, match="full"):
        write(model_folder)
    assert not list(model_folder.glob(f"{packed.FILE}*"))
