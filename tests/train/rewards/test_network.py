"""The reward network in training."""

import torch

from train.rewards.network import bradley_terry, compressed


def test_bradley_terry_counts_each_ordered_pair_once():
    scores = torch.tensor([1.0, 0.0, 3.0])
    expected = -torch.nn.functional.logsigmoid(torch.tensor([1.0, 3.0, 2.0])).mean()
    assert torch.allclose(bradley_terry(scores, torch.tensor([2.0, 1.0, 5.0])), expected)
    assert bradley_terry(scores, torch.ones(3)) == 0


def test_word_vectors_keep_their_geometry():
    vectors = torch.randn(50, 6) @ torch.randn(6, 20)
    small = compressed(vectors, 8)
    assert small.shape == (50, 8)
    before, after = torch.cdist(vectors, vectors), torch.cdist(small, small)
    ratio = (after / before)[~torch.eye(50, dtype=bool)]
    assert ratio.max() / ratio.min() < 1.01
