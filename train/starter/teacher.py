"""The teacher of the starter's reward: a kernel regressor on human scores, and its predictions for
prompts that nobody scored.

    python -m train.starter.teacher --out runs/reward --half A --tuned 0.5

Reads what `reward_data.py`, `embed.py` and, with `--tuned`, `tune.py` wrote in that folder and
writes `A/train.parquet` (prompt, score, features) and `A/validation.parquet` (prompt, score,
teacher) for `train/reward.py`, and `A/teacher.json` with the teacher's own figures. Features are
principal components of the sentence embeddings: regressing them too teaches the small trunk what
words mean. Only scores of that half's clusters are used, so that the other half's model is an
independent judge; of the other half's training prompts the texts join the pool.

Scored prompts get a blend of their score and what a teacher without their cluster predicts: the
score of one image is mostly noise, and both have the same expectation.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import train
from bp_core.errors import InputError
from train.data.cleaning import clean
from train.rewards.ranking import report
from train.starter.reward_tables import read_tables

_LABEL = 0.25  # weight of the human score in a scored prompt's target
_FEATURES = 384  # 88 % of the variance of three views; 64 hold 57 %


@dataclass(frozen=True)
class Weights:
    """Shares of the parts in the kernel, the Gaussian's sharpness, and the ridge's penalty."""

    words: float = 1.0
    characters: float = 1.0
    embedding: float = 5.5  # shared by the views
    sharpness: float = 1.0  # of exp(-sharpness · squared distance) of unit embeddings
    length: float = 0.045
    penalty: float = 25.0


class Teacher:
    """Text → expected human score (z), from prompts with scores: kernel ridge regression.

    The kernel is a sum: cosines of tf-idf vectors of words 1-2 and of characters 3-5, a Gaussian
    of each view (the sentence embeddings of one layer of an encoder, centred and normalised), and
    products of standardised lengths.
    """

    def __init__(self, weights: Weights | None = None) -> None:
        self.weights = weights or Weights()

    def fit(
        self, prompts: list[str], views: list[np.ndarray], scores: np.ndarray, trust: np.ndarray
    ) -> Teacher:
        """Fit on prompts (n), views (n, d) of them, scores (n,) and sample weights (n,)."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        common = {"sublinear_tf": True, "dtype": np.float32}
        self._words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, **common).fit(prompts)
        self._characters = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), min_df=3, **common
        ).fit(prompts)
        lengths = _lengths(prompts)
        self._range = np.quantile(lengths, [0.01, 0.99], axis=0)
        self._scale = lengths.mean(0), lengths.std(0) + 1e-9
        self._middle = np.average(scores, weights=trust)
        self._centres = [view.mean(0) for view in views]
        self._views = self._centred(views)
        linear = self._linear(prompts)
        kernel = np.asarray((linear @ linear.T).todense(), np.float64) + self._gaussian(self._views)
        kernel[np.diag_indices(len(scores))] += self.weights.penalty / trust
        self._inverse = np.linalg.inv(kernel)
        self._dual = self._inverse @ (scores - self._middle)
        self._primal = linear.T @ self._dual
        return self

    def predict(self, prompts: list[str], views: list[np.ndarray]) -> np.ndarray:
        """Expected scores (n,)."""
        out = self._middle + self._linear(prompts) @ self._primal
        for start in range(0, len(prompts), 2048):
            rows = slice(start, start + 2048)
            out[rows] += self._gaussian(self._centred([v[rows] for v in views])) @ self._dual
        return out

    def without(self, scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """What teachers that never saw a training prompt's group predict for it (n,).

        Exact without fitting again: the residuals of a left-out group g are K⁻¹[g, g]⁻¹ (K⁻¹ y)[g].
        """
        out = np.empty(len(scores))
        for group in pd.Series(range(len(groups))).groupby(groups).apply(np.array):
            block = self._inverse[np.ix_(group, group)]
            out[group] = scores[group] - np.linalg.solve(block, self._dual[group])
        return out

    def _linear(self, prompts: list[str]):
        """Features (n, F), sparse, whose products are the linear parts of the kernel."""
        from scipy import sparse

        w = self.weights
        # Beyond the lengths that people scored, length earns and costs no more.
        lengths = np.clip(_lengths(prompts), *self._range)
        blocks = [
            w.words**0.5 * self._words.transform(prompts),
            w.characters**0.5 * self._characters.transform(prompts),
            sparse.csr_matrix(w.length**0.5 * (lengths - self._scale[0]) / self._scale[1]),
        ]
        return sparse.hstack(blocks).tocsr()

    def _centred(self, views: list[np.ndarray]) -> list[np.ndarray]:
        """Views without what all prompts have in common, which is most of a middle layer."""
        return [_unit(v - c) for v, c in zip(views, self._centres, strict=True)]

    def _gaussian(self, views: list[np.ndarray]) -> np.ndarray:
        """Kernel (n, m) of prompts, by their centred views, with those of the fit."""
        w = self.weights
        distances = (2 - 2 * a @ b.T for a, b in zip(views, self._views, strict=True))
        return w.embedding / len(views) * sum(np.exp(-w.sharpness * d) for d in distances)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9)


def _lengths(prompts: list[str]) -> np.ndarray:
    """Logarithms of the counts of words and commas, and their squares (n, 4)."""
    counts = np.array([[len(p.split()), p.count(",")] for p in prompts], float)
    logs = np.log1p(counts)
    return np.hstack([logs, logs**2])


