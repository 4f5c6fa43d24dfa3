"""What writes rollouts in half precision: the policy's present weights, cast once a step."""

import copy

import pytest
import torch

from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams
from train.rl.policy import Policy
from train.rl.writer import Writer

PROMPTS = [[5, 6, 7], [8, 9]]


@pytest.fixture(params=["bloom", "llama", "gpt2"])
def network(request, bloom, networks):
    if request.param == "bloom":
        return bloom(n_layer=3)
    return networks(request.param, **{"llama": {"num_hidden_layers": 3}}.get(request.param, {}))


def texts(network):
    params = SamplingParams(max_new_tokens=8)
    return [g.tokens for row in generate(network, PROMPTS, eos=0, n=2, params=params) for g in row]


def changed(policy):
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))


def test_in_float32_it_is_the_policys_own_network(network):
    policy = Policy(network, 1)
    assert Writer(policy, half=False).network is policy.network


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_what_was_learned_is_taken_over_in_place(network, lora_rank):
    if lora_rank:
        pytest.importorskip("peft")
    policy = Policy(network, 1, lora_rank)
    writer = Writer(policy, half=True)
    places = [p.data_ptr() for p in writer.network.parameters()]
    old = texts(writer.network)
    changed(policy)
    assert texts(writer.network) == old
    writer.refresh()
    assert [p.data_ptr() for p in writer.network.parameters()] == places
    merged = type(network).from_tensors(network.config, policy.weights())
    wanted = copy.deepcopy(merged).to(torch.bfloat16)
    for (name, one), other in zip(writer.network.named_parameters(), wanted.parameters()):
        assert one.dtype == torch.bfloat16 and torch.equal(one, other), name
    assert texts(writer.network) == texts(wanted) != old


@torch.no_grad()
def test_logits_are_near_those_that_learn(network):
    policy = Policy(network, 1)
    logits, _ = Writer(policy, half=True).network.prefill(PROMPTS, 4)
    own, _ = policy.network.prefill(PROMPTS, 4)
    assert (logits.float() - own).norm() / own.norm() < 0.03
