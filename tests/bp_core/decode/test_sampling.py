"""sampling.py against a brute-force distribution and transformers' logits processors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bp_core.decode.sampling import Draw, Sampler, SamplingParams, topk_by_chunks, uniforms
from bp_core.errors import InputError

NONE = torch.zeros(1, 0, dtype=torch.long)


def probabilities(logits, history, params):
    """The distribution that transformers would sample from, one row."""
    warpers = pytest.importorskip("transformers.generation.logits_process")
    scores = logits[None].clone()
    history = torch.tensor([history])
    steps = [warpers.RepetitionPenaltyLogitsProcessor(params.repetition_penalty)]
    steps.append(warpers.TemperatureLogitsWarper(params.temperature))
    if params.top_k:
        steps.append(warpers.TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        steps.append(warpers.TopPLogitsWarper(params.top_p))
    for step in steps:
        scores = step(history, scores)
    return scores.softmax(1)[0]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    temperature=st.floats(0.3, 2),
    top_k=st.integers(0, 40),
    top_p=st.floats(0.05, 1),
    penalty=st.floats(0.7, 2),
)
def test_frequencies_equal_transformers_distribution(seed, temperature, top_k, top_p, penalty):
    """An even grid of uniforms must hit each token as often as its probability says."""
    params = SamplingParams(temperature, top_k, top_p, penalty)
    logits = torch.randn(30, generator=torch.Generator().manual_seed(seed)) * 3
    history = [3, 7, 7, 0]
    grid = (torch.arange(4000) + 0.5) / 4000
    ids = Sampler(params)(
        logits.expand(4000, -1).clone(),
        torch.tensor(history).expand(4000, -1),
        NONE.expand(4000, -1),
        grid,
    )
    found = torch.bincount(ids, minlength=30) / 4000
    expected = probabilities(logits, history, params)
    # A token whose mass before it is top_p to the last bit may fall on either side.
    assert (found - expected).abs().max() < 2e-3 or abs(expected.min() - params.top_p) < 1e-5


def test_any_uniform_gives_a_token_of_the_nucleus():
    logits = torch.tensor([[9.0, 9.0, -1e9, 0.0]]).repeat(3, 1)
    edge = torch.tensor([0.0, 0.5, 1 - 2**-24])
    ids = Sampler(SamplingParams(top_k=4, top_p=1, repetition_penalty=1))(
        logits, NONE.expand(3, 0), NONE.expand(3, 0), edge
    )
    assert set(ids.tolist()) <= {0, 1, 3}


def test_greedy_takes_the_most_likely_after_the_penalty():
    logits = torch.tensor([[2.0, 1.9, 0.0]])
    greedy = SamplingParams(temperature=0, repetition_penalty=1.2)
    assert Sampler(greedy)(logits, torch.tensor([[0]]), NONE, torch.zeros(1)).item() == 1


def test_blocked_sequences_of_any_length():
    params = SamplingParams(temperature=0, repetition_penalty=1)
    sampler = Sampler(params, [(5,), (1, 4), (7, 1, 3), (2,) * 4, (1, 4)])
    assert sampler.window == 3
    logits = torch.tensor([[0.0, 0.0, 1.0, 2.0, 3.0, 4.0]]).repeat(4, 1)
    recent = torch.tensor([[0, 0, 1], [0, 7, 1], [-1, -1, 7], [2, 2, 2]])
    ids = sampler(logits.clone(), recent[:, :0], recent, torch.zeros(4))
    assert ids.tolist() == [3, 2, 4, 4]
    logits[3, 2] = 9.0
    assert sampler(logits, recent[:, :0], recent, torch.zeros(4))[3].item() == 4


def test_nothing_before_the_prompt_completes_a_sequence():
    sampler = Sampler(SamplingParams(temperature=0, repetition_penalty=1), [(0, 0, 1)])
    recent = torch.tensor([[-1, 0]])
    assert sampler(torch.tensor([[0.0, 9.0]]), NONE, recent, torch.zeros(1)).item() == 1


def test_streams_are_named_by_draw_and_leave_the_global_one_alone():
    state = torch.get_rng_state()
    one = uniforms([Draw(7, 0), Draw(7, 1), Draw(7, 0, 1), Draw(8, 0)], 20)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(uniforms([Draw(7, 1)], 33)[:, :20], one[1:2])
    assert len({tuple(row) for row in one.tolist()}) == 4
    assert ((one >= 0) & (one < 1)).all()


def test_a_seed_means_the_same_for_ever():
    """Changing the streams would change everybody's saved seeds."""
    drawn = uniforms([Draw(7, 2, 1)], 3)[0]
    torch.testing.assert_close(drawn, torch.tensor(EXPECTED), atol=0, rtol=0)


EXPECTED = [0.5293893218040466, 0.5391411781311035, 0.4256519079208374]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", "hot"),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_p", 0),
        ("top_p", 1.01),
        ("repetition_penalty", 0),
        ("max_new_tokens", 0),
        ("max_new_tokens", float("inf")),
        ("max_new_tokens", None),
    ],
)
def test_settings_out_of_range_are_named(field, value):
    with pytest.raises(InputError, match=f"{field} is .*must be"):
        SamplingParams(**{field: value})


def test_the_highest_are_found_by_chunks():
    logits = torch.randn(3, 64 * 200, generator=torch.Generator().manual_seed(0))
    logits[1, 640:704] += 9  # a chunk that holds all of them
    scores, ids = topk_by_chunks(logits, 50)
    expected = logits.topk(50, dim=1)
    assert torch.equal(scores, expected.values)
    assert torch.equal(ids, expected.indices)
