"""A dry run of PPO: two steps with few rollouts, in a folder that is thrown away."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bp_core.errors import InputError
from train.report.dry_run import Findings, check_folder
from train.rl.arguments import PPOArguments
from train.rl.checkpoint import latest, read_log
from train.rl.evaluation import CANDIDATES


def try_run(begin: Callable, args: PPOArguments) -> None:
    """Tell what a run would take.

    Args:
        begin: gives a run (see `train/ppo.py`) of arguments.

    Raises:
        BeautifulPromptError: what is wrong with the arguments, or what does not fit.
    """
    last = latest(Path(args.output_dir))
    if last is not None and not args.resume:
        raise InputError(
            f"{args.output_dir} holds a run: go on with --resume true, or give another output_dir"
        )
    findings = Findings([check_folder(args.output_dir)])
    count = math.lcm(args.minibatch_size, args.samples_per_prompt)
    few = {"steps": 2, "rollouts_per_step": count, "eval_count": 1, "keep_checkpoints": 1}
    with TemporaryDirectory() as folder:
        run = begin(replace(args, output_dir=folder, resume=False, **few))
        size = sum(p.numel() for p in run.model.network.parameters())
        learns = sum(p.numel() for p in run.trained.values())
        try:
            run.train()
        except (RuntimeError, MemoryError) as error:
            line = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(
                f"two steps of {count} rollouts failed ({line}): lower micro_batch_size or "
                "rollout_chunk"
            ) from error
        row = read_log(Path(folder))[-1]
    if not run.accelerator.is_main_process:
        return
    findings.checked += [
        f"prompts {args.prompts}, reward and base; {size / 1e6:.1f} million parameters, of which "
        f"{learns / 1e6:.1f} million learn, the value head and copies included"
    ]
    step = row["time/step"] * args.rollouts_per_step / count
    findings.times.append((f"{args.steps} steps of {step:.1f} s", args.steps * step))
    if args.eval_prompts:
        drawn = args.eval_count * CANDIDATES * len(args.modes)
        each = row["time/rollouts"] / count * drawn
        times = 1 + math.ceil(args.steps / args.eval_steps)
        findings.times.append((f"{times} evaluations of {each:.1f} s", times * each))
    findings.basis.append(
        f"two steps of {count} rollouts done just now and thrown away, the second one counted, of "
        f"{row['time/step']:.1f} s; rollouts become longer or shorter as the model learns"
    )
    findings.tell()
