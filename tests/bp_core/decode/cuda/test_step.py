"""step.py and nvrtc.py: our own kernels say what the network says; they run on a CUDA GPU only."""

import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from bp_core.decode.cuda import decoder, nvrtc
from bp_core.decode.cuda import step as own
from bp_core.decode.cuda.decoder import CudaNetwork, Step
from bp_core.decode.cuda.state import StaticState
from bp_core.decode.generate import Start, generate
from bp_core.decode.recall import Recall
from bp_core.decode.sampling import Sampler, SamplingParams
from bp_core.decode.transformer import KVCache, Transformer

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

# Layer norm of 384 numbers takes the path of large networks.
SHAPES = [
    {"n_head": 4, "head_dim": 8, "vocab_size": 97},
    {"n_head": 4, "head_dim": 96, "vocab_size": 203},
    {"n_head": 1, "head_dim": 128, "vocab_size": 40, "n_layer": 3},
]


def halved(bloom, dtype, **shape) -> tuple[Transformer, Transformer]:
    """A network in half precision, and the same weights in double precision."""
    network = bloom(**shape)
    for parameter in network.parameters():
        if parameter.ndim == 2:
            parameter.data *= min(1.0, (32 / parameter.shape[1]) ** 0.5)
    network = network.to("cuda", dtype)
    exact = [(name, tensor.data.double()) for name, tensor in network.tensors()]
    return network, Transformer.from_tensors(network.config, exact)


def begun(network, prompts, params=None, steps=64) -> tuple[Step, KVCache]:
    """A decoding by our kernels whose prompts are read, and their cache."""
    logits, cache = network.prefill(prompts, steps)
    rows = len(prompts)
    history = torch.zeros(rows, cache.length + steps, dtype=torch.long, device="cuda")
    start = Start(logits, cache, history, history[:, :0], torch.rand(rows, steps, device="cuda"))
    sampler = Sampler(params or SamplingParams(), (), "cuda")
    state = StaticState(network, sampler, -1, cache.length + steps, start)
    step = Step(state, own.OwnStep(network, rows))
    step.begin(start)
    return step, cache


@needs_cuda
@pytest.mark.parametrize("rows", [1, 2, 8])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_are_the_networks(bloom, shape, dtype, rows):
    network, exact = halved(bloom, dtype, **shape)
    size = network.vocab_size
    prompts = [[(7 * row + i) % size for i in range(3 + 5 * row)] for row in range(rows)]
    step, _ = begun(network, prompts)
    state = step.state
    double = exact.prefill(prompts, 64)[1]
    for token in (5, 0, size - 1):
        state.ids.fill_(token)
        state.logits.fill_(torch.nan)
        step.kernels.read(state)
        want = exact.step(state.ids, double)
        error = (state.logits - want).norm() / want.norm()
        assert error < (0.02 if dtype == torch.bfloat16 else 0.003)
        assert torch.equal(state.scores, state.logits)
        total = step.kernels.parts.logsumexp(1)
        assert torch.allclose(total, state.logits.logsumexp(1), atol=1e-4)
        tiles = step.kernels.maxima.repeat_interleave(16, 1)[:, :size]
        assert (tiles >= state.logits).all()
    assert int(state.step) == 3
    assert int(state.length) == double.length


