"""generate.py: transformers' greedy text, seeds, blocked sequences, cancelling."""

import subprocess
import sys

import pytest
import torch

from bp_core.decode.cuda.decoder import CudaNetwork
from bp_core.decode.generate import generate
from bp_core.decode.sampling import Draw, SamplingParams
from bp_core.errors import Cancelled, InputError

PROMPTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]
SHORT = SamplingParams(max_new_tokens=12)
NEVER = -5  # an end token that no model writes


def tokens(candidates):
    return [[one.tokens for one in each] for each in candidates]


@pytest.mark.parametrize("penalty", [1.0, 1.2])
@pytest.mark.parametrize("n_head", [2, 5])
def test_greedy_equals_transformers(bloom, penalty, n_head):
    transformers = pytest.importorskip("transformers")
    network = bloom(n_head)
    c = network.config
    model = transformers.BloomForCausalLM(
        transformers.BloomConfig(
            vocab_size=c.vocab_size, hidden_size=c.hidden_size, n_layer=c.n_layer, n_head=c.n_head
        )
    ).eval()
    model.load_state_dict(dict(network.tensors()), strict=False)
    params = SamplingParams(0, repetition_penalty=penalty, max_new_tokens=40)
    eos = 3
    for prompt, ours in zip(
        PROMPTS, generate(network, PROMPTS, eos=eos, n=1, params=params), strict=True
    ):
        theirs = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            repetition_penalty=penalty,
            max_new_tokens=40,
            eos_token_id=eos,
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        assert ours[0].tokens + [eos] * ours[0].finished == theirs


@pytest.mark.parametrize("run", [lambda network: network, CudaNetwork])
def test_the_penalty_may_leave_the_prompts_tokens_alone(bloom, run):
    network = run(bloom(seed=2))
    blocked = [(1,)]
    params = SamplingParams(0, repetition_penalty=1.5, max_new_tokens=10, penalise_prompt=False)
    found = generate(network, PROMPTS, eos=NEVER, n=1, params=params, blocked=blocked)
    for prompt, [ours] in zip(PROMPTS, found, strict=True):
        written = []
        for _ in range(10):
            logits = bloom(seed=2)(torch.tensor([prompt + written]))[0, -1].clone()
            logits[1] = -torch.inf
            for i in set(written):
                logits[i] = logits[i] / 1.5 if logits[i] > 0 else logits[i] * 1.5
            written.append(int(logits.argmax()))
        assert ours.tokens == written
    usual = SamplingParams(0, repetition_penalty=1.5, max_new_tokens=10)
    assert tokens(found) != tokens(
        generate(network, PROMPTS, eos=NEVER, n=1, params=usual, blocked=blocked)
    )


def test_the_end_waits_for_the_shortest_output(bloom):
    network = bloom(seed=3)
    greedy = SamplingParams(0, repetition_penalty=1.0, max_new_tokens=12)
    [[first]] = generate(network, PROMPTS[:1], eos=NEVER, n=1, params=greedy)
    eos = first.tokens[2]  # would end the output at the third token, or before
    params = SamplingParams(0, repetition_penalty=1.0, max_new_tokens=12, min_new_tokens=6)
    [[longer]] = generate(network, PROMPTS[:1], eos=eos, n=1, params=params)
    assert len(longer.tokens) >= 6 and eos not in longer.tokens


def test_a_candidate_does_not_depend_on_its_neighbours(bloom):
    network = bloom(n_layer=3)
    many = generate(network, PROMPTS, eos=3, n=8, seed=7, params=SHORT)
    few = generate(network, PROMPTS, eos=3, n=4, seed=7, params=SHORT)
    assert tokens(few) == [each[:4] for each in tokens(many)]
    for prompt, candidates in zip(PROMPTS, tokens(many), strict=True):
        assert tokens(generate(network, [prompt], eos=3, n=8, seed=7, params=SHORT)) == [candidates]
    again = [[Draw(7, 5)], [Draw(7, 2), Draw(7, 0)], [Draw(7, 1, attempt=1)]]
    chosen = tokens(generate(network, PROMPTS, eos=3, draws=again, params=SHORT))
    assert chosen[0] == [tokens(many)[0][5]]
    assert chosen[1] == [tokens(many)[1][2], tokens(many)[1][0]]
    assert chosen[2] != [tokens(many)[2][1]]
    assert len({tuple(one) for one in tokens(many)[0]}) > 4


def test_rows_that_end_early_change_no_other(bloom):
    """End tokens come at different steps, so the batch shrinks on the way."""
    network = bloom(vocab_size=15)
    params = SamplingParams(temperature=1.5, max_new_tokens=40)
    many = generate(network, PROMPTS[:1], eos=3, n=16, params=params)[0]
    lengths = sorted(len(one.tokens) for one in many)
    assert lengths[0] < lengths[8] < lengths[-1]
    for index, one in enumerate(many):
        draws = [[Draw(0, index)]]
        alone = generate(network, PROMPTS[:1], eos=3, draws=draws, params=params)[0][0]
        assert alone.tokens == one.tokens
        assert 3 not in one.tokens
        assert one.finished or len(one.tokens) == 40
        assert len(one.logprobs) == len(one.tokens) + one.finished


