"""Bases as training takes them up, and what it writes down."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from bp_core.errors import InputError
from bp_core.models.load import load, pack_folder
from bp_core.models.template import TEMPLATES
from tests.bp_core.models.test_gguf_file import IDS, SIZES, write
from tests.train.tiny_llama import tiny_llama, tiny_tokenizer
from train.models.causal import load_base, write_folder


def test_a_gguf_file_computes_and_reads_as_in_the_library(model_folder, networks):
    network = networks("llama", **SIZES)
    path = write(model_folder, network)
    model, tokenizer = load_base(str(path))
    torch.testing.assert_close(model(IDS).logits, network(IDS))
    text = "a cat in the garden <|expand|>, 8k"
    ids = load(model_folder, dtype="float32").tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids
    assert tokenizer.eos_token_id == 0
    with pytest.raises(InputError, match="no file"):
        load_base("none.gguf")


@pytest.mark.parametrize("kind", ["bloom", "llama", "gpt2"])
def test_a_packed_folder_can_be_trained_on(folders, tmp_path, kind):
    folder = pack_folder(folders(kind), tmp_path / "out", bits=8)
    model, tokenizer = load_base(str(folder))
    want = load(folder, dtype="float32").network(IDS)
    torch.testing.assert_close(model.eval()(IDS).logits, want, atol=1e-4, rtol=1e-4)
    assert tokenizer.eos_token_id == 0


@pytest.mark.parametrize("tied", [True, False])
def test_a_written_llama_is_the_one_that_is_read(tmp_path, tied):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer(), eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    model = tiny_llama(len(tokenizer), tied=tied)
    write_folder(model, tokenizer, TEMPLATES["dialects"], tmp_path, "float32")
    # The default of a Llama's config, and written all the same.
    assert json.loads((tmp_path / "config.json").read_text())["eos_token_id"] == 2
    assert ("lm_head.weight" in load_file(tmp_path / "model.safetensors")) != tied
    ids = torch.tensor([[7, 8, 9]])
    here, there = load(tmp_path, dtype="float32"), load_base(str(tmp_path))
    assert here.eos_id == there[1].eos_token_id == 2
    for network in (here.network, lambda ids: there[0](ids).logits):
        torch.testing.assert_close(network(ids), model(ids).logits)
