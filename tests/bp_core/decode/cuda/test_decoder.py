"""decoder.py: the static step writes what the ordinary loop writes; on CUDA, captured as well."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from bp_core.decode.cuda import decoder
from bp_core.decode.cuda.decoder import CudaNetwork
from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams
from bp_core.errors import Cancelled

PROMPTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]
PARAMS = SamplingParams(temperature=1.5, repetition_penalty=1.2, max_new_tokens=24)
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
    ),
]


@pytest.fixture(params=DEVICES)
def network(request, bloom):
    return CudaNetwork(bloom(vocab_size=15).to(request.param), alone=True)


def texts(network, prompts=PROMPTS, **options):
    options = {"eos": 3, "n": 4, "seed": 7, "params": PARAMS} | options
    return [[one.tokens for one in each] for each in generate(network, prompts, **options)]


def plain_texts(network, *args, **options):
    return texts(network.model, *args, **options)


def test_same_text_as_the_ordinary_loop(network):
    for prompts in (PROMPTS, PROMPTS[:1], PROMPTS):
        for seed in (1, 2):
            assert texts(network, prompts, seed=seed) == plain_texts(network, prompts, seed=seed)


def test_same_log_probabilities(network):
    graph = generate(network, PROMPTS, eos=3, params=PARAMS)
    for each, others in zip(
        graph, generate(network.model, PROMPTS, eos=3, params=PARAMS), strict=True
    ):
        for one, other in zip(each, others, strict=True):
            assert one.finished == other.finished
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_blocked_sequences_and_greedy(network):
    for options in (
        {"blocked": [(1, 2), (4,), (2, 2, 5)]},
        {"params": SamplingParams(temperature=0, max_new_tokens=30), "n": 1},
    ):
        assert texts(network, **options) == plain_texts(network, **options)


def test_the_end_waits_for_the_shortest_output(network):
    params = SamplingParams(max_new_tokens=12, min_new_tokens=9)
    assert texts(network, params=params) == plain_texts(network, params=params)


def test_callback_and_cancel(network):
    seen = []
    texts(network, eos=-5, on_token=lambda step, ids: seen.append(ids.tolist()))
    assert len(seen) == 24

    def cancel(step, ids):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        texts(network, on_token=cancel)
    assert texts(network) == plain_texts(network)


def test_two_networks_in_turn(network, bloom):
    other = CudaNetwork(bloom(vocab_size=15, seed=1).to(network.device), alone=True)
    for _ in range(2):
        assert texts(network) == plain_texts(network)
        assert texts(other) == plain_texts(other)


def test_moved_weights_are_captured_anew(network):
    before = texts(network)
    kept = [p.data for p in network.model.parameters()]  # so that no address is used again
    for parameter in network.model.parameters():
        parameter.data = parameter.data * 1.5
    assert texts(network) == plain_texts(network) != before
    assert len(kept) == len(list(network.model.parameters()))


def test_beside_others_only_our_own_kernels_are_captured(network):
    network = CudaNetwork(network.model)
    assert texts(network) == plain_texts(network)
    assert not network._states  # float32 is not for our kernels
    assert not network._prompts


def test_two_threads_with_one_network(network):
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda seed: texts(network, seed=seed), range(6)))
    assert found == [texts(network, seed=seed) for seed in range(6)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_weights_that_learn_under_autocast(bloom):
    network = CudaNetwork(bloom(vocab_size=15).to("cuda").requires_grad_(True), alone=True)
    for _ in range(3):
        with torch.autocast("cuda", torch.bfloat16):
            found = generate(network, PROMPTS, eos=-1, n=2, seed=7, params=PARAMS)
            junk = [torch.randn(64, 64, device="cuda") for _ in range(50)]
            for prompt, several in zip(PROMPTS, found):
                for one in several:
                    ids = torch.tensor([prompt + one.tokens], device="cuda")
                    with torch.no_grad():
                        logits = network.model(ids)[0, len(prompt) - 1 : -1].float()
                    exact = logits.log_softmax(1).gather(1, ids[0, len(prompt) :, None])
                    assert one.logprobs == pytest.approx(exact[:, 0].tolist(), abs=0.1)
        with torch.no_grad():
            for parameter in network.model.parameters():
                parameter += 0.3 * torch.randn_like(parameter) * parameter.abs()
        del junk


def test_states_do_not_pile_up(network):
    for n in range(1, 9):
        texts(network, [[5] * 17 * n], n=n)
    assert len(network._states) <= 4
    assert len(network._prompts) <= 4


def test_prompts_of_any_length(network):
    for length in (1, 2, 15, 16, 17, 33, 300):
        prompt = [[5 + i % 7 for i in range(length)]]
        assert texts(network, prompt) == plain_texts(network, prompt)


def test_what_is_given_back_is_made_again(network):
    before = texts(network, PROMPTS[:1])
    network.release()
    assert not network._states
    assert texts(network, PROMPTS[:1]) == before


def test_without_captures_decoding_goes_on(network, monkeypatch, caplog):
    def fails(*args):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(decoder, "_capture", fails)
    assert texts(network) == plain_texts(network)
    assert ("not permitted" in caplog.text) == (network.device.type == "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_beside_a_thread_that_renders(bloom):
    network = CudaNetwork(bloom(4, 8, vocab_size=97).to("cuda").half())
    stop, errors = threading.Event(), []

    def render():
        try:
            with torch.cuda.stream(torch.cuda.Stream()):
                while not stop.is_set():
                    x = torch.randn(512, 512, device="cuda")
                    assert float((x @ x).sum()) < 1e9
        except Exception as error:
            errors.append(error)

    before = texts(network, n=2)
    thread = threading.Thread(target=render)
    thread.start()
    try:
        for n in (1, 2, 3, 5, 6, 7):
            network.release()
            assert len(texts(network, n=n)[0]) == n
        assert texts(network, n=2) == before
    finally:
        stop.set()
        thread.join()
    assert not errors


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("make", ["llama", "gpt2"])
def test_other_networks(device, make, networks):
    network = CudaNetwork(networks(make).to(device), alone=True)
    for prompts in (PROMPTS, PROMPTS[:1]):
        assert texts(network, prompts) == plain_texts(network, prompts)
