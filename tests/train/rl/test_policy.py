"""The policy's log-probabilities, what learns in it and what does not, and LoRA."""

import copy

import pytest
import torch

from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams
from bp_core.errors import InputError
from train.rl import policy as module
from train.rl.policy import Policy, Sequences

PROMPTS = [[5, 6, 7], [8, 9], [3, 4, 5, 6]]
RESPONSES = [[10, 11], [12, 13, 14, 15], [16]]


@pytest.fixture(params=["bloom", "llama"])
def network(request, bloom, networks):
    if request.param == "llama":
        return networks("llama", num_hidden_layers=3)
    return bloom(n_layer=3)


def sequences():
    return Sequences.of(PROMPTS, RESPONSES, torch.device("cpu"))


def logprobs_of(network):
    """One row at a time, from whole logits."""
    rows = []
    for prompt, response in zip(PROMPTS, RESPONSES):
        ids = torch.tensor([prompt + response])
        logprobs = network(ids)[0].log_softmax(1)
        rows += [logprobs[len(prompt) - 1 + i, token] for i, token in enumerate(response)]
    return torch.stack(rows)


def judged(policy, batch):
    trunk = policy.trunk(batch.ids, batch.predicts)
    new, values = policy(trunk, batch.predicts, batch.targets)
    return new, values, policy.reference(trunk, batch.predicts, batch.targets)


def test_targets_are_the_responses_tokens():
    assert sequences().targets.tolist() == [t for r in RESPONSES for t in r]
    part = sequences().rows([2, 0])
    assert part.ids.shape == (2, 5)
    assert part.targets.tolist() == RESPONSES[2] + RESPONSES[0]


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_policy_and_reference_start_as_the_network(network, layers):
    expected = logprobs_of(network)
    new, values, reference = judged(Policy(network, layers), sequences())
    torch.testing.assert_close(new.detach(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(reference, expected, atol=1e-5, rtol=0)
    assert (values == 0).all()


def test_only_the_upper_layers_learn_and_the_reference_stays(network):
    before = copy.deepcopy(network.state_dict())
    policy = Policy(network, 1)
    batch = sequences()
    *_, reference = judged(policy, batch)
    optimizer = torch.optim.SGD([p for p in policy.parameters() if p.requires_grad], 0.1)
    new, values, _ = judged(policy, batch)
    (new.sum() + values.sum()).backward()
    optimizer.step()
    moved = {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    layers = {name.split(".")[1] for name in moved if name.startswith("blocks.")}
    assert layers == {"2"}
    assert {name.split(".")[0] for name in moved} == {"blocks", "norm"}
    again, _, after = judged(policy, batch)
    torch.testing.assert_close(after, reference)
    assert not torch.allclose(again, new)


def test_rollouts_come_from_the_policys_own_storage(network):
    policy = Policy(network, 1)
    greedy = SamplingParams(temperature=0, max_new_tokens=8, repetition_penalty=1)
    before = generate(policy.network, PROMPTS, eos=0, n=1, params=greedy)
    with torch.no_grad():
        policy.network.blocks[2].feed_forward.down.weight.normal_()
    after = generate(policy.network, PROMPTS, eos=0, n=1, params=greedy)
    assert [a[0].tokens for a in after] != [b[0].tokens for b in before]


def test_logprobs_of_the_decoder_are_those_of_the_policy(network):
    params = SamplingParams(temperature=1, top_k=0, top_p=1, repetition_penalty=1, max_new_tokens=6)
    drawn = [g[0] for g in generate(network, PROMPTS, eos=0, n=1, params=params)]
    responses = [g.tokens + [0] * g.finished for g in drawn]
    batch = Sequences.of(PROMPTS, responses, torch.device("cpu"))
    new, *_ = judged(Policy(network, 2), batch)
    decoded = torch.tensor([x for g in drawn for x in g.logprobs])
    torch.testing.assert_close(new.detach(), decoded, atol=1e-4, rtol=0)


def test_no_layer_computes_padding(network):
    policy, batch, rows = Policy(network, 2), sequences(), []
    for block in policy.network.blocks:
        block.feed_forward.register_forward_hook(lambda _, x, y: rows.append(len(y)))
    trunk = policy.trunk(batch.ids, batch.predicts)
    # What is read of each row is all but its last token.
    assert batch.sizes == [len(p) + len(r) - 1 for p, r in zip(PROMPTS, RESPONSES)]
    assert len(trunk) == sum(batch.sizes)
    policy(trunk, batch.predicts, batch.targets)
    assert rows == [sum(batch.sizes), sum(batch.sizes), sum(map(len, RESPONSES))]


@pytest.mark.parametrize("numbers", [1 << 22, 97 * 2])
def test_gradients_are_those_of_whole_logits(network, monkeypatch, numbers):
    monkeypatch.setattr(module, "_LOGITS", numbers)
    policy, batch = Policy(network, 2), sequences()
    weights = torch.arange(1.0, 8)
    learning = [p for n, p in policy.network.named_parameters() if p.requires_grad]
    new, *_ = judged(policy, batch)
    found = torch.autograd.grad((new * weights).sum(), learning)
    wanted = torch.autograd.grad((logprobs_of(policy.network) * weights).sum(), learning)
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_adapters_learn_and_the_reference_is_without_them(network):
    pytest.importorskip("peft")
    expected = logprobs_of(network)
    policy = Policy(network, 2, lora_rank=2)
    trained = [n for n, p in policy.named_parameters() if p.requires_grad]
    assert all("lora_" in n or n.startswith("value.") for n in trained)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    new, _, reference = judged(policy, sequences())
    torch.testing.assert_close(reference, expected, atol=1e-5, rtol=0)
    assert not torch.allclose(new.detach(), expected, atol=1e-2)
    # The written weights are a plain network that does what policy and adapters did.
    merged = type(network).from_tensors(network.config, policy.weights())
    torch.testing.assert_close(logprobs_of(merged), new.detach(), atol=1e-5, rtol=0)


def test_too_many_layers_are_an_error(network):
    with pytest.raises(InputError, match="3 layers"):
        Policy(network, 4)
