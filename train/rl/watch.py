"""What has changed between evaluations, and how much of it may be noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

_ALPHA = 0.05  # of an interval


@dataclass(frozen=True)
class Change:
    """A mean change over prompts, with its 95 % interval."""

    mean: float
    low: float
    high: float


def change(before: Sequence[float], after: Sequence[float], tries: int = 1) -> Change:
    """What changed for the same prompts, by Student's t over their differences.

    Args:
        before, after: (n,) figures of the same n prompts; under two of them nothing is known.
        tries: such intervals that were looked at: one of many is outside by luck, so each is
            widened (Bonferroni).
    """
    from scipy.stats import t

    differences = [b - a for a, b in zip(before, after, strict=True)]
    middle, count = mean(differences), len(differences)
    if count < 2:
        return Change(middle, float("-inf"), float("inf"))
    half = float(t.ppf(1 - _ALPHA / 2 / tries, count - 1)) * stdev(differences) / count**0.5
    return Change(middle, middle - half, middle + half)


def spread(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean over prompts; 0 for one prompt."""
    return 1.96 * stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


@dataclass
class Watch:
    """Tells over-optimisation: the training reward rises while the judge or the words fall.

    A fall counts when it is more than the noise of these prompts: when the whole interval of the
    change since the best evaluation lies below these. Of runs of twenty evaluations whose
    judge only wavers, one in ten gives a warning (`benchmarks/alarm.py`).

    Attributes:
        judge_drop: fall of the judge's gain, in standard deviations, that does not matter.
        kept_drop: fall of the kept share (0-1) that does not matter.
    """

    judge_drop: float = 0.0
    kept_drop: float = 0.01

    def __call__(self, history: Sequence[Mapping[str, Sequence[float]]]) -> str:
        """What went wrong by the last of these evaluations, in one line; "" if nothing did.

        Args:
            history: of each evaluation its figures by prompt, such as "expand/judge".
        """
        *before, last = history
        for name, drop in (("judge", self.judge_drop), ("kept", self.kept_drop)):
            for key in [k for k in last if before and k.endswith(f"/{name}")]:
                reward = f"{key.partition('/')[0]}/reward"
                best = max(before, key=lambda row, k=key: mean(row[k]))
                risen = mean(last[reward]) > mean(best[reward])
                # Each evaluation so far might have been the best of those before any other.
                pairs = len(history) * len(before) // 2
                fall = change(best[key], last[key], pairs)
                if risen and fall.high < -drop:
                    return (
                        f"over-optimised: {reward.replace('/', ' ')} rose from "
                        f"{mean(best[reward]):.3f} to {mean(last[reward]):.3f} while {name} fell "
                        f"from {mean(best[key]):.3f} to {mean(last[key]):.3f} (by "
                        f"{-fall.high:.3f} to {-fall.low:.3f}, more than noise)"
                    )
        return ""
