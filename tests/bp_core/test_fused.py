"""fused.py and nvrtc.py: our own kernels say what the network says; they run on a CUDA GPU only."""

import pytest
import torch

from bp_core import fused, nvrtc
from bp_core.bloom import Bloom
from bp_core.generate import generate
from bp_core.graph import GraphDecoder
from bp_core.sampling import SamplingParams

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

# Layer norm of 384 numbers takes the path of large networks.
SHAPES = [
    {"n_head": 4, "head_dim": 8, "vocab_size": 97},
    {"n_head": 4, "head_dim": 96, "vocab_size": 203},
    {"n_head": 1, "head_dim": 128, "vocab_size": 40, "n_layer": 3},
]


def halved(bloom, dtype, **shape) -> tuple[Bloom, Bloom]:
    """A network in half precision, and the same weights in double precision."""
    network = bloom(**shape)
    for parameter in network.parameters():
        if parameter.ndim == 2:
            parameter.data *= min(1.0, (32 / parameter.shape[1]) ** 0.5)
    network = network.to("cuda", dtype)
    exact = [(name, p.data.double()) for name, p in network.named_parameters()]
    return network, Bloom.from_tensors(network.config, exact)


@needs_cuda
@pytest.mark.parametrize("rows", [1, 2, 8])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_are_the_networks(bloom, shape, dtype, rows):
    network, exact = halved(bloom, dtype, **shape)
    assert fused.fits(network, rows)
    size = network.vocab_size
    prompts = [[(7 * row + i) % size for i in range(3 + 5 * row)] for row in range(rows)]
    cache = network.prefill(prompts, 64)[1]
    double = exact.prefill(prompts, 64)[1]
    step = fused.FusedStep(network, rows)
    pad = torch.zeros(rows, dtype=torch.long, device="cuda") if cache.pad is None else cache.pad
    length = torch.full((1,), cache.length, device="cuda")
    for token in (5, 0, size - 1):
        ids = torch.full((rows,), token, device="cuda")
        logits = torch.full((rows, size), torch.nan, device="cuda")
        step(ids, cache.data, length, pad, logits)
        length += 1
        want = exact.step(ids, double)
        error = (logits - want).norm() / want.norm()
        assert error < (0.02 if dtype == torch.bfloat16 else 0.003)
        total = step.parts.logsumexp(1)
        assert torch.allclose(total, logits.logsumexp(1), atol=1e-4)


@needs_cuda
@pytest.mark.parametrize("n", [1, 5])
def test_greedy_text_is_as_likely_as_any(bloom, n):
    network, exact = halved(bloom, torch.float16, **SHAPES[1])
    network.decoder = GraphDecoder()
    params = SamplingParams(temperature=0, repetition_penalty=1, max_new_tokens=40)
    for prompt in ([5, 6, 7], list(range(90))):  # the second one goes beyond a bucket of 64
        for one in generate(network, [prompt], eos=-1, n=n, params=params)[0]:
            ids = torch.tensor([prompt + one.tokens], device="cuda")
            logprobs = exact(ids)[0, len(prompt) - 1 : -1].log_softmax(1)
            chosen = logprobs.gather(1, ids[0, len(prompt) :, None])[:, 0]
            assert (logprobs.amax(1) - chosen).max() < 0.02
            assert one.logprobs == pytest.approx(chosen.tolist(), abs=0.02)


@needs_cuda
def test_many_tokens_of_attention(bloom):
    network, exact = halved(bloom, torch.float16, **SHAPES[1])
    prompt = [i * i % 203 for i in range(700)]
    cache = network.prefill([prompt], 64)[1]
    double = exact.prefill([prompt], 64)[1]
    ids = torch.tensor([9], device="cuda")
    logits = torch.zeros(1, 203, device="cuda")
    pad = torch.zeros(1, dtype=torch.long, device="cuda")
    length = torch.full((1,), 700, device="cuda")
    fused.FusedStep(network, 1)(ids, cache.data, length, pad, logits)
    want = exact.step(ids, double)
    assert (logits - want).norm() / want.norm() < 0.003


@needs_cuda
def test_what_does_not_fit(bloom):
    network = bloom().to("cuda")
    assert not fused.fits(network, 1)  # float32
    assert not fused.fits(network.half(), 9)
    assert fused.fits(network, 8)
    assert not fused.fits(bloom(head_dim=4, n_head=8).to("cuda").half(), 1)
    network.h[0].mlp.dense_h_to_4h = torch.nn.Sequential(network.h[0].mlp.dense_h_to_4h)
    assert not fused.fits(network, 1)


@needs_cuda
def test_an_error_of_the_compiler_is_told():
    with pytest.raises(nvrtc.KernelError, match="kernels.cu"):
        nvrtc.Kernels("this is no C++", {}, torch.device("cuda"))


@needs_cuda
def test_without_a_compiler_decoding_goes_on(bloom, monkeypatch, caplog):
    def missing(*args):
        raise nvrtc.KernelError("libnvrtc.so.13 is not to be found")

    monkeypatch.setattr(fused, "Kernels", missing)
    network = bloom().to("cuda").half()
    network.decoder = GraphDecoder()
    assert len(generate(network, [[1, 2]], eos=-1, n=1)[0][0].tokens) == 64
    assert "not to be found" in caplog.text


def test_nothing_fits_a_cpu(bloom):
    assert not fused.fits(bloom().half(), 1)


def test_a_torch_without_cuda_is_told_of(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    nvrtc._library.cache_clear()
    with pytest.raises(nvrtc.KernelError, match="without CUDA"):
        nvrtc.compiled("", (), "sm_90")
