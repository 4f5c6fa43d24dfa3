"""How well predicted scores order prompts: rank correlation, pairwise accuracy, intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_PAIRS = 200_000


def pairwise_accuracy(truth: np.ndarray, guess: np.ndarray, seed: int = 0) -> float:
    """Share of random pairs (at most 200,000) with different truth that `guess` orders alike."""
    n = len(truth)
    if n < 2:
        return float("nan")
    if n * (n - 1) // 2 <= _PAIRS:
        i, j = np.triu_indices(n, 1)
    else:
        i, j = np.random.default_rng(seed).integers(0, n, (2, _PAIRS))
    return ordered(truth[i] - truth[j], guess[i] - guess[j])


def ordered(truth: np.ndarray, guess: np.ndarray) -> float:
    """Share of differences (n,) whose sign is guessed; a guessed tie counts half."""
    differ = truth != 0
    if not differ.any():
        return float("nan")
    signs = np.sign(truth[differ]) * np.sign(guess[differ])
    return float((signs > 0).mean() + 0.5 * (signs == 0).mean())


def interval(
    figure: Callable[[np.ndarray], float], n: int, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of `figure(rows)` over `n` independent units."""
    rng = np.random.default_rng(seed)
    values = [figure(rng.integers(0, n, n)) for _ in range(rounds)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def calibration(truth: np.ndarray, guess: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
    """Mean guess and mean truth in `bins` equal parts, from the lowest guesses to the highest."""
    parts = np.array_split(np.argsort(guess, kind="stable"), min(bins, len(guess)))
    return [
        {"guess": float(guess[p].mean()), "truth": float(truth[p].mean()), "n": len(p)}
        for p in parts
    ]


def report(truth: np.ndarray, guess: np.ndarray, rounds: int = 300) -> dict[str, float]:
    """Spearman, Pearson, pairwise accuracy and n; a 95 % interval of Spearman's by `rounds`. One
    row tells nothing: all but n are not a number."""
    from scipy.stats import pearsonr, spearmanr

    truth, guess = np.asarray(truth, float), np.asarray(guess, float)
    if len(truth) < 2:
        names = ["spearman", "pearson", "pairwise_accuracy"]
        names += ["spearman_low", "spearman_high"] if rounds else []
        return {"n": len(truth)} | dict.fromkeys(names, float("nan"))
    figures = {
        "n": len(truth),
        "spearman": float(spearmanr(truth, guess)[0]),
        "pearson": float(pearsonr(truth, guess)[0]),
        "pairwise_accuracy": pairwise_accuracy(truth, guess),
    }
    if rounds:
        low, high = interval(
            lambda rows: spearmanr(truth[rows], guess[rows])[0], len(truth), rounds
        )
        figures |= {"spearman_low": low, "spearman_high": high}
    return figures


def noise_ceiling(counts: np.ndarray, spreads: np.ndarray, means: np.ndarray) -> float:
    """Best correlation that any text predictor can reach with noisy mean scores.

    The square root of the means' reliability: of their variance over prompts, the part that is
    not the error of a mean of `counts` (n,) scores with standard deviation `spreads` (n,).
    """
    repeated = counts > 1
    if repeated.sum() < 3:
        return float("nan")
    error = np.mean(spreads[repeated] ** 2 / counts[repeated])
    return float(np.sqrt(max(0.0, 1 - error / np.var(means[repeated], ddof=1))))
