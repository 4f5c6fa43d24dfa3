"""Train a text reward model: a trunk with a scalar head, regressed on scores of prompts.

    python train/reward.py --config train/configs/starter_reward.yaml   # the bundled r_aes
    python train/reward.py --config train/configs/paper_reward.yaml     # the paper's two

Reads Parquet with `prompt`, a score column, `raw_prompt` where the template asks for it, and,
if there, the spread of the score over an image's seeds (`<score>_std`, `images`), which gives the
noise ceiling. The trunk is that of any base that `bp_core` builds: BLOOM, Llama, Qwen, GPT-2. What
it says of itself (template, pooling, longest text) is taken over where it is a reward already.
Without a validation file, near-duplicate clusters are held out of the training
file. Trains through transformers' Trainer on the very network that scores later, stops early on
validation, and writes a model folder for `TextReward` with `report.json` and `report.png`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

import train
from bp_core.errors import InputError
from bp_core.models.vision import define_operators
from bp_core.score.text_reward import POOLINGS
from train.data.held_out import parts
from train.models.card import write_card
from train.models.memory import keep_freed_memory
from train.models.precision import machine_defaults
from train.report.dry_run import DryRun, Findings, throw_away, try_trainer
from train.report.watching import watch
from train.rewards.network import (
    RewardNetwork,
    load_trunk,
    new_trunk,
    said_of,
    template_of,
    write_folder,
)
from train.rewards.ranking import report
from train.rewards.report import judge, write_report


@dataclass
class RewardArguments:
    """What is learned from what; transformers' TrainingArguments hold the rest."""

    train_file: str = field(metadata={"help": "Parquet with prompt and the score column"})
    validation_file: str | None = field(
        default=None, metadata={"help": "of the same columns; none: hold out clusters"}
    )
    test_file: str | None = field(default=None, metadata={"help": "judged once, at the end"})
    kept_file: str | None = field(
        default=None,
        metadata={
            "help": "pairs whose kept share gives the constants of r_ps's stand-in; none: the "
            "bundled reward's"
        },
    )
    score: str = field(default="score", metadata={"help": "column to learn"})
    template: str | None = field(
        default=None,
        metadata={
            "help": "'ps', 'aes', or a text with {prompt} and maybe {raw}, where </s> stands for "
            "the base's end token; none: the base's, or aes"
        },
    )
    pooling: str | None = field(
        default=None, metadata={"help": f"{' or '.join(POOLINGS)}; none: the base's, or last"}
    )
    base: str | None = field(
        default=None, metadata={"help": "model folder or downloaded hub id; none: random weights"}
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "tokenizer.json to use with no base"}
    )
    word_vectors: str | None = field(
        default=None, metadata={"help": "with no base: .npy of vocabulary vectors to start from"}
    )
    hidden_size: int = field(default=256, metadata={"help": "with no base"})
    n_layer: int = field(default=2, metadata={"help": "with no base"})
    n_head: int = field(default=4, metadata={"help": "with no base"})
    max_tokens: int | None = field(
        default=None, metadata={"help": "longer texts lose their middle; none: the base's, or 384"}
    )
    pairwise: float = field(
        default=0.0, metadata={"help": "weight of the Bradley-Terry loss over a batch's pairs"}
    )
    auxiliary: float = field(
        default=0.0, metadata={"help": "weight of regressing the `features` column too"}
    )
    held_out: float = field(default=0.05, metadata={"help": "share of clusters to validate on"})
    patience: int = field(default=0, metadata={"help": "evaluations without gain; 0: to the end"})
    weights: str = field(default="float16", metadata={"help": "dtype of the written weights"})
    share_tokenizer: bool = field(
        default=False, metadata={"help": "leave tokenizer.json to the folder above"}
    )
    resume: bool = field(default=False, metadata={"help": "go on from the last checkpoint"})


def read_scores(path: str, args: RewardArguments) -> pd.DataFrame:
    """The rows of a Parquet file; raises InputError on what is missing or not a number."""
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({error}): give labelled Parquet") from error
    wanted = {"prompt", args.score} | ({"raw_prompt"} if template_of(args).needs_raw else set())
    missing = wanted - set(frame.columns)
    if missing:
        raise InputError(f"{path} lacks the column(s) {', '.join(sorted(missing))}")
    if frame.empty:
        raise InputError(f"{path} has no rows: label prompts with train/label.py")
    if not np.isfinite(frame[args.score].to_numpy(float)).all():
        raise InputError(f"{path}: column {args.score} has missing or infinite values: drop them")
    return frame.reset_index(drop=True)


