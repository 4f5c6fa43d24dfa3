"""trim.py: a trimmed head is the whole one over fewer tokens, and every row keeps its own."""

import pytest
import torch

from bp_core.decode.cpu import fbgemm as quant
from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams
from bp_core.models.load import load
from bp_core.trim import TrimmedHead, prompt_tokens

KEPT = torch.arange(0, 60)
PROMPTS = [[5, 70, 7], [6, 80], [8, 9]]

needs_packing = pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="FBGEMM is for x86"
)


def plain(weight, bias):
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = torch.nn.Parameter(weight, requires_grad=False)
    return layer


def test_the_kept_tokens_and_a_prompts_own_have_the_whole_heads_logits(bloom):
    network = bloom()
    whole, _ = network.prefill(PROMPTS, room=1)
    network.head = TrimmedHead(network.word_embeddings.weight, KEPT, plain)
    trimmed, cache = network.prefill(PROMPTS, room=1)
    allowed = torch.zeros(3, 97, dtype=torch.bool)
    allowed[:, :60] = True
    allowed[0, 70] = allowed[1, 80] = True
    torch.testing.assert_close(trimmed[allowed], whole[allowed])
    assert (trimmed[~allowed] == -torch.inf).all()
    stepped = network.step(torch.tensor([1, 1]), cache.select(torch.tensor([2, 1])))
    assert stepped[0, 60:].max() == -torch.inf
    assert stepped[1, 60:].isfinite().nonzero()[:, 0].tolist() == [20]


@needs_packing
@pytest.mark.parametrize("kind", quant.KINDS)
def test_only_allowed_tokens_are_written(bloom, kind):
    network = quant.pack(bloom(), kind, kept=KEPT)
    network.fast_advance.traced_after = 10
    params = SamplingParams(temperature=3, top_k=0, top_p=1, repetition_penalty=1.1)
    for prompt, each in zip(
        PROMPTS, generate(network, PROMPTS, eos=-5, n=8, params=params), strict=True
    ):
        own = {i for i in prompt if i >= 60}
        written = {i for one in each for i in one.tokens}
        assert own <= {i for i in written if i >= 60} <= own
        assert all(torch.tensor(one.logprobs).isfinite().all() for one in each)
        alone = generate(network, [prompt], eos=-5, n=8, params=params)[0]
        assert [one.tokens for one in alone] == [one.tokens for one in each]


def test_prompt_tokens_are_latin_signs_and_bytes(model_folder):
    tokenizer = load(model_folder).tokenizer
    kept = set(prompt_tokens(tokenizer).tolist())
    assert tokenizer.token_to_id("</s>") in kept
    for text in ("a cat, 8k (sharp:1.2)", "café", "東京 🙂"):
        parts = tokenizer.encode(text).ids
        assert set(parts) <= kept, "all of this tokenizer's tokens are Latin or single bytes"


@needs_packing
def test_loading_trimmed(model_folder):
    head = load(model_folder, trim=True).network.head
    assert torch.equal(head.kept, prompt_tokens(load(model_folder).tokenizer))


def test_tokens_of_other_scripts_are_left_out():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocab = {token: i for i, token in enumerate(["a", "Ġcat", "æĿ±", "æ", "</s>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    assert prompt_tokens(tokenizer).tolist() == [0, 1, 3, 4]
