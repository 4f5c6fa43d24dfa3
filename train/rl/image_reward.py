"""The reward of a prompt by the pictures that it makes: slow, and what text rewards stand for."""

from __future__ import annotations

from collections.abc import Sequence

from bp_core.score.text_reward import ALPHA, Constants, Score
from train.rewards.labelling import Draws, Scores


class ImageReward:
    """α · z(PickScore of the picture against the raw prompt) + (1 - α) · z(aesthetic score).

    Takes the place of `bp_core.score.text_reward.Reward` where there is a GPU to draw on.

    Args:
        renderer, pick, aesthetic: as of `train.rewards.labelling.load_models`.
        pick_constants, aesthetic_constants: mean and standard deviation that make z-scores.
        seeds: of the pictures drawn for each prompt; scores are averaged.
        batch: pictures drawn together.
    """

    def __init__(
        self,
        renderer: Draws,
        pick: Scores,
        aesthetic: Scores,
        pick_constants: Constants,
        aesthetic_constants: Constants,
        seeds: Sequence[int] = (0,),
        batch: int = 16,
        alpha: float = ALPHA,
    ) -> None:
        self.renderer, self.pick, self.aesthetic = renderer, pick, aesthetic
        self.pick_constants, self.aesthetic_constants = pick_constants, aesthetic_constants
        self.seeds, self.batch, self.alpha = seeds, batch, alpha

    def score(self, prompts: Sequence[str], raw: Sequence[str]) -> list[Score]:
        """One Score a prompt; `raw` are the artist's prompts, one each."""
        jobs = [(p, r, seed) for p, r in zip(prompts, raw, strict=True) for seed in self.seeds]
        picks: list[float] = []
        beauty: list[float] = []
        for start in range(0, len(jobs), self.batch):
            texts, raws, seeds = zip(*jobs[start : start + self.batch], strict=True)
            pictures = self.renderer.render(texts, seeds)
            picks += self.pick.score(pictures, raws).tolist()
            beauty += self.aesthetic.score(pictures).tolist()
        count = len(self.seeds)
        scores = []
        for start in range(0, len(jobs), count):
            relevance = self.pick_constants.z(sum(picks[start : start + count]) / count)
            aesthetic = self.aesthetic_constants.z(sum(beauty[start : start + count]) / count)
            total = self.alpha * relevance + (1 - self.alpha) * aesthetic
            scores.append(Score(total, relevance, aesthetic))
        return scores
