"""packed.py: folders of packed weights alone load like the models that they were made of."""

import json

import pytest
import torch

from bp_core.decode.generate import generate
from bp_core.decode.transformer import Transformer
from bp_core.errors import ModelError
from bp_core.models.checkpoint import PACKED
from bp_core.models.load import load, pack_folder

IDS = torch.tensor([[5, 6, 7, 8]])
FOLDERS = {
    "bloom": ("bloom", {}),
    "llama": ("llama", {"tie_word_embeddings": True}),
    "llama, untied": ("llama", {}),
    "qwen3": ("qwen3", {"head_dim": 32, "tie_word_embeddings": True}),
    "gpt2": ("gpt2", {}),
}


@pytest.fixture(params=FOLDERS)
def source(request, folders):
    kind, changes = FOLDERS[request.param]
    return folders(kind, **changes)


@pytest.mark.parametrize(
    ("bits", "group", "tables", "error"),
    [(8, 32, 8, 0.03), (4, 32, 8, 0.3), (4, 64, 8, 0.35), (4, 64, 4, 0.4)],
)
def test_a_packed_folder_loads_for_any_device(source, tmp_path, bits, group, tables, error):
    before = load(source, dtype="float32")
    folder = pack_folder(source, tmp_path / "out", bits, group, tables)
    assert {file.name for file in folder.iterdir()} == {
        PACKED, "config.json", "tokenizer.json", "beautifulprompt.json",
    }  # fmt: skip
    want = before.network(IDS)
    plain = load(folder, dtype="float32")
    assert isinstance(plain.network, Transformer) and plain.network.dtype == torch.float32
    assert (plain.network(IDS) - want).norm() / want.norm() < error
    packed = load(folder)
    assert packed.network.kind == "int8"
    exact = plain.network(IDS)
    assert (packed.network.model(IDS) - exact).norm() / exact.norm() < 0.05
    assert packed.template == before.template and packed.special_ids == before.special_ids
    assert generate(packed.network, [[5, 6], [7]], eos=packed.eos_id, n=2)


def test_each_engine_reads_it(source, tmp_path, monkeypatch):
    from bp_core.decode.cpu import engine

    folder = pack_folder(source, tmp_path / "out")
    want = load(folder, dtype="float32").network(IDS)
    for name in ("fbgemm", "numba"):
        if name == "numba":
            pytest.importorskip("numba")
        monkeypatch.setattr(engine, "_choose", lambda *args, name=name: name)
        network = load(folder).network
        assert (network.model(IDS) - want).norm() / want.norm() < 0.05
        logits, _ = network.prefill(IDS.tolist(), 1)
        assert (logits - want[:, -1]).norm() / want[:, -1].norm() < 0.05


def test_a_packed_folder_keeps_what_lies_beside_the_weights(folders, tmp_path):
    source = folders("llama")
    # As tokenizers 0.13 reads it, and today's would not write it.
    told = json.dumps(json.loads((source / "tokenizer.json").read_text()), indent=7)
    (source / "tokenizer.json").write_text(told)
    (source / "concepts.txt").write_text("cat | creature | look: soft fur\n")
    fields = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(fields | {"_name_or_path": "/home/me/x"}))
    folder = pack_folder(source, tmp_path / "out")
    assert (folder / "tokenizer.json").read_text() == told
    assert (folder / "concepts.txt").read_text() == (source / "concepts.txt").read_text()
    assert json.loads((folder / "config.json").read_text()) == fields


def test_packing_again_changes_nothing(folders, tmp_path):
    one = pack_folder(folders("llama"), tmp_path / "one")
    two = pack_folder(one, tmp_path / "two")
    first, again = (load(f, dtype="float32").network(IDS) for f in (one, two))
    torch.testing.assert_close(first, again, atol=0.02, rtol=0)


def test_broken_files_are_told(folders, tmp_path):
    folder = pack_folder(folders("llama"), tmp_path / "out")
    whole = (folder / PACKED).read_bytes()
    for size in (5, 1000, len(whole) - 100):
        (folder / PACKED).write_bytes(whole[:size])
        with pytest.raises(ModelError, match=r"truncated|broken") as caught:
            load(folder)
        assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    (folder / PACKED).write_bytes(whole)
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(fields | {"num_hidden_layers": 3}))
    with pytest.raises(ModelError, match="are missing"):
        load(folder)
    with pytest.raises(ModelError, match="no packing of 3 and 8 bits"):
        pack_folder(folders("llama"), tmp_path / "other", bits=3)
    assert not list((tmp_path / "other").glob("*"))
