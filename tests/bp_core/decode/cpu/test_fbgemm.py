"""fbgemm.py: packed layers against plain ones, row by row."""

import pytest
import torch

from bp_core.decode.cpu import engine
from bp_core.decode.cpu.fbgemm import FbgemmNetwork, HalfLinear, Int8Linear
from bp_core.decode.cpu.rounding import Rounded
from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams

pytestmark = pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="FBGEMM is for x86"
)

PROMPTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]


def linear(outputs=48, inputs=96):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(outputs, inputs, generator=generator),
        torch.randn(outputs, generator=generator),
        torch.randn(5, 3, inputs, generator=generator) * torch.logspace(-3, 3, 5)[:, None, None],
    )


@pytest.mark.parametrize("with_bias", [True, False])
def test_half_precision_weights_are_multiplied_exactly(with_bias):
    weight, bias, x = linear()
    weight = weight.half()
    bias = bias if with_bias else None
    expected = torch.nn.functional.linear(x, weight.float(), bias)
    torch.testing.assert_close(HalfLinear(weight, bias)(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("with_bias", [True, False])
def test_8_bit_weights_lose_their_own_rounding_and_little_more(with_bias):
    weight, bias, x = linear()
    bias = bias if with_bias else None
    step = weight.abs().amax(1, keepdim=True) / 127
    rounded = (weight / step).round() * step
    expected = torch.nn.functional.linear(x, rounded, bias)
    found = Int8Linear(weight, bias)(x)
    for row, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert (one - other).norm() < 3e-4 * other.norm(), row


def test_rounding_in_parts_is_rounding():
    weight, _, _ = linear()
    one, other = Rounded.of(weight, rows=7), Rounded.of(weight)
    assert torch.equal(one.levels, other.levels) and torch.equal(one.scales, other.scales)


def test_8_bit_rows_do_not_know_each_other():
    weight, bias, x = linear()
    layer = Int8Linear(weight, bias)
    assert torch.equal(layer(x)[:2], layer(x[:2]))


def test_rows_of_zeros_stay_finite():
    weight, bias, x = linear()
    torch.testing.assert_close(Int8Linear(weight * 0, bias)(x * 0)[0, 0], bias)


@pytest.mark.parametrize("kind", engine.KINDS)
def test_packed_network_is_near_the_plain_one(bloom, kind):
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    plain = bloom(5, 16)(ids)
    packed = FbgemmNetwork(bloom(5, 16), kind).model(ids)
    assert (packed - plain).norm() < {"float16": 1e-3, "int8": 0.05}[kind] * plain.norm()


def test_greedy_text_of_half_precision_weights_is_unchanged(bloom):
    """Weights that came in float16 are packed without loss."""
    plain = bloom(5, 16).half().float()
    packed = FbgemmNetwork(bloom(5, 16).half(), "float16")
    params = SamplingParams(temperature=0, max_new_tokens=40)
    texts = [
        [
            one.tokens
            for each in generate(network, PROMPTS, eos=3, n=1, params=params)
            for one in each
        ]
        for network in (plain, packed)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("kind", engine.KINDS)
def test_seeds_hold_for_packed_networks(bloom, kind):
    network = FbgemmNetwork(bloom(), kind)
    many = generate(network, PROMPTS, eos=3, n=8, seed=7)
    few = generate(network, PROMPTS[1:2], eos=3, n=4, seed=7)
    assert [one.tokens for one in few[0]] == [one.tokens for one in many[1][:4]]


@pytest.mark.parametrize("kind", engine.KINDS)
def test_a_network_that_goes_on_is_traced_and_writes_the_same(bloom, kind):
    network = FbgemmNetwork(bloom(), kind)
    plain = generate(network, PROMPTS, eos=3, n=4, seed=7)
    network._steps, network.traced_after = 0, 20  # in the midst of the decoding
    first = generate(network, PROMPTS, eos=3, n=4, seed=7)
    assert isinstance(network._traced, torch.jit.ScriptModule)
    again = generate(network, PROMPTS, eos=3, n=4, seed=7)
    assert first == again == plain


def test_a_network_that_cannot_be_traced_goes_on_untraced(bloom, monkeypatch):
    network = FbgemmNetwork(bloom(), "float16")
    network.traced_after = 5
    monkeypatch.setattr(torch.jit, "trace", lambda *a, **k: 1 / 0)
    one = generate(network, PROMPTS, eos=3)
    assert network._traced is None
    assert generate(network, PROMPTS, eos=3) == one


def test_the_engine_of_the_host_is_left_as_it_was(bloom, monkeypatch):
    before = torch.backends.quantized.engine
    FbgemmNetwork(bloom(), "int8")
    assert torch.backends.quantized.engine == before
