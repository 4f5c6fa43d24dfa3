"""Near-duplicate search: exact against brute force, stable ids, empty input."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from train.data.dedup import _vectors, clusters, near

_WORDS = ["cat", "dog", "red", "a", "of", "house", "sharp", "focus", "8k", "sea"]
_texts = st.lists(st.lists(st.sampled_from(_WORDS), max_size=7).map(" ".join), max_size=25)


@given(_texts, st.sampled_from([0.5, 0.75, 0.9]))
@settings(max_examples=60, deadline=None)
def test_clusters_equal_brute_force(texts, threshold):
    found = clusters(texts, threshold)
    matrix = _vectors(texts)
    similar = (matrix @ matrix.T).toarray() >= threshold - 1e-6
    expected = connected_components(similar)[1] if texts else np.empty(0)
    assert len(set(zip(found, expected))) == len(set(found)) == len(set(expected))


@given(_texts, _texts)
@settings(max_examples=60, deadline=None)
def test_near_equals_brute_force(texts, references):
    matrix = _vectors(texts + references)
    similar = (matrix[: len(texts)] @ matrix[len(texts) :].T).toarray() >= 0.75 - 1e-6
    assert (near(texts, references) == similar.any(axis=1)).all()


def test_ids_follow_first_appearance():
    found = clusters(["a red cat", "blue sea", "a red cat!", "blue sea"])
    assert found.tolist() == [0, 1, 0, 1]


def test_no_texts():
    assert clusters([]).tolist() == []
    assert near([], ["a cat"]).tolist() == []
    assert near(["a cat"], []).tolist() == [False]
