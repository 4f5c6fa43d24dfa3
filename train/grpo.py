"""Group-relative policy optimisation: the rewards of PPO without a value head, through TRL.

    python train/grpo.py --prompts my/prompts.txt --base runs/mine/model --output_dir runs/mine_grpo
    accelerate launch --num_processes 4 train/grpo.py --config train/configs/paper_grpo.yaml

The alternative to `train/ppo.py` for any causal language model of the hub (arXiv 2402.03300): each
prompt is rewritten several times, and a rewrite is good as far as it beats its siblings. With
`--render true` the pictures are drawn in the loop and judged by PickScore and the aesthetic
predictor. Writes a model folder for `bp beautify --model`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import train
from bp_core.decode.generate import Generation
from bp_core.errors import InputError
from bp_core.models import STARTER
from bp_core.models.folder import BUNDLED
from bp_core.models.load import Model, load
from bp_core.models.tokenizer import prompt_parts
from bp_core.models.vision import define_operators
from bp_core.score.taste import Taste, load_taste
from bp_core.score.text_reward import Constants, Reward
from train.models.card import without_card, write_card
from train.models.causal import load_base, write_folder
from train.models.precision import machine_defaults
from train.report.dry_run import DryRun, Findings, throw_away, try_trainer
from train.report.watching import watch
from train.rewards.labelling import LabelArguments, load_models
from train.rl.arguments import RewardArguments
from train.rl.image_reward import ImageReward
from train.rl.own_reward import FunctionReward
from train.rl.rewards import RolloutReward, StockWords, shown
from train.rl.rollouts import Prompt, drafter, read_prompts, rollout


@dataclass
class GrpoArguments(RewardArguments):
    """What is trained by which reward; TRL's GRPOConfig holds the rest."""

    prompts: str = field(
        default="runs/written/prompts.txt",
        metadata={"help": "Parquet, CSV (raw_prompt, maybe prompt) or text"},
    )
    base: str | None = field(
        default=None, metadata={"help": "the SFT rewriter: folder or hub id; none: the starter"}
    )
    mode: str = field(default="rewrite", metadata={"help": "expand or rewrite"})
    weights: str = field(default="float16", metadata={"help": "dtype of the written weights"})
    resume: bool = field(default=False, metadata={"help": "go on from the last checkpoint"})
    render: bool = field(default=False, metadata={"help": "judge pictures, not texts"})
    checkpoint: str = field(
        default=LabelArguments.checkpoint, metadata={"help": "with render: diffusers model"}
    )
    render_seeds: int = field(default=1, metadata={"help": "with render: pictures a rewrite"})
    pick_mean: float = field(default=20.0, metadata={"help": "with render: of PickScore"})
    pick_std: float = field(default=1.5, metadata={"help": "with render: of PickScore"})
    aesthetic_mean: float = field(default=5.5, metadata={"help": "with render: of aesthetics"})
    aesthetic_std: float = field(default=0.7, metadata={"help": "with render: of aesthetics"})


class RewardFunction:
    """TRL's reward function over our rewards: completions in, scores out, every term logged."""

    def __init__(
        self,
        model: Model,
        reward: RolloutReward,
        taste: Taste,
        prompts: list[Prompt],
        mode: str,
        longest: int,
    ) -> None:
        self.model, self.reward, self.taste = model, reward, taste
        self.mode, self.longest = mode, longest
        self.prompts, self.stock = prompts, StockWords()
        self.__name__ = "reward"

    def __call__(self, completion_ids, index, log_metric=None, **kwargs) -> list[float]:
        """Scores of completions; `index` says which prompt each belongs to."""
        rollouts = []
        for ids, i in zip(completion_ids, index, strict=True):
            prompt = self.prompts[i]
            finished = self.model.eos_id in ids
            tokens = ids[: ids.index(self.model.eos_id)] if finished else list(ids)
            reader = drafter(self.model, prompt, self.mode, self.longest, self.taste)
            generation = Generation(tokens, [0.0], finished)
            rollouts.append(rollout(self.model, prompt, reader, generation))
        scores, parts = self.reward(rollouts, self.stock)
        self.stock.add([r.added for r in shown(rollouts, parts["reward"])])
        if log_metric is not None:
            for name, values in parts.items():
                log_metric(f"score/{name}", float(values.mean()))
            log_metric("kept", sum(r.kept for r in rollouts) / len(rollouts))
        return scores.tolist()


def build_reward(args: GrpoArguments) -> Reward | FunctionReward | ImageReward:
    if not args.render:
        return args.load()
    renderer, pick, aesthetic = load_models(LabelArguments("", "", checkpoint=args.checkpoint))
    return ImageReward(
        renderer,
        pick,
        aesthetic,
        Constants(args.pick_mean, args.pick_std),
        Constants(args.aesthetic_mean, args.aesthetic_std),
        range(args.render_seeds),
        alpha=args.alpha,
    )


def fill(model: Model, prompts: list[Prompt], mode: str, seed: int = 0) -> list[dict]:
    """TRL's rows: what inference reads of a prompt, as text, and which prompt it is; prompts with
    control tokens go."""
    control = [model.tokenizer.id_to_token(i) for i in model.special_ids]
    rows = []
    for i, prompt in enumerate(prompts):
        if any(token in prompt.raw for token in control):
            continue
        read = drafter(model, prompt, mode, 1, seed=seed + i)
        if not read.ids:
            continue
        kind = read.settings
        parts = prompt_parts(model.template, kind.mode, read.raw, kind.dialect, read.notes)
        lead = model.template.lead + read.lead if read.lead else ""
        rows.append({"prompt": "".join(text for text, _ in parts) + lead, "index": i})
    return rows


def main(argv: list[str] | None = None) -> None:
    define_operators()
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    args, config, dry = train.parse((GrpoArguments, GRPOConfig, DryRun), argv, machine_defaults())
    if args.mode not in ("expand", "rewrite"):
        raise InputError(f"mode is '{args.mode}': choose expand or rewrite")
    prompts = read_prompts(args.prompts)
    model = load(args.base or STARTER)
    # Reads and writes text from here on; the network that learns is TRL's.
    model.network = None
    taste = load_taste(args.aesthetic_reward)
    reward = RolloutReward(build_reward(args), args.reward_baseline, args.terms, args.guarded)
    network, tokenizer = load_base(args.base or str(BUNDLED))
    tokenizer.padding_side = "left"
    longest = config.max_completion_length
    meant = throw_away(config) if dry.dry_run else config.output_dir
    rows = fill(model, prompts, args.mode, config.seed)
    trainer = without_card(GRPOTrainer)(
        model=network,
        reward_funcs=RewardFunction(model, reward, taste, prompts, args.mode, longest),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    if dry.dry_run:
        checked = [f"{len(rows)} prompts, the reward, base {args.base or STARTER}"]
        try_trainer(trainer, meant, Findings(checked))
        return
    watch(trainer, "GRPO")
    trainer.train(resume_from_checkpoint=args.resume or None)
    if trainer.is_world_process_zero():
        folder = Path(config.output_dir) / "model"
        trained = trainer.accelerator.unwrap_model(trainer.model)
        write_folder(trained, tokenizer, model.template, folder, args.weights, model.path)
        write_card(folder, "rewriter", "train/grpo.py", args.base or STARTER, {})
        print(f"wrote {folder}", file=sys.stderr)


if __name__ == "__main__":
    train.run(main)
