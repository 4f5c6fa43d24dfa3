"""The n-grams that a language model must beat."""

import pytest

from train.report.ngram import KneserNey


def test_kneser_ney_sums_to_one_and_by_hand():
    model = KneserNey([[0, 1, 0, 1, 2]], vocabulary=3, order=2)
    for context in ([], [0], [2], [1]):
        assert sum(model.probability(context, t) for t in range(3)) == pytest.approx(1)
    # Bigrams: (^,0) (0,1)x2 (1,0) (1,2); kinds of left contexts: 0 has 2, 1 has 1, 2 has 1.
    unigram_1 = (1 - 0.75) / 4 + 0.75 * 3 / 4 / 3
    assert model.probability([0], 1) == pytest.approx((2 - 0.75) / 2 + 0.75 * 1 / 2 * unigram_1)
