"""Near-duplicate prompts: clusters for honest splits, and a mask that keeps evaluation prompts out.

Two prompts are near-duplicates when the cosine of their tf-idf vectors (word unigrams and bigrams)
reaches a threshold; clusters are the connected components of that relation. The search is exact:
with features ordered rare to common, a vector's *prefix* is what must be taken away to leave a
remainder of norm below the threshold, and two vectors can only reach the threshold when their
prefixes share a feature (prefix filtering, Bayardo et al. 2007). Rare features alone are joined,
so 80,000 prompts take about a minute.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer

_BLOCK = 2048  # rows joined at a time, bounds memory


def _vectors(texts: list[str]) -> sparse.csr_matrix:
    """Unit tf-idf rows (n, F), columns ordered from the rarest feature to the most common."""
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]+", dtype=np.float32
    )
    if not any(text.strip() for text in texts):
        return sparse.csr_matrix((len(texts), 1), dtype=np.float32)
    matrix = vectorizer.fit_transform(texts).tocsr()
    order = np.argsort(np.bincount(matrix.indices, minlength=matrix.shape[1]), kind="stable")
    matrix = matrix[:, order].tocsr()
    matrix.sort_indices()
    return matrix


def _prefix(matrix: sparse.csr_matrix, threshold: float) -> sparse.csr_matrix:
    """`matrix` without each row's most common features of joint norm below `threshold`."""
    squares = np.cumsum(matrix.data.astype(np.float64) ** 2)
    ends = matrix.indptr[1:]
    total = np.repeat(np.append(squares, 0.0)[ends - 1], np.diff(matrix.indptr))
    before = np.append(0.0, squares[:-1])
    keep = total - before >= threshold**2 - 1e-6  # norm of this feature and all commoner ones
    counts = np.add.reduceat(np.append(keep, False), np.minimum(matrix.indptr[:-1], len(keep)))
    counts[np.diff(matrix.indptr) == 0] = 0
    indptr = np.append(0, np.cumsum(counts))
    return sparse.csr_matrix((matrix.data[keep], matrix.indices[keep], indptr), matrix.shape)


def _similar(
    left: sparse.csr_matrix, right: sparse.csr_matrix, threshold: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Index pairs (i, j), in blocks of rows of `left`, of rows with cosine ≥ `threshold`."""
    left_prefix, right_prefix = _prefix(left, threshold), _prefix(right, threshold).T.tocsr()
    for start in range(0, left.shape[0], _BLOCK):
        joined = (left_prefix[start : start + _BLOCK] @ right_prefix).tocoo()
        rows, columns = joined.row + start, joined.col
        for at in range(0, len(rows), 1_000_000):
            i, j = rows[at : at + 1_000_000], columns[at : at + 1_000_000]
            cosine = np.asarray(left[i].multiply(right[j]).sum(axis=1)).ravel()
            near_enough = cosine >= threshold - 1e-6
            yield i[near_enough], j[near_enough]


def clusters(texts: list[str], threshold: float = 0.75) -> np.ndarray:
    """Cluster id of each text (n,): connected components of tf-idf cosine ≥ `threshold`.

    Ids count up from 0 in order of first appearance. Texts without a word are each on their own.
    """
    matrix = _vectors(texts)
    pairs = list(_similar(matrix, matrix, threshold))
    i = np.concatenate([p[0] for p in pairs]) if pairs else np.empty(0, int)
    j = np.concatenate([p[1] for p in pairs]) if pairs else np.empty(0, int)
    graph = sparse.csr_matrix((np.ones(len(i), np.int8), (i, j)), (len(texts), len(texts)))
    labels = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def near(texts: list[str], references: list[str], threshold: float = 0.75) -> np.ndarray:
    """Mask (n,) of the texts with tf-idf cosine ≥ `threshold` to any of `references`."""
    matrix = _vectors(texts + references)
    mask = np.zeros(len(texts), bool)
    for i, _ in _similar(matrix[: len(texts)], matrix[len(texts) :], threshold):
        mask[i] = True
    return mask
