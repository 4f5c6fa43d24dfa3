"""The teacher of the starter's reward."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from tests.train.test_reward import labelled
from train.rewards.ranking import report


def test_the_teacher_learns_words(tmp_path):
    from train.starter.teacher import Teacher, Weights, principal

    frame = labelled(200)
    vectors = np.random.default_rng(0).normal(size=(200, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    prompts, scores = frame.prompt.tolist(), frame.pick_score.to_numpy()
    teacher = Teacher(Weights(penalty=1.0)).fit(
        prompts[:150], [vectors[:150]], scores[:150], np.ones(150)
    )
    guess = teacher.predict(prompts[150:], [vectors[150:]])
    assert report(scores[150:], guess, rounds=0)["spearman"] > 0.6
    assert principal([vectors, vectors]).var(0).mean() == pytest.approx(1, abs=0.05)


def test_the_teacher_without_a_group_is_a_teacher_that_never_saw_it():
    from train.starter.teacher import Teacher, Weights

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 8))
    scores, trust = rng.normal(size=60), rng.integers(1, 4, 60).astype(float)
    groups = np.arange(60) // 3
    rest = groups != 5
    # Words, lengths and means are what a second fit would learn anew: here all are the same.
    vectors[~rest] += vectors[rest].mean(0) - vectors[~rest].mean(0)
    prompts, scores = ["cat"] * 60, scores - np.average(scores, weights=trust)
    whole = Teacher(Weights(penalty=2.0)).fit(prompts, [vectors], scores, trust)
    balance = np.average(scores[rest], weights=trust[rest])
    part = Teacher(Weights(penalty=2.0))
    part.fit(
        [p for p, r in zip(prompts, rest, strict=True) if r],
        [vectors[rest]],
        scores[rest] - balance,
        trust[rest],
    )
    part._dual = part._inverse @ scores[rest]
    part._middle, part._primal = 0.0, part._linear(["cat"] * 57).T @ part._dual
    expected = part.predict(["cat"] * 3, [vectors[~rest]])
    assert whole.without(scores, groups)[~rest] == pytest.approx(expected)