def principal(views: list[np.ndarray]) -> np.ndarray:
    """The first 384 principal components (n, 384) of views side by side, of mean variance 1."""
    vectors = np.hstack(views)
    vectors = vectors - vectors.mean(0)
    variance, directions = np.linalg.eigh(vectors.T @ vectors / len(vectors))
    top = np.argsort(variance)[::-1][:_FEATURES]
    return vectors @ (directions[:, top] / np.sqrt(variance[top].mean()))


class Tuned:
    """What encoders tuned on the scores expect (`tune.py`), of cleaned prompts.

    Args:
        share: their weight (0-1) in `averaged`; with 0 the file is not needed.
    """

    def __init__(self, path: Path, share: float) -> None:
        if not 0 <= share <= 1:
            raise InputError(f"--tuned {share}: give a share from 0 to 1")
        if share and not path.is_file():
            raise InputError(
                f"{path} is missing: run python -m train.starter.tune, or give --tuned 0"
            )
        self.share = share
        self._scores = pd.read_parquet(path).set_index("prompt").score if share else None

    def averaged(self, prompts: list[str], expected: np.ndarray) -> np.ndarray:
        """The mean of both (n,); raises InputError for a prompt that was not asked."""
        if self._scores is None:
            return expected
        scores = self._scores.reindex(prompts).to_numpy()
        if np.isnan(scores).any():
            prompt = prompts[int(np.isnan(scores).argmax())]
            raise InputError(
                f"no tuned score of '{prompt}': run python -m train.starter.tune again"
            )
        return self.share * scores + (1 - self.share) * expected


class Views:
    """The embeddings that `embed.py` wrote, by prompt."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("*.parquet"))
        if not paths:
            raise InputError(f"no embeddings in {folder}: run python -m train.starter.embed")
        frames = [pd.read_parquet(path).set_index("prompt").vector for path in paths]
        common = frames[0].index
        for frame in frames[1:]:
            common = common.intersection(frame.index)
        self._row = {prompt: i for i, prompt in enumerate(common)}
        self._tables = [np.stack(f.loc[common].to_numpy()).astype(np.float32) for f in frames]

    def __call__(self, prompts: list[str]) -> list[np.ndarray]:
        """Each view (n, d) of prompts; raises InputError for a prompt that one of them lacks."""
        try:
            rows = [self._row[p] for p in prompts]
        except KeyError as error:
            raise InputError(
                f"no embedding of {error}: run train.starter.embed again, for each encoder"
            ) from error
        return [table[rows] for table in self._tables]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/reward"))
    parser.add_argument("--half", choices=["A", "B", "AB"], default="A")
    for name in ("embedding", "penalty"):
        default = getattr(Weights, name)
        parser.add_argument(f"--{name}", type=float, default=default, help="of class Weights")
    parser.add_argument("--tuned", type=float, default=0.0, help="share of tune.py's scores")
    args = parser.parse_args(argv)
    folder = args.out / args.half
    tuned = Tuned(folder / "tuned.parquet", args.tuned)
    human, transfer, pool = read_tables(args.out)
    embedded = Views(args.out / "views")
    human["clean"] = human.prompt.map(clean)
    mine = human.half.isin(list(args.half))
    labelled, others = human[mine], human[~mine & (human.split == "train")]
    scored = labelled[labelled.split == "train"].reset_index(drop=True)
    prompts, scores = scored.clean.tolist(), scored.score.to_numpy()
    weights = Weights(embedding=args.embedding, penalty=args.penalty)
    teacher = Teacher(weights).fit(
        prompts, embedded(prompts), scores, scored.images.to_numpy(float)
    )

    def says(prompts: list[str]) -> np.ndarray:
        return tuned.averaged(prompts, teacher.predict(prompts, embedded(prompts)))

    expected = tuned.averaged(prompts, teacher.without(scores, scored.cluster.to_numpy()))
    blend = _LABEL * scores + (1 - _LABEL) * expected
    texts = [*pool.prompt, *others.prompt, *others.clean]
    read = [*pool.prompt, *others.clean, *others.clean]
    train = pd.concat(
        [
            pd.DataFrame({"prompt": scored.prompt, "score": blend}),
            # The same prompts as people type them, without Discord's spacing.
            pd.DataFrame({"prompt": prompts, "score": blend}),
            pd.DataFrame({"prompt": texts, "score": says(read)}),
        ]
    )
    train["features"] = list(principal(embedded(prompts + prompts + read)).astype("f2"))
    train = train.drop_duplicates("prompt")
    folder.mkdir(exist_ok=True)
    train.to_parquet(folder / "train.parquet", index=False)
    held = labelled[labelled.split == "validation"]
    # What the teacher says of them tells how much of it the student has learned.
    held[["prompt", "score"]].assign(teacher=says(held.clean.tolist())).to_parquet(
        folder / "validation.parquet", index=False
    )
    figures = {"cross-validation": report(scores, expected)}
    for name, frame in (
        ("validation", human[human.split == "validation"]),
        ("test", human[human.split == "test"]),
        ("transfer", transfer.assign(clean=transfer.prompt)),
    ):
        figures[name] = report(frame.score.to_numpy(), says(frame.clean.tolist()))
    (folder / "teacher.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    train.run(main)
