"""transformers_network.py: transformers' own models give what ours give, seed for seed."""

import json

import pytest
import torch

from bp_core.decode import transformers_network as hf
from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams
from bp_core.errors import ModelError
from bp_core.models.load import load

transformers = pytest.importorskip("transformers")

PROMPTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]
PARAMS = SamplingParams(temperature=1.5, max_new_tokens=20)


def test_the_same_text_as_bloom(bloom):
    network = bloom(vocab_size=15)
    c = network.config
    config = transformers.BloomConfig(
        vocab_size=c.vocab_size, hidden_size=c.hidden_size, n_layer=c.n_layer, n_head=c.n_head
    )
    model = transformers.BloomForCausalLM(config).eval()
    model.load_state_dict(dict(network.tensors()), strict=False)
    ours = generate(network, PROMPTS, eos=3, n=6, params=PARAMS)
    theirs = generate(hf.HFNetwork(model), PROMPTS, eos=3, n=6, params=PARAMS)
    assert [[o.tokens for o in each] for each in ours] == [
        [o.tokens for o in each] for each in theirs
    ]


@pytest.fixture
def neox_folder(model_folder):
    """A network that our decoder does not build."""
    config = transformers.GPTNeoXConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.GPTNeoXForCausalLM(config).save_pretrained(model_folder)
    return model_folder


def test_padded_rows_of_a_model_with_positions(neox_folder):
    network = load(neox_folder).network
    params = SamplingParams(temperature=0, repetition_penalty=1, max_new_tokens=10)
    for prompt, ours in zip(
        PROMPTS, generate(network, PROMPTS, eos=0, n=1, params=params), strict=True
    ):
        theirs = network.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False, max_new_tokens=10, eos_token_id=0, pad_token_id=1,
        )  # fmt: skip
        assert ours[0].tokens + [0] * ours[0].finished == theirs[0, len(prompt) :].tolist()


def test_without_transformers_the_error_names_it(neox_folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ModelError, match="install transformers"):
        load(neox_folder)


def test_what_transformers_cannot_load(neox_folder):
    config = json.loads((neox_folder / "config.json").read_text())
    (neox_folder / "config.json").write_text(json.dumps(config | {"model_type": "nonsense"}))
    with pytest.raises(ModelError, match="choose another model"):
        load(neox_folder)
