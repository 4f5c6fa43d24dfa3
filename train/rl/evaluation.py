"""What the policy has become: held-out prompts, rewritten as an artist would get them, judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

import torch
from torch import Tensor

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
class Evaluation:
    """What one evaluation gave.

    Attributes:
        figures: means by mode and name, such as "expand/judge".
        by_prompt: reward, kept share and judge's gain of each prompt, by the same names.
        samples: rewrites to read: mode, prompt and text.
    """

    figures: dict[str, float]
    by_prompt: dict[str, list[float]]
    samples: list[dict[str, str]]


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

    def __call__(self) -> Evaluation:
        """Rewrite and measure."""
        figures: dict[str, float] = {}
        by_prompt: dict[str, list[float]] = {}
        samples: list[dict[str, str]] = []
        for mode in self.modes:
            draws = [[Draw(0, i) for i in range(CANDIDATES)] for _ in self.prompts]
            modes = [mode] * len(self.prompts)
            # As people sample, in contrast to how rollouts are drawn.
            params = sampling_params(Settings(mode=mode))
            rollouts = write(
                self.model, self.prompts, modes, draws, params, self.chunk, True, self.taste
            )
            of_mode, each = self._figures(rollouts)
            figures |= {f"{mode}/{name}": value for name, value in of_mode.items()}
            by_prompt |= {f"{mode}/{name}": values for name, values in each.items()}
            samples += [
                {"mode": mode, "prompt": r.prompt.raw, "text": r.text}
                for r in rollouts[::CANDIDATES][: _SAMPLES // len(self.modes)]
            ]
        return Evaluation(figures, by_prompt, samples)

    def _figures(
        self, rollouts: Sequence[Rollout]
    ) -> tuple[dict[str, float], dict[str, list[float]]]:
        """Means, and what `Evaluation.by_prompt` has of them."""
        groups = [rollouts[i : i + CANDIDATES] for i in range(0, len(rollouts), CANDIDATES)]
        common = Counter(p.lower() for r in rollouts for p in set(r.added))
        gains = self.reward.gain(rollouts)
        kept = torch.tensor([r.kept for r in rollouts])
        by_prompt = {"reward": _by_prompt(gains), "kept": _by_prompt(kept)}
        figures = {
            "reward": float(gains.mean()),
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
            by_prompt["judge"] = _by_prompt(scores - base)
        return figures, by_prompt


def _by_prompt(values: Tensor) -> list[float]:
    """Means (n,) over each prompt's candidates, (n · CANDIDATES,)."""
    return [round(v, 5) for v in values.double().view(-1, CANDIDATES).mean(1).tolist()]