@needs_cuda
@pytest.mark.parametrize(
    ("options", "vocabulary"),
    [
        ({}, 97),
        ({}, 5003),
        ({"temperature": 0}, 97),
        ({"temperature": 0, "repetition_penalty": 1.3}, 5003),
        ({"top_k": 1}, 97),
        ({"top_k": 64, "top_p": 1.0, "temperature": 2.0}, 70001),
        ({"top_p": 0.5, "repetition_penalty": 1.0, "min_new_tokens": 20}, 97),
        ({"recall": 4.0, "penalise_prompt": False}, 97),
    ],
)
def test_tokens_are_the_samplers(bloom, monkeypatch, options, vocabulary):
    network = bloom(4, 8, 2, vocabulary).to("cuda").half()
    params = SamplingParams(**{"temperature": 1.3, "max_new_tokens": 40} | options)

    def written():
        return generate(
            CudaNetwork(network, alone=True), [[5, 6, 7, 8, 9], [10, 11]],
            eos=3, n=3, seed=5, params=params,
            blocked=[(1,), (2, 4), (4, 4, 9), (12, 13, 14)], wanted=[[[20, 21], [22]], [[30]]],
        )  # fmt: skip

    ours = written()
    monkeypatch.setattr(decoder, "can_choose", lambda *args: False)
    for several, others in zip(ours, written(), strict=True):
        for one, other in zip(several, others, strict=True):
            assert one.tokens == other.tokens
            assert one.finished == other.finished
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)


