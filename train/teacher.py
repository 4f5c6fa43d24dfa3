"""The teacher of the starter's reward: linear and kernel regressors on human scores, and their
predictions for prompts that nobody scored.

    python train/teacher.py --out runs/reward --half A

Reads what `train/reward_data.py` and `train/embed.py` wrote and writes `A/train.parquet` and
`A/validation.parquet` (prompt, score, features) for `train/reward.py`, and `A/teacher.json` with
the teacher's own figures. The features are principal components of the sentence embedding:
regressing them too teaches the small trunk what words mean. Only labels of that half's clusters
are used, so that the other half's model is an independent judge.

The teacher is the mean of a ridge on tf-idf, sentence embedding and length, and an SVR on the
embedding. Scored prompts get a blend of their score and what a teacher that never saw them
predicts: the score of one image is mostly noise, and both have the same expectation.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bp_core.errors import InputError
from train.cleaning import clean
from train.ranking import report

_LABEL = 0.25  # weight of the human score in a scored prompt's target
_FOLDS = 5
_FEATURES = 64


@dataclass(frozen=True)
class Weights:
    """Scales of the ridge's feature blocks, its penalty, and the SVR's settings."""

    words: float = 1.0
    characters: float = 1.0
    embedding: float = 1.2
    length: float = 0.3
    penalty: float = 10.0
    svr_cost: float = 0.3
    svr_gamma: float = 1.0
    svr_epsilon: float = 0.3
    svr_share: float = 0.4


class Teacher:
    """Text → expected human score (z), from prompts with scores."""

    def __init__(self, weights: Weights | None = None) -> None:
        self.weights = weights or Weights()

    def _features(self, prompts: list[str], vectors: np.ndarray):
        from scipy import sparse

        w = self.weights
        blocks = [w.words * self._words.transform(prompts)]
        blocks.append(w.characters * self._characters.transform(prompts))
        blocks.append(sparse.csr_matrix(w.embedding * vectors))
        blocks.append(sparse.csr_matrix(w.length * (_lengths(prompts) - self._mean_lengths)))
        return sparse.hstack(blocks).tocsr()

    def fit(
        self, prompts: list[str], vectors: np.ndarray, scores: np.ndarray, trust: np.ndarray
    ) -> Teacher:
        """Fit on prompts (n), their embeddings (n, d), scores (n,) and sample weights (n,)."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import Ridge
        from sklearn.svm import SVR

        w = self.weights
        common = {"sublinear_tf": True, "dtype": np.float32}
        self._words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, **common).fit(prompts)
        self._characters = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), min_df=3, **common
        ).fit(prompts)
        self._mean_lengths = _lengths(prompts).mean(0)
        self._ridge = Ridge(w.penalty, solver="sparse_cg", tol=1e-3)
        self._ridge.fit(self._features(prompts, vectors), scores, sample_weight=trust)
        self._svr = SVR(C=w.svr_cost, gamma=w.svr_gamma, epsilon=w.svr_epsilon)
        self._svr.fit(vectors, scores, sample_weight=trust)
        return self

    def predict(self, prompts: list[str], vectors: np.ndarray) -> np.ndarray:
        """Expected scores (n,)."""
        linear = self._ridge.predict(self._features(prompts, vectors))
        share = self.weights.svr_share
        return (1 - share) * linear + share * self._kernel(vectors)

    def _kernel(self, vectors: np.ndarray) -> np.ndarray:
        """The SVR's prediction as matrix products: many times faster than libsvm's own loop."""
        support = self._svr.support_vectors_
        squares = (support**2).sum(1)
        out = np.empty(len(vectors))
        for start in range(0, len(vectors), 2048):
            x = vectors[start : start + 2048]
            distance = (x**2).sum(1)[:, None] + squares - 2 * x @ support.T
            kernel = np.exp(-self.weights.svr_gamma * distance)
            out[start : start + 2048] = kernel @ self._svr.dual_coef_[0]
        return out + self._svr.intercept_[0]


