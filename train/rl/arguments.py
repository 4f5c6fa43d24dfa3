"""What a PPO run depends on, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from bp_core.errors import InputError
from bp_core.score.text_reward import ALPHA, Reward, TextReward, load_reward
from train.rewards.suits import SuitsReward
from train.rl.own_reward import FunctionReward
from train.rl.rewards import Terms


@dataclass
class RewardArguments:
    """Which reward trains, and the terms that keep it honest (see `train.rl.rewards.Terms`)."""

    reward: str | None = field(
        default=None,
        metadata={
            "help": "a function of yours, as module:function or file.py:function, in place of the "
            "models: (prompts, rewrites) to scores"
        },
    )
    suits_reward: str | None = field(
        default=None,
        metadata={
            "help": "a writer that judges phrases (a folder, or starter), in place of relevance: "
            "what is added must suit the prompt"
        },
    )
    aesthetic_reward: str | None = field(
        default=None, metadata={"help": "folder of r_aes; none: the starter's"}
    )
    relevance_reward: str | None = field(
        default=None, metadata={"help": "folder of r_ps; none: the share of kept words"}
    )
    alpha: float = field(default=ALPHA, metadata={"help": "weight of relevance, 0-1"})
    reward_baseline: str = field(default="raw", metadata={"help": "raw, dataset or none"})
    guarded: bool = field(
        default=True, metadata={"help": "reward what the guard leaves, not what was written"}
    )
    reward_clip: float = field(default=10.0, metadata={"help": "of the scaled score; 0: none"})
    kept_weight: float = field(default=0.0, metadata={"help": "a lost word's share, in sd"})
    length_weight: float = field(default=0.0, metadata={"help": "outside of the length band"})
    end_weight: float = field(default=0.0, metadata={"help": "no end token"})
    copies_weight: float = field(default=0.0, metadata={"help": "like others of its prompt"})
    stock_weight: float = field(default=0.0, metadata={"help": "words used everywhere"})
    refused_weight: float = field(default=0.0, metadata={"help": "phrases the guard refuses"})
    words_min: int = field(default=8, metadata={"help": "length band of what is added"})
    words_max: int = field(default=30, metadata={"help": "length band of what is added"})
    stock_limit: float = field(default=0.15, metadata={"help": "share of what is shown, 0-1"})

    def load(self, device: str | torch.device = "cpu") -> Reward | FunctionReward | SuitsReward:
        """What scores rewrites; raises ModelError, InputError."""
        chosen = [n for n in ("reward", "suits_reward", "relevance_reward") if getattr(self, n)]
        if len(chosen) > 1:
            raise InputError(f"{' and '.join(chosen)} exclude each other: give one")
        if self.reward is not None:
            return FunctionReward(self.reward)
        if self.suits_reward is not None:
            beauty = TextReward.load(self.aesthetic_reward, device) if self.alpha < 1 else None
            return SuitsReward(self.suits_reward, beauty, self.alpha, device)
        return load_reward(self.aesthetic_reward, self.relevance_reward, self.alpha, device)

    @property
    def terms(self) -> Terms:
        weights = {
            name: getattr(self, f"{name}_weight")
            for name in ("kept", "length", "end", "copies", "stock", "refused")
        }
        return Terms(
            **weights, **{n: getattr(self, n) for n in ("words_min", "words_max", "stock_limit")}
        )


@dataclass
class PPOArguments(RewardArguments):
    """Everything a run depends on. Batch sizes are of all processes together."""

    prompts: str = field(
        default="runs/written/prompts.txt",
        metadata={"help": "Parquet, CSV (raw_prompt, maybe prompt) or text"},
    )
    output_dir: str = field(default="runs/ppo", metadata={"help": "folder of the run"})
    base: str | None = field(
        default=None, metadata={"help": "the SFT rewriter: folder or hub id; none: the starter"}
    )
    eval_prompts: str | None = field(
        default=None, metadata={"help": "held-out prompts; none: no evaluation"}
    )
    eval_count: int = field(default=64, metadata={"help": "how many of them"})
    judge: str | None = field(
        default=None, metadata={"help": "folder of a second r_aes, for evaluation alone"}
    )

    trained_layers: int = field(default=8, metadata={"help": "upper layers that learn; 0: all"})
    lora_rank: int = field(default=0, metadata={"help": "adapters on those layers instead"})
    rewrite_share: float = field(default=1.0, metadata={"help": "of rewrite among the modes"})
    max_new_tokens: int = field(default=256, metadata={"help": "of a rollout"})
    max_prompt_tokens: int = field(default=128, metadata={"help": "longer prompts are left out"})
    temperature: float = field(default=1.0, metadata={"help": "of rollouts"})

    steps: int = field(default=5000, metadata={"help": "each: rollouts, then epochs over them"})
    rollouts_per_step: int = field(default=64, metadata={"help": "rewrites of a step"})
    samples_per_prompt: int = field(default=1, metadata={"help": "rewrites of each prompt"})
    rollout_chunk: int = field(default=64, metadata={"help": "rows decoded together"})
    epochs: int = field(default=4, metadata={"help": "over the rollouts of a step"})
    minibatch_size: int = field(default=32, metadata={"help": "rollouts of an optimiser step"})
    micro_batch_size: int = field(default=4, metadata={"help": "rows of a forward, a process"})

    learning_rate: float = field(default=5e-6, metadata={"help": "of AdamW"})
    lr_scheduler_type: str = field(default="constant", metadata={"help": "transformers' name"})
    warmup_steps: int = field(default=0, metadata={"help": "of the learning rate"})
    weight_decay: float = field(default=1e-6, metadata={"help": "of AdamW"})
    adam_beta1: float = field(default=0.9, metadata={"help": "of AdamW"})
    adam_beta2: float = field(default=0.95, metadata={"help": "of AdamW"})
    max_grad_norm: float = field(default=1.0, metadata={"help": "gradient clipping"})
    clip: float = field(default=0.2, metadata={"help": "of the probability ratio"})
    value_clip: float = field(default=0.2, metadata={"help": "of the value's change"})
    value_weight: float = field(default=0.5, metadata={"help": "of the value loss"})
    gamma: float = field(default=1.0, metadata={"help": "discount"})
    lam: float = field(default=0.95, metadata={"help": "λ of GAE"})
    kl_beta: float = field(default=0.05, metadata={"help": "first weight of the KL penalty"})
    kl_target: float = field(default=6.0, metadata={"help": "nats a rewrite; 0: β stays"})
    kl_horizon: float = field(default=10_000, metadata={"help": "rewrites"})

    bf16: bool = field(default=False, metadata={"help": "autocast to bfloat16"})
    shard: bool = field(
        default=False,
        metadata={"help": "cut weights, gradients and moments up among the processes (FSDP)"},
    )
    seed: int = field(default=1, metadata={"help": "of prompts, draws and minibatches"})
    threads: int = field(default=0, metadata={"help": "of torch on a CPU; 0: its default"})
    eval_steps: int = field(default=25, metadata={"help": "steps between evaluations"})
    save_steps: int = field(default=25, metadata={"help": "steps between checkpoints"})
    keep_checkpoints: int = field(default=2, metadata={"help": "the newest ones"})
    weights: str = field(default="float16", metadata={"help": "dtype of the written model"})
    stop_when_over_optimised: bool = field(
        default=False, metadata={"help": "end when the judge or the kept words fall"}
    )
    resume: bool = field(default=False, metadata={"help": "go on from the last checkpoint"})

    def __post_init__(self) -> None:
        for name in (
            "steps rollouts_per_step samples_per_prompt rollout_chunk epochs minibatch_size "
            "micro_batch_size eval_count eval_steps save_steps keep_checkpoints words_max"
        ).split():
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give a whole number above 0")
        if not 0 <= self.rewrite_share <= 1:
            raise InputError(f"rewrite_share is {self.rewrite_share}: give a share from 0 to 1")
        if self.rollouts_per_step % self.minibatch_size:
            raise InputError(
                f"rollouts_per_step is {self.rollouts_per_step}: give a multiple of "
                f"minibatch_size {self.minibatch_size}"
            )
        if self.rollouts_per_step % self.samples_per_prompt:
            raise InputError(
                f"rollouts_per_step is {self.rollouts_per_step}: give a multiple of "
                f"samples_per_prompt {self.samples_per_prompt}"
            )
        if self.samples_per_prompt == 1 and self.copies_weight:
            raise InputError(
                "copies_weight compares rollouts of a prompt: raise samples_per_prompt"
            )

    @property
    def modes(self) -> list[str]:
        shares = {"expand": 1 - self.rewrite_share, "rewrite": self.rewrite_share}
        return [mode for mode, share in shares.items() if share > 0]


# Of the arguments, those that may change when a run goes on: where it ends, how it is watched, and
# the weights of the terms, which one learns to choose by watching.
FREE = frozenset(
    "output_dir steps eval_steps save_steps keep_checkpoints eval_prompts eval_count judge weights "
    "stop_when_over_optimised resume shard threads rollout_chunk micro_batch_size kept_weight "
    "length_weight end_weight copies_weight stock_weight refused_weight words_min words_max "
    "stock_limit".split()
)
