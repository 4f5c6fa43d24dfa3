"""kept.py: a prompt read a moment ago is not read again, and its text is the same to the bit."""

import pytest
import torch

from bp_core.decode.cpu import fbgemm
from bp_core.decode.cpu.fbgemm import FbgemmNetwork
from bp_core.decode.generate import generate
from bp_core.decode.kept import KeptPrompts

PROMPTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]


@pytest.fixture(params=["fbgemm", "numba"])
def network(request, bloom):
    if request.param == "numba":
        pytest.importorskip("numba")
        from bp_core.decode.cpu.numba_network import NumbaNetwork

        return NumbaNetwork(bloom(6, 16), "float16")
    if not fbgemm.has("float16"):
        pytest.skip("FBGEMM is for x86")
    return FbgemmNetwork(bloom(6, 16), "float16")


@pytest.mark.parametrize("prompts", [PROMPTS, PROMPTS[:1]])
def test_another_count_and_seed_read_nothing_again(network, prompts, monkeypatch):
    first = generate(network, prompts, eos=3, n=4, seed=7)
    fresh = KeptPrompts()
    other = generate(network, prompts, eos=3, n=2, seed=1)
    network._kept = fresh
    assert generate(network, prompts, eos=3, n=2, seed=1) == other
    if hasattr(network, "_read"):
        monkeypatch.setattr(network, "_read", lambda *args: pytest.fail("read again"))
    monkeypatch.setattr(network.model, "prefill", lambda *args: pytest.fail("read again"))
    assert generate(network, prompts, eos=3, n=4, seed=7) == first


def test_little_is_kept(bloom):
    network = bloom()
    kept = KeptPrompts(most=3, size=2**16)
    for length in (4, 5, 6, 7):
        kept.prefill(network, [[5] * length], 2, network.prefill)
    assert len(kept._kept) == 3 and ((5,) * 4,) not in kept._kept
    kept.prefill(network, [[5] * 300], 2, network.prefill)
    assert kept.nbytes <= 2**16, "more than there is room for is not kept"


def test_what_is_kept_does_not_change(bloom):
    network, kept = bloom(), KeptPrompts()
    for _ in range(3):
        logits, cache = kept.prefill(network, PROMPTS, 2, network.prefill)
        want, plain = network.prefill(PROMPTS, 2)
        assert torch.equal(logits, want)
        ids = torch.tensor([1, 2, 3])
        assert torch.equal(network.step(ids, cache), network.step(ids, plain))
        logits.fill_(0)