def _lengths(prompts: list[str]) -> np.ndarray:
    """Logarithms of the counts of words and commas, and their squares (n, 4)."""
    counts = np.array([[len(p.split()), p.count(",")] for p in prompts], float)
    logs = np.log1p(counts)
    return np.hstack([logs, logs**2])


def out_of_fold(
    prompts: list[str], vectors: np.ndarray, frame: pd.DataFrame, weights: Weights
) -> np.ndarray:
    """What teachers that never saw a prompt's cluster predict for it (n,)."""
    fold = frame.cluster.to_numpy() % _FOLDS
    out = np.empty(len(prompts))
    scores, trust = frame.score.to_numpy(), frame.images.to_numpy(float)
    for k in range(_FOLDS):
        seen, new = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        teacher = Teacher(weights).fit(
            [prompts[i] for i in seen], vectors[seen], scores[seen], trust[seen]
        )
        out[new] = teacher.predict([prompts[i] for i in new], vectors[new])
    return out


def principal(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(projection (d, 64) to components of mean variance 1, mean (d,)) of vectors (n, d)."""
    middle = vectors.mean(0)
    variance, directions = np.linalg.eigh(np.cov(vectors - middle, rowvar=False))
    top = np.argsort(variance)[::-1][:_FEATURES]
    return directions[:, top] / np.sqrt(variance[top].mean()), middle


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/reward"))
    parser.add_argument("--half", choices=["A", "B", "AB"], default="A")
    args = parser.parse_args(argv)
    try:
        human, transfer, pool = (
            pd.read_parquet(args.out / f"{name}.parquet") for name in ("human", "transfer", "pool")
        )
        stored = pd.read_parquet(args.out / "embeddings.parquet")
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename} is missing: run train/reward_data.py, then train/embed.py"
        ) from error
    row = {prompt: i for i, prompt in enumerate(stored.prompt)}
    table = np.stack(stored.vector.to_numpy())

    def embedded(prompts: list[str]) -> np.ndarray:
        return table[[row[p] for p in prompts]]

    human["clean"] = human.prompt.map(clean)
    own = human[human.half.isin(list(args.half))]
    scored = own[own.split == "train"].reset_index(drop=True)
    prompts = scored.clean.tolist()
    vectors, weights = embedded(prompts), Weights()
    teacher = Teacher(weights).fit(
        prompts, vectors, scored.score.to_numpy(), scored.images.to_numpy(float)
    )
    expected = out_of_fold(prompts, vectors, scored, weights)
    blend = _LABEL * scored.score + (1 - _LABEL) * expected
    pooled = pool.prompt.tolist()
    train = pd.concat(
        [
            pd.DataFrame({"prompt": scored.prompt, "score": blend}),
            # The same prompts as people type them, without Discord's spacing.
            pd.DataFrame({"prompt": prompts, "score": blend}),
            pd.DataFrame({"prompt": pooled, "score": teacher.predict(pooled, embedded(pooled))}),
        ]
    ).drop_duplicates("prompt")
    components, middle = principal(table)
    train["features"] = list(((embedded(train.prompt.tolist()) - middle) @ components).astype("f2"))
    folder = args.out / args.half
    folder.mkdir(exist_ok=True)
    train.to_parquet(folder / "train.parquet", index=False)
    own[own.split == "validation"][["prompt", "score"]].to_parquet(
        folder / "validation.parquet", index=False
    )
    figures = {}
    for name, frame in (
        ("validation", human[human.split == "validation"]),
        ("test", human[human.split == "test"]),
        ("transfer", transfer.assign(clean=transfer.prompt)),
    ):
        guess = teacher.predict(frame.clean.tolist(), embedded(frame.clean.tolist()))
        figures[name] = report(frame.score.to_numpy(), guess)
    (folder / "teacher.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"teacher.py: {error}")
