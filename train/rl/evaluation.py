"""What the policy has become: held-out prompts, rewritten as an artist would get them, judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from bp_core.decode.sampling import Draw
from bp_core.drafter import sampling_params
from bp_core.models.load import Model
from bp_core.score.taste import Taste
from bp_core.score.text_reward import TextReward
from bp_core.settings import Settings
from bp_core.text.prompt import parse
from train.report.metrics import distinct_bigrams
from train.rl.rewards import RolloutReward
from train.rl.rollouts import Prompt, Rollout, write

CANDIDATES = 8
_SAMPLES = 16


@dataclass(frozen=True)
class Evaluator:
    """Rewrites the same prompts with the same seeds each time.

    Attributes:
        modes: of "expand" and "rewrite", those trained.
        taste: what an artist's rewriter leaves phrases out by.
        judge: a reward model that neither trains nor ranks, or None.
    """

    model: Model
    prompts: Sequence[Prompt]
    modes: Sequence[str]
    reward: RolloutReward
    taste: Taste | None
    judge: TextReward | None
    chunk: int

    def __call__(self) -> tuple[dict[str, float], list[dict[str, str]]]:
        """Figures by name, and rewrites to read."""
        figures: dict[str, float] = {}
        samples: list[dict[str, str]] = []
        for mode in self.modes:
            draws = [[Draw(0, i) for i in range(CANDIDATES)] for _ in self.prompts]
            modes = [mode] * len(self.prompts)
            # As people sample, in contrast to how rollouts are drawn.
            params = sampling_params(Settings(mode=mode))
            rollouts = write(
                self.model, self.prompts, modes, draws, params, self.chunk, True, self.taste
            )
            of_mode = self._figures(rollouts)
            figures |= {f"{mode}/{name}": value for name, value in of_mode.items()}
            samples += [
                {"mode": mode, "prompt": r.prompt.raw, "text": r.text}
                for r in rollouts[::CANDIDATES][: _SAMPLES // len(self.modes)]
            ]
        return figures, samples

    def _figures(self, rollouts: Sequence[Rollout]) -> dict[str, float]:
        groups = [rollouts[i : i + CANDIDATES] for i in range(0, len(rollouts), CANDIDATES)]
        common = Counter(p.lower() for r in rollouts for p in set(r.added))
        figures = {
            "reward": float(self.reward.gain(rollouts).mean()),
            "kept": mean(r.kept for r in rollouts),
            "distinct_bigrams": mean(distinct_bigrams([r.added for r in g]) for g in groups),
            "added_words": float(median(r.added_words for r in rollouts)),
            "refused": mean(r.refused for r in rollouts),
            "finished": mean(r.finished for r in rollouts),
            "commonest_share": max(common.values(), default=0) / len(rollouts),
        }
        if self.judge is not None:
            raw = [g[0].prompt.raw for g in groups]
            base = self.judge.score([parse(r).prose for r in raw], raw).repeat_interleave(
                CANDIDATES
            )
            texts = [parse(r.text).prose for r in rollouts]
            scores = self.judge.score(texts, [r.prompt.raw for r in rollouts])
            figures["judge"] = float((scores - base).mean())
        return figures


@dataclass
class Watch:
    """Tells over-optimisation: the training reward rises while the judge or the words fall.

    Attributes:
        judge_drop: fall of the judge's gain below its best, in standard deviations.
        kept_drop: fall of the kept share (0-1) below its best.
    """

    judge_drop: float = 0.1
    kept_drop: float = 0.02

    def __call__(self, history: Sequence[dict[str, float]]) -> str:
        """What went wrong by the last of these evaluations, in one line; "" if nothing did."""
        last = history[-1]
        for name, drop in (("judge", self.judge_drop), ("kept", self.kept_drop)):
            for key in [k for k in last if k.endswith(f"/{name}")]:
                mode = key.partition("/")[0]
                best = max(history, key=lambda row, k=key: row[k])
                risen = last[f"{mode}/reward"] > best[f"{mode}/reward"]
                if risen and last[key] < best[key] - drop:
                    return (
                        f"over-optimised: {mode} reward rose from {best[f'{mode}/reward']:.3f} to "
                        f"{last[f'{mode}/reward']:.3f} while {name} fell from {best[key]:.3f} to "
                        f"{last[key]:.3f}"
                    )
        return ""