def hold_out(frame: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(training, validation) rows; near-duplicates of a prompt are on its side."""
    from train.data.dedup import clusters

    part = parts(clusters(frame.prompt.tolist()), [share], seed)
    if not part.any():
        raise InputError("all prompts are near-duplicates: give more, or --validation_file")
    return frame[part == 0], frame[part == 1]


def kept_constants(path: str) -> dict[str, float]:
    """Mean and standard deviation of the share of the raw prompt's words that pairs keep (0-1)."""
    from bp_core.text.fidelity import fidelity

    try:
        frame = pd.read_parquet(path, columns=["raw_prompt", "prompt"])
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read raw_prompt and prompt from {path} ({error})") from error
    shares = [fidelity(x, y).kept for x, y in zip(frame.raw_prompt, frame.prompt, strict=True)]
    if not np.std(shares) > 0:
        raise InputError(f"{path}: all pairs keep the same share of words: no spread to scale by")
    return {"mean": float(np.mean(shares)), "std": float(np.std(shares))}


def examples(frame: pd.DataFrame, args: RewardArguments, tokenizer, control, scale) -> list[dict]:
    """One dict a row: input_ids (T,), z-scored label, and features (k,) when they are learned."""
    template, (mean, std) = template_of(args), scale
    raw = frame.raw_prompt if template.needs_raw else [""] * len(frame)
    rows = []
    for prompt, given, score in zip(frame.prompt, raw, frame[args.score], strict=True):
        ids = template.encode(tokenizer, prompt, given, control)
        if len(ids) > args.max_tokens:
            ids = ids[: args.max_tokens - 1] + ids[-1:]
        rows.append({"input_ids": ids, "labels": (score - mean) / std})
    if args.auxiliary and "features" in frame.columns:
        for row, features in zip(rows, frame.features, strict=True):
            row["features"] = features
    return rows


def collate(rows: list[dict]) -> dict:
    """Right-padded input_ids (n, T), lengths (n,), labels (n,) and features (n, k)."""
    import torch

    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
    batch = {"input_ids": ids, "lengths": lengths}
    batch["labels"] = torch.tensor([row["labels"] for row in rows], dtype=torch.float32)
    if "features" in rows[0]:
        batch["features"] = torch.tensor(np.stack([row["features"] for row in rows])).float()
    return batch


def main(argv: list[str] | None = None) -> None:
    define_operators()
    keep_freed_memory()
    from transformers import EarlyStoppingCallback, Trainer, TrainingArguments, set_seed

    kinds = (RewardArguments, TrainingArguments, DryRun)
    args, config, dry = train.parse(kinds, argv, machine_defaults())
    said = said_of(args.base)
    args.template = args.template or said.get("template", "aes")
    args.pooling = args.pooling or said.get("pooling", "last")
    args.max_tokens = args.max_tokens or said.get("max_tokens", 384)
    if args.pooling not in POOLINGS:
        raise InputError(f"no pooling '{args.pooling}': choose one of {', '.join(POOLINGS)}")
    rows = read_scores(args.train_file, args)
    if args.validation_file:
        validation = read_scores(args.validation_file, args)
    else:
        rows, validation = hold_out(rows, args.held_out, config.seed)
    test = read_scores(args.test_file, args) if args.test_file else None
    scale = float(rows[args.score].mean()), float(rows[args.score].std())
    if not scale[1] > 0:
        raise InputError(f"{args.train_file}: all of {args.score} is alike: nothing to learn")

    kept = kept_constants(args.kept_file) if args.kept_file else None

    set_seed(config.seed)
    base = load_trunk(args.base) if args.base else new_trunk(args)
    tokenizer, control = base.tokenizer, base.control
    if tokenizer.token_to_id("</s>") is None:
        args.template = template_of(args).text.replace("</s>", base.end)
    width = len(rows.features.iloc[0]) if args.auxiliary and "features" in rows.columns else 0
    network = RewardNetwork(base.network, args.pooling, args.pairwise, args.auxiliary, width)
    # The extra columns are the network's own; Trainer would drop what it cannot see.
    config.remove_unused_columns = False
    config.label_names = ["labels"]
    if args.patience:
        config.load_best_model_at_end = True
        config.metric_for_best_model, config.greater_is_better = "spearman", True
    meant = throw_away(config) if dry.dry_run else config.output_dir
    config.include_num_input_tokens_seen = "all"
    trainer = Trainer(
        model=network,
        args=config,
        train_dataset=examples(rows, args, tokenizer, control, scale),
        eval_dataset=examples(validation, args, tokenizer, control, scale),
        data_collator=collate,
        compute_metrics=lambda p: report(p.label_ids, p.predictions, rounds=0),
        callbacks=[EarlyStoppingCallback(args.patience)] if args.patience else None,
    )
    if dry.dry_run:
        counts = f"{len(rows)} rows of {args.score} to train on, {len(validation)} to validate on"
        try_trainer(trainer, meant, Findings([f"{counts}; base {args.base or 'none'}"]))
        return
    watch(trainer, "reward")
    trainer.train(resume_from_checkpoint=args.resume or None)
    if not trainer.is_world_process_zero():
        return
    network = trainer.accelerator.unwrap_model(trainer.model)
    folder = Path(config.output_dir) / "model"
    write_folder(network, base, args, scale, validation, folder, kept)
    figures = {"validation": judge(folder, validation, args.score)}
    if test is not None:
        figures["test"] = judge(folder, test, args.score)
    write_report(figures, folder)
    spearman = figures["validation"]["spearman"]
    write_card(folder, "reward", "train/reward.py", args.base, {"validation Spearman": spearman})
    print(f"wrote {folder}; validation Spearman {spearman:.3f}", file=sys.stderr)


if __name__ == "__main__":
    train.run(main)