def test_the_same_in_another_process(bloom):
    code = (
        "from tests.conftest import random_bloom; from bp_core.decode.generate import generate;"
        "print([o.tokens for o in generate(random_bloom(), [[5, 6]], eos=3, seed=9)[0]])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert printed.strip() == str(tokens(generate(bloom(), [[5, 6]], eos=3, seed=9))[0])


def test_global_random_state_is_left_alone(bloom):
    network = bloom()
    state = torch.get_rng_state()
    generate(network, PROMPTS, eos=3, params=SHORT)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_seed_for_each_prompt(bloom):
    network = bloom()
    same = tokens(generate(network, [[5, 6]] * 2, eos=NEVER, seed=[1, 2], params=SHORT))
    assert same[0] != same[1]
    assert tokens(generate(network, [[5, 6]], eos=NEVER, seed=2, params=SHORT)) == same[1:]


@pytest.mark.parametrize("repetition_penalty", [1.0, 1.3])
def test_logprobs_are_the_models_own(bloom, repetition_penalty):
    network = bloom()
    params = SamplingParams(0.7, 5, 0.8, repetition_penalty, max_new_tokens=12)
    for prompt, each in zip(PROMPTS, generate(network, PROMPTS, eos=3, params=params), strict=True):
        for one in each:
            text = one.tokens + [3] * one.finished
            logits = network(torch.tensor([prompt + text]))[0, len(prompt) - 1 : -1]
            expected = logits.log_softmax(-1).gather(1, torch.tensor(text)[:, None])[:, 0]
            torch.testing.assert_close(torch.tensor(one.logprobs), expected, atol=1e-4, rtol=0)
            assert one.logprob == pytest.approx(expected.mean().item(), abs=1e-4)


def test_blocked_sequences_never_appear(bloom):
    network = bloom(vocab_size=7)
    blocked = [(1, 2), (2, 2, 4), (5,), (6, 1, 1)]
    params = SamplingParams(10, 0, 1, 1, max_new_tokens=60)
    free = generate(network, [[6, 1]], eos=NEVER, n=40, params=params)[0]
    held = generate(network, [[6, 1]], eos=NEVER, n=40, params=params, blocked=blocked)[0]

    def found(candidates):
        texts = ["".join(map(str, [6, 1, *one.tokens])) for one in candidates]
        return [s for s in ("12", "224", "5", "611") for text in texts if s in text]

    assert set(found(free)) == {"12", "224", "5", "611"}
    assert found(held) == []


def test_callback_sees_every_token(bloom):
    seen = []
    params = SamplingParams(temperature=1.5, max_new_tokens=30)
    result = generate(
        bloom(vocab_size=15), PROMPTS, eos=3, params=params,
        on_token=lambda step, ids: seen.append((step, ids.tolist())),
    )  # fmt: skip
    assert [step for step, _ in seen] == list(range(len(seen)))
    flat = [one for each in result for one in each]
    for row, one in enumerate(flat):
        written = [ids[row] for _, ids in seen]
        text = one.tokens + [3] * one.finished
        assert written == text + [-1] * (len(seen) - len(text))


def test_cancelling_stops_at_once(bloom):
    calls = []

    def cancel(step, ids):
        calls.append(step)
        if step == 2:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        generate(bloom(), PROMPTS, eos=NEVER, on_token=cancel)
    assert calls == [0, 1, 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_runs(bloom, dtype):
    network = bloom().to(dtype)
    result = generate(network, PROMPTS, eos=NEVER, params=SHORT)
    assert all(len(one.tokens) == 12 for each in result for one in each)


def test_parameters_in_training_stay_trainable(bloom):
    network = bloom().requires_grad_(True)
    generate(network, PROMPTS, eos=3, params=SHORT)
    network.hidden(torch.tensor([[4, 5]])).sum().backward()
    assert network.blocks[0].feed_forward.up.weight.grad is not None


@pytest.mark.parametrize(
    ("prompts", "kwargs", "says"),
    [
        ([], {}, "at least one token"),
        ([[1], []], {}, "at least one token"),
        ([[1]], {"n": 0}, "n is 0"),
        ([[1]], {"draws": [[]]}, "at least one candidate"),
        ([[1], [2]], {"seed": [1]}, "1 seeds for 2 prompts"),
    ],
)
def test_wrong_calls_are_explained(bloom, prompts, kwargs, says):
    with pytest.raises(InputError, match=says):
        generate(bloom(), prompts, eos=3, **kwargs)
