"""llama.py and gpt2.py against transformers: logits, gradients of places, texts, refusals."""

import pytest
import torch

from bp_core.decode import families
from bp_core.decode.config import Unsupported
from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams
from bp_core.decode.transformer import Transformer
from bp_core.errors import ModelError

transformers = pytest.importorskip("transformers")

SIZES = {
    "vocab_size": 97, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 4,
    "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "initializer_range": 0.2,
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 100.0, "factor": 4.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
}  # fmt: skip
LINEAR = {"rope_type": "linear", "rope_theta": 100.0, "factor": 2.0}
# (class of the model, of its config, what its config adds)
CASES = {
    "llama": ("Llama", {}),
    "llama, tied": ("Llama", {"tie_word_embeddings": True}),
    "llama, a key a head": ("Llama", {"num_key_value_heads": 6}),
    "llama, one key": ("Llama", {"num_key_value_heads": 1}),
    "llama, biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama, llama3": ("Llama", {"rope_parameters": LLAMA3}),
    "llama, linear": ("Llama", {"rope_parameters": LINEAR}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "qwen2": ("Qwen2", {}),
    "qwen2, tied": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "smollm3": ("SmolLM3", {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}),
    "gpt2": ("GPT2", {}),
    "gpt2, wide": ("GPT2", {"n_inner": 100, "tie_word_embeddings": False}),
}
PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [10, 11], [12, 13, 14, 15]]


def reference(case):
    """transformers' model, every parameter random, and the fields of its config.json."""
    name, changes = CASES[case]
    sizes = SIZES
    if name == "GPT2":
        sizes = {"vocab_size": 97, "n_embd": 48, "n_layer": 3, "n_head": 6, "n_positions": 512}
    config = getattr(transformers, f"{name}Config")(**{**sizes, **changes})
    architecture = "LMHeadModel" if name == "GPT2" else "ForCausalLM"
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}{architecture}")(config).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=0.15)
        if parameter.ndim == 1 and name.endswith("weight"):
            parameter.data += 1
    return model.requires_grad_(False), config.to_dict()


def ours(model, fields):
    return Transformer.from_tensors(families.from_hf(fields), model.state_dict().items())


@pytest.fixture(params=CASES)
def pair(request):
    model, fields = reference(request.param)
    return model, ours(model, fields)


def test_logits_equal_transformers(pair):
    model, network = pair
    ids = torch.randint(0, 97, (3, 40), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(ids), model(ids).logits, atol=1e-4, rtol=0)


def test_greedy_text_is_transformers_with_padding_and_all(pair):
    model, network = pair
    params = SamplingParams(temperature=0, repetition_penalty=1, max_new_tokens=12)
    for prompt, [one] in zip(PROMPTS, generate(network, PROMPTS, eos=-1, n=1, params=params)):
        theirs = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False, max_new_tokens=12, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        assert one.tokens == theirs[0, len(prompt) :].tolist()


def test_padding_on_either_side_changes_nothing(pair):
    _, network = pair
    long, short = [4, 5, 6, 7, 8], [9, 10]
    for padded, mask, real in (
        ([0, 0, 0, *short], [0, 0, 0, 1, 1], slice(3, 5)),
        ([*short, 0, 0, 0], [1, 1, 0, 0, 0], slice(0, 2)),
    ):
        hidden = network.hidden(torch.tensor([long, padded]), torch.tensor([[1] * 5, mask]))
        alone = network.hidden(torch.tensor([short]))[0]
        torch.testing.assert_close(hidden[1, real], alone, atol=2e-5, rtol=0)


def test_weights_go_back_into_a_checkpoint(pair):
    model, network = pair
    state = model.state_dict()
    tied = network.config.tied
    expected = {n for n in state if not (tied and n == "lm_head.weight")}
    written = dict(network.tensors())
    assert set(written) == expected
    assert all(torch.equal(tensor, state[name]) for name, tensor in written.items())


@pytest.mark.parametrize("case", ["llama", "qwen3", "gpt2", "smollm3"])
def test_candidates_of_one_seed(case):
    network = ours(*reference(case))
    many = generate(network, PROMPTS, eos=3, n=6, seed=7)
    few = generate(network, PROMPTS[1:2], eos=3, n=2, seed=7)
    assert [one.tokens for one in few[0]] == [one.tokens for one in many[1][:2]]


LLAMA = {"model_type": "llama", **SIZES}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "mixtral"}, "mixtral"),
        ({"model_type": "mistral", "sliding_window": 4096}, "sliding windows"),
        ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 9}, "sliding"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "scaled as 'dynamic'"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "scaled as 'yarn'"),
        ({"hidden_act": "gelu"}, "gelu units"),
    ],
)
def test_what_we_do_not_build_is_left_to_transformers(change, says):
    with pytest.raises(Unsupported, match=says):
        families.from_hf({**LLAMA, **change})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_key_value_heads": 4}, "cannot be shared by 4"),
        ({"hidden_size": "wide"}, "hidden_size as 'wide'"),
        ({"rope_scaling": "long"}, "rope_scaling as 'long'"),
        ({"rope_scaling": {"type": "linear"}}, "names no 'factor'"),
    ],
)
def test_broken_configs_are_told(change, says):
    with pytest.raises(ModelError, match=says) as caught:
        families.from_hf({**LLAMA, **change})
    assert not isinstance(caught.value, Unsupported)
