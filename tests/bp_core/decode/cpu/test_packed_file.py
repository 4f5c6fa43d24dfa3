"""packed_file.py: 8-bit weights on disk load to the same network, and never stand in for others."""

import json

import pytest
import torch

from bp_core.cli import main
from bp_core.decode.cpu import packed_file
from bp_core.decode.cpu.rounding import Rounded
from bp_core.decode.cpu.tensor_file import TensorFile
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


def test_a_file_without_a_part_is_passed_over(model_folder, caplog):
    from safetensors.torch import load_file, save_file

    path = pack(model_folder)
    tensors = load_file(path)
    tensors.pop("embedding.scales")
    save_file(tensors, path, {"source": fingerprint(model_folder)})
    assert read(model_folder) is None
    assert "not whole" in caplog.text and "--pack" in caplog.text


def test_weights_are_read_one_at_a_time_and_not_to_see_whether_they_are_there(
    model_folder, monkeypatch
):
    pack(model_folder)
    weights = read(model_folder)
    asked = []
    monkeypatch.setattr(
        TensorFile,
        "read",
        lambda self, name, own=TensorFile.read: asked.append(name) or own(self, name),
    )
    assert "embedding" in weights and "nothing" not in weights and not asked
    assert weights["embedding"].levels.dtype == torch.int8
    assert asked == ["embedding.levels", "embedding.scales"]
    load(model_folder, dtype="int8")
    assert len(asked) - 2 == len(set(asked)) == 2 * len(weights)


def test_a_file_that_shrinks_while_it_is_read_is_told(model_folder):
    path = pack(model_folder)
    weights = read(model_folder)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(ModelError, match="--pack") as caught:
        list(weights.values())
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_failed_write_leaves_nothing(model_folder, monkeypatch):
    monkeypatch.setattr(
        packed_file.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(ModelError, match="full"):
        pack(model_folder)
    assert not list(model_folder.glob(f"{packed_file.FILE}*"))
