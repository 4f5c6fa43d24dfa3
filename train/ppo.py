"""Reinforcement learning: a rewriter that earns more reward and keeps the artist's words.

    python train/ppo.py --config train/configs/starter_ppo.yaml      # on from starter_writer
    python train/ppo.py --config train/configs/paper_ppo.yaml        # bloom-1b1, as in the paper
    accelerate launch --num_processes 4 train/ppo.py --config …      # on several GPUs
    … --shard true                                                   # for larger bases (FSDP)

The third stage of BeautifulPrompt (EMNLP 2023, arXiv 2311.06752), PPO with a value head and an
adaptive KL penalty against the SFT model. `main` tells the story; `train/rl/` holds the pieces:

    rollouts     write rewrites of prompts, through the decoder and the guard of inference
    rewards      score them: the reward models, and terms that keep the reward honest
    experience   log-probabilities, values, advantages, returns
    algorithm    the losses and the KL controller
    policy       the network whose upper layers learn, its reference, its value head
    evaluation   held-out prompts, judged by a reward model that does not train
    writer       the network that writes, in half precision where that is faster
    journal      what a run tells those who watch it

The run's folder gets `log.jsonl`, TensorBoard events, `report.html` (open it while the run goes),
checkpoints, and at the end `model/`, which `bp beautify --model` runs. Killed at whatever moment,
`--resume true` continues with the numbers of a run that was not.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

import train
from bp_core.decode.sampling import SamplingParams
from bp_core.errors import BeautifulPromptError, InputError
from bp_core.models import STARTER
from bp_core.models.vision import define_operators
from bp_core.score.taste import load_taste
from bp_core.score.text_reward import TextReward
from bp_core.settings import MODES
from train.data.progress import bar
from train.models.card import write_card
from train.models.memory import keep_freed_memory
from train.models.weights import load_trainable, write_folder_like
from train.report.dry_run import DryRun
from train.rl import checkpoint
from train.rl.algorithm import KLController, RunningMoments, policy_loss, value_loss
from train.rl.arguments import FREE, PPOArguments
from train.rl.evaluation import Evaluator
from train.rl.experience import Experience, experience, minibatches
from train.rl.journal import Journal, in_short, speeds
from train.rl.policy import Policy, Sequences
from train.rl.processes import Processes
from train.rl.rewards import RolloutReward, StockWords, shown
from train.rl.rollouts import PromptStream, Rollout, read_prompts, short, write
from train.rl.spread import restore_state, spread, whole_state
from train.rl.trial import try_run
from train.rl.writer import Writer


class TrainingError(BeautifulPromptError):
    """The run cannot go on; its last checkpoint can."""


class Run:
    """A PPO run: everything that lives longer than a step."""

    def __init__(self, args: PPOArguments) -> None:
        # What can be wrong is found out in the order of what it costs to look.
        self.args, self.folder = args, Path(args.output_dir)
        last = checkpoint.begin(self.folder, asdict(args), FREE, args.resume)
        prompts = read_prompts(args.prompts)
        held_out = read_prompts(args.eval_prompts)[: args.eval_count] if args.eval_prompts else []
        if args.reward_baseline == "dataset" and not all(p.given for p in prompts):
            raise InputError(f"{args.prompts}: reward_baseline dataset needs the column prompt")

        from accelerate import Accelerator

        self.accelerator = Accelerator(mixed_precision="bf16" if args.bf16 else "no")
        self.all = Processes(self.accelerator)
        self.all.share(args.rollouts_per_step // args.samples_per_prompt, args.minibatch_size)
        device = self.accelerator.device
        self.reward = RolloutReward(
            args.load(device),
            args.reward_baseline,
            args.terms,
            args.guarded,
        )
        self.taste = load_taste(args.aesthetic_reward)
        judge = TextReward.load(args.judge, device) if args.judge else None
        self.model = load_trainable(args.base, device)
        if device.type == "cuda":
            # It would be set up anew for each length that a batch has.
            torch.backends.cuda.enable_cudnn_sdp(False)
        prompts = short(self.model, prompts, args.max_prompt_tokens)
        self.stream = PromptStream(prompts, args.seed, args.rewrite_share, args.samples_per_prompt)
        torch.manual_seed(args.seed)  # of the value head's first weights
        self.policy = Policy(self.model.network, args.trained_layers, args.lora_rank).to(device)
        self.writer = Writer(self.policy, args.bf16)
        self.model.network = self.writer.network
        self.spread = spread(self.policy, self.accelerator, args.shard)
        self.trained = {n: p for n, p in self.policy.named_parameters() if p.requires_grad}
        size = sum(p.numel() * p.element_size() for p in self.trained.values())
        # Weights and two moments a checkpoint, one of them half written, and the model at the end.
        checkpoint.check_room(self.folder, 3 * size * (args.keep_checkpoints + 1) + 2 * size)

        self.optimizer = torch.optim.AdamW(
            self.trained.values(),
            args.learning_rate,
            (args.adam_beta1, args.adam_beta2),
            weight_decay=args.weight_decay,
            fused=True,
        )
        self.schedule = self._schedule()
        self.kl = KLController(args.kl_beta, args.kl_target, args.kl_horizon)
        self.moments = {mode: RunningMoments() for mode in MODES}
        self.stock = StockWords()
        self.step = 0
        if last is not None:
            self._load(last)
        self.journal = None
        if self.accelerator.is_main_process:
            config = asdict(args) | {"processes": self.all.count}
            self.journal = Journal(self.folder, self.step, config)
        self.evaluate = None
        if held_out:
            self.evaluate = Evaluator(
                self.model,
                held_out,
                args.modes,
                self.reward,
                self.taste,
                judge,
                args.rollout_chunk,
            )

    # What happens once.

    def train(self) -> Path:
        """Run to the last step; the folder of the finished model."""
        args, main = self.args, self.accelerator.is_main_process
        shown_steps = bar(args.steps, "PPO", self.step, off=not main)
        if self.step == 0 and self.evaluate is not None:
            self._report(self._evaluation({"step": 0}))
        while self.step < args.steps:
            self.step += 1
            row = {"step": self.step} | self._step()
            if self.evaluate is not None and self._due(args.eval_steps):
                row = self._evaluation(row)
            self._report(row)
            shown_steps.set_postfix(in_short(row), refresh=False)
            shown_steps.update()
            over = args.stop_when_over_optimised and self.all.from_main("flag" in row)
            if over or self._due(args.save_steps):
                self._save()
            if over:
                break
        folder = self.folder / "model"
        with self.spread.whole():
            if main:
                write_folder_like(
                    self.model, self.policy.weights(), folder, args.weights, self.policy.first
                )
                write_card(
                    folder, "rewriter", "train/ppo.py", args.base or STARTER, {"steps": self.step}
                )
        self.accelerator.wait_for_everyone()
        return folder

    # What happens every step.

    def _step(self) -> dict[str, float]:
        """Rollouts, and epochs of learning from them; figures to log."""
        start = time.perf_counter()
        with self.spread.whole():
            rollouts = self._rollouts()
            drawn = time.perf_counter() - start
            scores, parts = self.reward(rollouts, self.stock)
            best = shown(rollouts, parts["reward"])
            self.stock.add(self.all.gather_list([r.added for r in best]))
            lived = self._experience(rollouts, self._scale(rollouts, scores))
        figures = self._learn(lived)
        kl = self.all.mean(lived.kl)
        surprise = -self.all.sum(torch.cat(lived.old).double().sum())
        tokens = self.all.sum(float(sum(lived.lengths)))
        figures |= {f"score/{name}": self.all.mean(part) for name, part in parts.items()}
        figures |= {
            "score/total": self.all.mean(scores),
            **{f"score/std {mode}": self.moments[mode].std for mode in self.args.modes},
            "kl": kl,
            "beta": self.kl.beta,
            "entropy": float(surprise / tokens),
            "kept": self.all.mean([r.kept for r in rollouts]),
            "added_words": self.all.mean([r.added_words for r in rollouts]),
            "finished": self.all.mean([r.finished for r in rollouts]),
            "tokens": self.all.mean(lived.lengths),
            "commonest_word": self.stock.commonest()[1],
            "learning_rate": self.schedule.get_last_lr()[0],
        }
        self.kl.update(kl, self.args.rollouts_per_step)
        self.schedule.step()
        seconds = time.perf_counter() - start
        return figures | speeds(float(tokens), drawn, seconds)

    def _experience(self, rollouts: list[Rollout], scaled: torch.Tensor) -> Experience:
        """What there is to learn from rollouts and their scaled scores."""
        args = self.args
        sequences = Sequences.of(
            [r.ids for r in rollouts], [r.response for r in rollouts], self.accelerator.device
        )
        with self.accelerator.autocast():
            return experience(
                self.policy, sequences, scaled, self.kl, args.gamma, args.lam,
                args.micro_batch_size, self.all.sum,
            )  # fmt: skip

    def _scale(self, rollouts: list[Rollout], scores: torch.Tensor) -> torch.Tensor:
        """Scores over their running standard deviation, clipped.

        Each mode has its own: words lost in rewriting spread the scores of rewrites several times
        as far as beauty spreads those of tails, which would learn next to nothing beside them.
        """
        everyone = self.all.gather(scores)
        if not torch.isfinite(everyone).all():
            raise TrainingError("a reward is not a finite number: look at the reward model")
        scaled = torch.empty_like(scores)
        for mode, moments in self.moments.items():
            rows = torch.tensor([r.mode == mode for r in rollouts])
            of_mode = everyone[self.all.gather(rows)]
            if len(of_mode):
                moments.update(of_mode)
            scaled[rows] = scores[rows] / moments.std
        clip = self.args.reward_clip or torch.inf
        return scaled.clamp(-clip, clip)

    def _rollouts(self) -> list[Rollout]:
        """This process's share of the step's rollouts."""
        args = self.args
        count = args.rollouts_per_step // args.samples_per_prompt // self.all.count
        first = ((self.step - 1) * self.all.count + self.all.index) * count
        prompts, modes, draws = self.stream.take(first, count)
        params = SamplingParams(args.temperature, 0, 1.0, 1.0, args.max_new_tokens)
        self.writer.refresh()
        return write(
            self.model, prompts, modes, draws, params, args.rollout_chunk, taste=self.taste
        )

    def _learn(self, lived: Experience) -> dict[str, float]:
        """Epochs of clipped policy and value updates; means over all of them."""
        args, world = self.args, self.all.count
        share = args.rollouts_per_step // world
        offset = self.all.index * share
        lengths = lived.lengths
        sums = torch.zeros(6, dtype=torch.float64, device=self.accelerator.device)
        updates, norms = 0, 0.0
        parts = args.rollouts_per_step // args.minibatch_size
        for epoch in range(args.epochs):
            seed = (args.seed, 2, self.step, epoch)
            for rows in minibatches(args.rollouts_per_step, parts, seed):
                rows = [int(r) - offset for r in rows if offset <= r < offset + share]
                tokens = self.all.sum(float(sum(lengths[r] for r in rows)))
                rows.sort(key=lambda r: len(lived.trunk[r]))
                size = args.micro_batch_size
                for start in range(0, len(rows), size):
                    with self.spread.accumulate(last=start + size >= len(rows)):
                        sums += self._micro(lived, rows[start : start + size], float(tokens))
                norms += self._update()
                updates += 1
        sums = self.all.sum(sums)
        policy, value, clipped, value_clipped, moved, count = sums.tolist()
        return {
            "loss/policy": policy / updates,
            "loss/value": value / updates,
            "clipped/policy": clipped / count,
            "clipped/value": value_clipped / count,
            "approximate_kl": moved / count,
            "gradient_norm": norms / updates,
        }

    def _micro(self, lived: Experience, rows: list[int], tokens: float) -> torch.Tensor:
        """Gradients of a few rows' part of a minibatch's loss; sums to log."""
        args = self.args
        part = lived.sequences.rows(rows)
        trunk, old, values, advantages, returns = (
            torch.cat([each[r] for r in rows])
            for each in (lived.trunk, lived.old, lived.values, lived.advantages, lived.returns)
        )
        with self.accelerator.autocast():
            new, predicted = self.spread.module(trunk, part.predicts, part.targets)
        policy = policy_loss(new, old, advantages, args.clip, tokens)
        value = value_loss(predicted, values, returns, args.value_clip, tokens)
        # Gradients are averaged over processes, while both losses are parts of one sum.
        loss = policy.loss + args.value_weight * value.loss
        self.accelerator.backward(loss * self.all.count)
        moved = 0.5 * (new - old).detach().square().sum()
        logged = (policy.loss, value.loss, policy.clipped, value.clipped, moved)
        count = torch.tensor(float(len(new)), device=new.device)
        return torch.stack([x.detach().double() for x in (*logged, count)])

    def _update(self) -> float:
        """One optimiser step; the gradient's norm."""
        norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), self.args.max_grad_norm)
        norm = float(self.spread.full(norm))
        if not math.isfinite(norm):
            raise TrainingError(
                f"the gradient of step {self.step} is not finite: lower learning_rate, and go on "
                "from the last checkpoint with --resume true"
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm

    # What happens now and then.

    def _evaluation(self, row: dict) -> dict:
        """`row` with the figures of held-out prompts, and a flag when they tell of trouble."""
        with self.spread.whole():
            if self.journal is not None:
                self.writer.refresh()
                row = self.journal.evaluated(row, self.evaluate())
        self.accelerator.wait_for_everyone()
        return row

    def _report(self, row: dict) -> None:
        """Write a step's figures down, and the page at every evaluation."""
        if self.journal is not None:
            self.journal.add(row, page=row["step"] == 0 or self._due(self.args.eval_steps))

    def _save(self) -> None:
        main = self.accelerator.is_main_process
        tensors = whole_state(self.spread, self.trained, self.optimizer, main)
        if main:
            numbers = {
                "step": self.step,
                "schedule": self.schedule.state_dict(),
                "kl": self.kl.state_dict(),
                "moments": {mode: m.state_dict() for mode, m in self.moments.items()},
                "stock": self.stock.state_dict(),
            }
            checkpoint.write(self.folder, self.step, tensors, numbers, self.args.keep_checkpoints)
        self.accelerator.wait_for_everyone()

    def _load(self, path: Path) -> None:
        tensors, numbers = checkpoint.read(path)
        restore_state(self.spread, self.trained, self.optimizer, tensors)
        self.schedule.load_state_dict(numbers["schedule"])
        self.step = numbers["step"]
        self.kl = KLController(**numbers["kl"])
        self.moments = {mode: RunningMoments(**m) for mode, m in numbers["moments"].items()}
        self.stock.load_state_dict(numbers["stock"])

    # Small things.

    def _schedule(self):
        from transformers import get_scheduler

        args = self.args
        try:
            return get_scheduler(
                args.lr_scheduler_type, self.optimizer, args.warmup_steps, args.steps
            )
        except ValueError as error:
            raise InputError(f"lr_scheduler_type '{args.lr_scheduler_type}': {error}") from error

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.args.steps


def main(argv: list[str] | None = None) -> None:
    define_operators()
    keep_freed_memory()
    args, dry = train.parse((PPOArguments, DryRun), argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    if dry.dry_run:
        return try_run(Run, args)
    run = Run(args)
    try:
        folder = run.train()
    except (RuntimeError, MemoryError) as error:
        raise TrainingError(explain(error, run)) from error
    if run.accelerator.is_main_process:
        print(f"wrote {folder}", file=sys.stderr)


def explain(error: Exception, run: Run) -> str:
    """What a failed step means, in one line with its remedy."""
    text = " ".join(str(error).split())[:200]
    again = f"go on from step {checkpoint.latest_step(run.folder)} with --resume true"
    if isinstance(error, MemoryError) or "memory" in text:
        return f"out of memory at step {run.step}: lower micro_batch_size or rollout_chunk, {again}"
    if run.all.count > 1:
        return f"step {run.step} failed, another process may have died ({text}): {again}"
    return f"step {run.step} failed ({text}): {again}"


if __name__ == "__main__":
    train.run(main)