@needs_cuda
def test_more_high_scores_than_there_is_room_for(bloom):
    network = bloom(4, 8, 2, 2**16).to("cuda").half()
    params = SamplingParams(temperature=10, repetition_penalty=1, top_p=1.0)
    step, _ = begun(network, [[5, 6], [7]], params)
    state = step.state
    at = torch.arange(2**16, device="cuda")
    # The shares of fifty threads, each of 64 scores, are all higher than the rest.
    high = torch.where(at // 16 % 1024 < 50, 100.0, 0.0) + at / 2**16
    for scores, top in ((high, high.topk(50).indices), (torch.ones_like(high), at)):
        for chance in (0.0, 0.3, 0.999):
            state.logits.copy_(scores)
            state.scores.copy_(scores)
            step.kernels.begin(state.logits)
            state.chance.fill_(chance)
            step.kernels.choose(state)
            assert torch.isin(state.ids, top).all()


@needs_cuda
@pytest.mark.parametrize("n", [1, 5])
def test_greedy_text_is_as_likely_as_any(bloom, n):
    network, exact = halved(bloom, torch.float16, **SHAPES[1])
    decoding = CudaNetwork(network)
    params = SamplingParams(temperature=0, repetition_penalty=1, max_new_tokens=40)
    for prompt in ([5, 6, 7], list(range(90))):  # the second one goes beyond a bucket of 64
        for one in generate(decoding, [prompt], eos=-1, n=n, params=params)[0]:
            ids = torch.tensor([prompt + one.tokens], device="cuda")
            logprobs = exact(ids)[0, len(prompt) - 1 : -1].log_softmax(1)
            chosen = logprobs.gather(1, ids[0, len(prompt) :, None])[:, 0]
            assert (logprobs.amax(1) - chosen).max() < 0.02
            assert one.logprobs == pytest.approx(chosen.tolist(), abs=0.02)


@needs_cuda
def test_many_tokens_of_attention(bloom):
    network, exact = halved(bloom, torch.float16, **SHAPES[1])
    prompt = [i * i % 203 for i in range(700)]
    step, _ = begun(network, [prompt])
    state = step.state
    double = exact.prefill([prompt], 64)[1]
    step.kernels.read(state)
    want = exact.step(state.ids, double)
    assert (state.logits - want).norm() / want.norm() < 0.003


@needs_cuda
def test_what_does_not_fit(bloom):
    network = bloom(**SHAPES[0]).to("cuda")
    assert not own.fits(network, 1)  # float32
    assert not own.fits(network.half(), 9)
    assert own.fits(network, 8)
    assert not own.fits(bloom(head_dim=4, n_head=8).to("cuda").half(), 1)
    part = network.blocks[0].feed_forward
    part.up = torch.nn.Sequential(part.up)
    assert not own.fits(network, 1)


@needs_cuda
def test_an_error_of_the_compiler_is_told():
    with pytest.raises(nvrtc.KernelError, match="NVRTC: kernels"):
        nvrtc.Kernels('extern "C" __global__ void one() { two(); }', {}, torch.device("cuda"))


@needs_cuda
def test_without_a_compiler_decoding_goes_on(bloom, monkeypatch, caplog):
    def missing(*args):
        raise nvrtc.KernelError("libnvrtc.so.13 is not to be found")

    monkeypatch.setattr(own, "kernels", missing)
    network = CudaNetwork(bloom(**SHAPES[0]).to("cuda").half())
    assert len(generate(network, [[1, 2]], eos=-1, n=1)[0][0].tokens) == 64
    assert "not to be found" in caplog.text


class Torch:
    """Stands for our kernels on a CPU: PyTorch's, and an error."""

    def __init__(self, error=0.0, ids=0):
        self.error, self.ids = error, ids
        self.parts = None

    def begin(self, logits):
        self.parts = logits

    def choose(self, state):
        state.choose(state.logits.logsumexp(1))
        state.ids.add_(self.ids)

    def read(self, state):
        state.read()
        self.parts = state.logits
        state.logits.mul_(1 + self.error)


@pytest.mark.parametrize(
    ("wrong", "found"), [({}, False), ({"error": 0.2}, True), ({"ids": 1}, True)]
)
def test_kernels_that_err_are_found_out(bloom, wrong, found):
    network = bloom()
    logits, cache = network.prefill([[5, 6, 7], [8]], 64)
    history = torch.zeros(2, cache.length + 64, dtype=torch.long)
    start = Start(logits, cache, history, history[:, :0], torch.rand(2, 64))
    sampler = Sampler(SamplingParams(), ())
    step = Step(StaticState(network, sampler, -1, 128, start), Torch(**wrong))
    with pytest.raises(nvrtc.KernelError, match="on this GPU") if found else nullcontext():
        decoder._check(step, start)


def test_kernels_get_what_they_take(bloom, monkeypatch):
    """Numbers and kinds of arguments, as far as that can be told without a GPU."""
    types = {
        torch.float32: "float",
        torch.half: "half_t",
        torch.long: "long long",
        torch.bool: "bool",
    }
    source = Path(own.__file__).with_name("step.cu").read_text()
    pattern = r'extern "C" __global__ void __launch_bounds__\([^\n]*\)\n(\w+)\(([^)]*)\)'
    takes = {name: args.split(",") for name, args in re.findall(pattern, source)}
    launched = []

    class Kernels:
        def __init__(self, *args):
            pass

        def launch(self, name, grid, block, *args, shared, early):
            assert len(args) == len(takes[name]), name
            for arg, taken in zip(args, takes[name]):
                kind = taken.replace("const", "").rsplit(maxsplit=1)[0].strip()
                if isinstance(arg, int):
                    assert kind == "int", (name, taken)
                else:
                    assert kind == types[arg.dtype] + "*", (name, taken)
                    assert arg.is_contiguous(), (name, taken)
            launched.append(name)

    class Properties:
        major, multi_processor_count = 9, 3

    monkeypatch.setattr(own, "kernels", Kernels)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    network = bloom(**SHAPES[1]).half()
    logits, cache = network.prefill([[5, 6, 7], [8]], 64)
    history = torch.zeros(2, cache.length + 64, dtype=torch.long)
    recall = Recall.of([[[20, 21]], [[30]]], 4.0)
    start = Start(logits, cache, history, history[:, :1], torch.rand(2, 64), recall)
    sampler = Sampler(SamplingParams(), ((1,), (2, 4)))
    kernels = own.OwnStep(network, 2)
    Step(StaticState(network, sampler, -1, 128, start), kernels).advance()
    layer = ["project", "attend", "add_attention", "widen", "narrow"]
    assert launched == ["choose", "embed", *2 * layer, "predict"]
    assert set(launched) == set(takes)


def test_nothing_fits_a_cpu(bloom):
    assert not own.fits(bloom().half(), 1)


def test_a_torch_without_cuda_is_told_of(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    nvrtc._library.cache_clear()
    with pytest.raises(nvrtc.KernelError, match="without CUDA"):
        nvrtc.compiled("", (), "sm_90")
