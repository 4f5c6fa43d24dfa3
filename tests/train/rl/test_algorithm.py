"""PPO's arithmetic against hand-computed cases, and against what TRL 1.12 made of one batch.

`trl_batch.json` holds tensors of a real run of TRL's PPOTrainer: `benchmarks/ppo_trl.py record`.
"""

import json
import math
from pathlib import Path

import pytest
import torch

from train.rl.algorithm import (
    KLController,
    RunningMoments,
    Sums,
    gae,
    policy_loss,
    token_rewards,
    value_loss,
    whiten,
)

TRL = json.loads((Path(__file__).parent / "trl_batch.json").read_text())


def recorded(name):
    return torch.tensor(TRL[name])


@pytest.fixture
def trl_masks():
    """TRL's: response tokens, and those with one place more, where it puts the score."""
    at = torch.arange(recorded("values").shape[1])
    last = recorded("sequence_lengths")[:, None]
    return at <= last, at <= last + 1


def test_gae_by_hand():
    # Two tokens, γ 0.5, λ 0.5: δ2 = 2 - 1 = 1; δ1 = 1 + 0.5·1 - 3 = -1.5; A1 = -1.5 + 0.25·1.
    advantages, returns = gae(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0]]), 0.5, 0.5)
    assert advantages.tolist() == [[-1.25, 1.0]]
    assert returns.tolist() == [[1.75, 2.0]]


def test_gae_with_lambda_one_is_the_discounted_return():
    torch.manual_seed(0)
    rewards, values = torch.randn(3, 7), torch.randn(3, 7)
    _, returns = gae(rewards, values, 0.9, 1.0)
    expected = sum(0.9**k * rewards[:, k] for k in range(7))
    torch.testing.assert_close(returns[:, 0], expected)


def test_gae_and_whitening_are_trls(trl_masks):
    advantages, returns = gae(recorded("rewards"), recorded("values"), TRL["gamma"], TRL["lam"])
    torch.testing.assert_close(returns, recorded("returns"), atol=1e-5, rtol=0)
    whitened = whiten(advantages, trl_masks[0])
    torch.testing.assert_close(whitened, recorded("advantages"), atol=1e-5, rtol=0)


def test_token_rewards_are_trls_but_for_the_place_of_the_score(trl_masks):
    tokens, longer = trl_masks
    kl = torch.where(tokens, recorded("logprobs") - recorded("ref_logprobs"), 0)
    # TRL pays one place behind the last token where there is one.
    ours = token_rewards(kl, recorded("scores"), longer, TRL["kl_coef"])
    torch.testing.assert_close(ours, recorded("rewards"), atol=1e-5, rtol=0)


def test_the_score_is_paid_at_the_last_token():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    rewards = token_rewards(torch.ones(2, 3), torch.tensor([1.0, 2.0]), mask, 0.5)
    assert rewards.tolist() == [[-0.5, 0.5, 0.0], [-0.5, -0.5, 1.5]]


@pytest.mark.parametrize("epoch", range(3))
def test_losses_are_trls(trl_masks, epoch):
    tokens, longer = trl_masks
    order = TRL["order"][epoch]

    def flat(name, mask):
        return recorded(name)[order][mask[order]]

    new = recorded("new_logprobs")[epoch][tokens[order]]
    old, advantages = flat("logprobs", tokens), flat("advantages", tokens)
    policy = policy_loss(new, old, advantages, TRL["clip"], len(new))
    assert float(policy.loss) == pytest.approx(TRL["pg_loss_stats"][epoch][0][0], abs=1e-5)
    share = TRL["pg_clipfrac_stats"][epoch][0][0]
    assert float(policy.clipped) / len(new) == pytest.approx(share, abs=1e-6)
    predicted = recorded("new_values")[epoch][longer[order]]
    values, returns = flat("values", longer), flat("returns", longer)
    value = value_loss(predicted, values, returns, TRL["clip_value"], len(predicted))
    assert float(value.loss) == pytest.approx(TRL["vf_loss_stats"][epoch][0][0], abs=1e-5)


def test_policy_loss_by_hand():
    # Ratios 2 and 0.5 with ε 0.2: a good token gains no more than 1.2, a bad one no less than 0.8.
    new, old = torch.tensor([math.log(2), math.log(0.5)]), torch.zeros(2)
    found = policy_loss(new, old, torch.tensor([1.0, -1.0]), 0.2, 2)
    assert float(found.loss) == pytest.approx((-1.2 + 0.8) / 2)
    assert int(found.clipped) == 2


def test_the_clipped_policy_has_no_gradient():
    new = torch.tensor([math.log(2)], requires_grad=True)
    policy_loss(new, torch.zeros(1), torch.ones(1), 0.2, 1).loss.backward()
    assert float(new.grad) == 0


def test_value_loss_by_hand():
    # Prediction 3 is held at 0.2, further from the return 2: (2 - 0.2)² / 2.
    found = value_loss(torch.tensor([3.0]), torch.zeros(1), torch.tensor([2.0]), 0.2, 1)
    assert float(found.loss) == pytest.approx(1.8**2 / 2)
    assert int(found.clipped) == 1


def test_whitening_has_mean_0_and_variance_1_over_the_mask():
    torch.manual_seed(0)
    x, mask = 3 + 2 * torch.randn(5, 6), torch.rand(5, 6) < 0.7
    whitened = whiten(x, mask)
    assert float(whitened[mask].mean()) == pytest.approx(0, abs=1e-6)
    assert float(whitened[mask].var()) == pytest.approx(1, abs=1e-5)
    assert (whitened[~mask] == 0).all()


def test_parts_whiten_by_the_sums_of_the_whole():
    torch.manual_seed(0)
    x, mask = torch.randn(4, 6), torch.rand(4, 6) < 0.7
    parts = [Sums.of(x[rows], mask[rows]) for rows in (slice(0, 2), slice(2, 4))]
    sums = Sums(*(a + b for a, b in zip(*parts, strict=True)))
    halves = [whiten(x[rows], mask[rows], sums) for rows in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(torch.cat(halves), whiten(x, mask))


def test_the_kl_controller_by_hand():
    # Twice the target, over a tenth of the horizon: the error is held at 0.2.
    controller = KLController(0.05, target=6, horizon=640)
    controller.update(12, 64)
    assert controller.beta == pytest.approx(0.05 * 1.02)
    controller.update(5.4, 64)
    assert controller.beta == pytest.approx(0.05 * 1.02 * 0.99)
    still = KLController(0.05, target=0, horizon=640)
    still.update(12, 64)
    assert still.beta == 0.05


def test_running_moments_are_those_of_all_scores():
    torch.manual_seed(0)
    scores = 5 + torch.randn(40)
    moments = RunningMoments()
    assert moments.std == 1
    for part in scores.split(7):
        moments.update(part)
    assert moments.mean == pytest.approx(float(scores.mean()), abs=1e-6)
    assert moments.std == pytest.approx(float(scores.std()), abs=1e-6)
    assert RunningMoments(**moments.state_dict()) == moments
