"""Supervised fine-tuning: teach a causal language model to write what follows a prompt.

    python train/sft.py --config train/configs/starter_writer.yaml   # the bundled writer
    python train/sft.py --config train/configs/paper_sft.yaml        # bloom-1b1, as in the paper

Reads Parquet pairs (of `train/collect.py` or `train.starter.pair_files`), encodes them as the
rewriter will (template pieces and prose apart), trains through TRL's SFTTrainer with the loss on
the target alone, and writes a model folder that `bp beautify --model FOLDER` runs. Stopped, it goes
on with `--resume true`.
"""

from __future__ import annotations

import json
import math
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

import train
from bp_core.errors import InputError
from bp_core.models import STARTER
from bp_core.models.checkpoint import read_json
from bp_core.models.folder import BUNDLED
from bp_core.models.template import TEMPLATES, Template
from bp_core.models.tokenizer import prompt_parts
from bp_core.models.vision import define_operators
from bp_core.settings import DIALECTS
from train.data.dedup import clusters
from train.data.held_out import held_out, parts
from train.data.judged import read_judged
from train.data.pairs import read_pairs
from train.data.vocabulary import CONTROLS, END, PAD, learn
from train.data.written import Written
from train.models.card import without_card, write_card
from train.models.causal import load_base, write_folder
from train.models.judging import (
    NOTHING_JUDGED,
    Collator,
    add_directions,
    encode,
    encode_judged,
    judging_trainer,
    take_directions,
)
from train.models.memory import keep_freed_memory
from train.models.precision import machine_defaults
from train.models.rounding import Rounding
from train.report.dry_run import DryRun, Findings, throw_away, try_trainer
from train.report.watching import watch


@dataclass
class SftArguments:
    """What is trained on what; TRL's SFTConfig holds the rest."""

    train_file: str = field(
        metadata={"help": "Parquet with raw_prompt, prompt and, if any, mode and dialect"}
    )
    validation_file: str | None = field(
        default=None, metadata={"help": "of the same columns; none: hold out near-duplicates"}
    )
    base: str | None = field(
        default=None, metadata={"help": "hub id or folder to start from; none: random weights"}
    )
    template: str | None = field(
        default=None, metadata={"help": f"{', '.join(TEMPLATES)}; none: the base's, or v1"}
    )
    resume: bool = field(default=False, metadata={"help": "go on from the last checkpoint"})
    stop_at: int = field(
        default=0, metadata={"help": "end after this step, in the middle of the schedule; 0: never"}
    )
    rounded_from: float = field(
        default=1.0,
        metadata={
            "help": "share of the steps after which weights are rounded as they will be kept"
        },
    )
    rounded_group: int = field(default=192, metadata={"help": "weights that share a 4-bit step"})
    rounded_tables: int = field(default=4, metadata={"help": "bits of the embeddings, 4 or 8"})
    judgements: str | None = field(
        default=None,
        metadata={"help": "folder of .jsonl of judged phrases: learn to tell which suit, too"},
    )
    judging_layers: int = field(default=18, metadata={"help": "layers that read judged phrases"})
    weights: str = field(default="float16", metadata={"help": "dtype of the written weights"})
    drop_short: bool = field(
        default=False,
        metadata={"help": "the paper's filter: targets under 25 tokens go, 3 in 10 under 35"},
    )
    modes: list[str] = field(
        default_factory=lambda: ["expand", "rewrite", "text"],
        metadata={"help": "rows of the pair files to use"},
    )
    leave_out: list[str] = field(
        default_factory=list, metadata={"help": "sources of the pair files not to train on"}
    )
    loss_on_prompt: bool = field(
        default=False,
        metadata={"help": "learn from the raw prompts' own words too: for random weights"},
    )
    vocabulary_file: str | None = field(
        default=None, metadata={"help": "text, a line each: learn the vocabulary from it (no base)"}
    )
    vocabulary_size: int = field(default=6144, metadata={"help": "with no base"})
    hidden_size: int = field(default=256, metadata={"help": "with no base"})
    n_layer: int = field(default=5, metadata={"help": "with no base"})
    n_head: int = field(default=4, metadata={"help": "with no base"})


def encode_pair(
    tokenizer, template: Template, row: dict[str, str], longest: int, whole: bool = False
) -> dict:
    """One example: `input_ids` (T,) and `labels` (T,), -100 up to the target; T ≤ longest.

    With `whole` the loss covers the prompt too. Rows of mode "text" are the text alone.
    """
    if row["mode"] == "text":
        ids = encode(tokenizer, row["prompt"])[:longest]
        return {"input_ids": ids, "labels": ids}
    notes = [note for note in row["notes"].split("; ") if note]
    parts = prompt_parts(template, row["mode"], row["raw_prompt"], row["dialect"], notes)
    prompt = [i for text, _ in parts for i in encode(tokenizer, text)]
    target = encode(tokenizer, template.lead + joined(template, row)) + [tokenizer.eos_token_id]
    prompt = prompt[: longest - 1]
    target = target[: longest - len(prompt)]
    labels = prompt if whole else [-100] * len(prompt)
    return {"input_ids": prompt + target, "labels": labels + target}


def joined(template: Template, row: dict[str, str]) -> str:
    """What a model writes: an addition that has no joint of its own gets that of its dialect."""
    if not template.dialects or row["mode"] != "expand" or not row["prompt"][:1].isalnum():
        return row["prompt"]
    return Written(row["raw_prompt"], row["dialect"], "expand", row["prompt"]).target


def check_dialects(tokenizer, rows: list[dict[str, str]]) -> None:
    """Raise InputError for a row of no dialect, or a vocabulary without their control tokens."""
    unknown = {row["dialect"] for row in rows} - set(DIALECTS[1:])
    if unknown:
        raise InputError(f"dialect {unknown.pop()!r}: choose from {', '.join(DIALECTS[1:])}")
    missing = set(CONTROLS) - set(tokenizer.get_vocab())
    if missing:
        raise InputError(
            f"the base has no token {min(missing)}: make it with `python -m train.starter.cut`"
        )


def judged_examples(
    folder: str, tokenizer, template: Template, longest: int, seed: int
) -> dict[str, list[dict]]:
    """Examples of judged phrases to train and to validate on; raises InputError for no rows."""
    files = sorted(Path(folder).glob("*.jsonl"))
    rows = [row for file in files for row in read_judged(file)]
    if not template.judge or not rows:
        why = "no .jsonl with rows there" if template.judge else f"'{template.name}' cannot judge"
        raise InputError(f"--judgements {folder}: {why}")
    rng = random.Random(seed)
    sets: dict[str, list[dict]] = {"train": [], "validation": []}
    for row in rows:
        example = encode_judged(tokenizer, template, row, longest, rng)
        sets["validation" if held_out(row.prompt) else "train"].append(example)
    return sets


def keep_long(examples: list[dict], seed: int) -> list[dict]:
    """The released code's filter: drops targets under 25 tokens, 30 % of those under 35."""
    rng = random.Random(seed)

    def long_enough(example: dict) -> bool:
        size = sum(label != -100 for label in example["labels"])
        return size >= 35 or (size >= 25 and rng.random() >= 0.3)

    return [e for e in examples if long_enough(e)]


def new_model(args: SftArguments, pairs: list[dict[str, str]]):
    """A BLOOM with random weights and a vocabulary learned from the pairs: (model, tokenizer)."""
    from transformers import BloomConfig, BloomForCausalLM, PreTrainedTokenizerFast

    texts = [p[side] for p in pairs for side in ("raw_prompt", "prompt")]
    if args.vocabulary_file:
        texts += Path(args.vocabulary_file).read_text(encoding="utf-8").splitlines()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=learn(texts, args.vocabulary_size), pad_token=PAD, eos_token=END
    )
    config = BloomConfig(
        vocab_size=len(tokenizer),
        hidden_size=args.hidden_size,
        n_layer=args.n_layer,
        n_head=args.n_head,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return BloomForCausalLM(config), tokenizer


def stopping(step: int):
    """A callback that ends training after a step."""
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            control.should_training_stop |= state.global_step >= step

    return Stop()


def template_name(base: str | None) -> str:
    """The template that a base was taught; v1 for one that was taught none."""
    path = Path(base) / "beautifulprompt.json" if base and base != STARTER else None
    if base == STARTER:
        path = BUNDLED / "beautifulprompt.json"
    if path is None or not path.is_file():
        return "v1"
    said = read_json(path).get("template")
    return said["name"] if isinstance(said, dict) and "name" in said else "v1"


def hold_out(rows: list[dict[str, str]], seed: int, share: float = 0.05) -> tuple[list, list]:
    """(training, validation) rows; near-duplicates of a raw prompt are on its side."""
    part = parts(clusters([row["raw_prompt"] or row["prompt"] for row in rows]), [share], seed)
    if not part.any():
        raise InputError("pairs of one prompt alone: give more, or --validation_file")
    learned, held = ([r for r, p in zip(rows, part, strict=True) if p == side] for side in (0, 1))
    return learned, held


def show_samples(folder: Path, rows: list[dict[str, str]], count: int = 3) -> None:
    """What the written model makes of a few prompts that it has not learned, on stderr."""
    from bp_core.rewriter import Rewriter

    prompts = list(dict.fromkeys(row["raw_prompt"] for row in rows if row["raw_prompt"]))[:count]
    rewriter = Rewriter.load(folder)
    for prompt in prompts:
        print(f"  {prompt}\n    → {rewriter(prompt, n=1).text}", file=sys.stderr)


def main(argv: list[str] | None = None) -> None:
    define_operators()
    keep_freed_memory()
    from trl import SFTConfig, SFTTrainer

    args, config, dry = train.parse((SftArguments, SFTConfig, DryRun), argv, machine_defaults())
    args.template = args.template or template_name(args.base)
    if args.template not in TEMPLATES:
        raise InputError(f"no template '{args.template}': choose one of {', '.join(TEMPLATES)}")
    template = TEMPLATES[args.template]
    base = BUNDLED if args.base == STARTER else Path(args.base) if args.base else None

    from datasets import Dataset
    from transformers import set_seed

    set_seed(config.seed)
    pairs = {
        name: [
            row
            for row in read_pairs(getattr(args, f"{name}_file"))
            if row["mode"] in args.modes and row["source"] not in args.leave_out
        ]
        for name in ("train", "validation")
        if getattr(args, f"{name}_file")
    }
    if "validation" not in pairs:
        pairs["train"], pairs["validation"] = hold_out(pairs["train"], config.seed)
    if not all(pairs.values()):
        raise InputError(f"no pairs of the modes {', '.join(args.modes)}: set --modes")
    model, tokenizer = load_base(args.base) if args.base else new_model(args, pairs["train"])
    if template.dialects:
        check_dialects(tokenizer, [row for rows in pairs.values() for row in rows])
    judged = {"train": [], "validation": []}
    if args.judgements:
        judged = judged_examples(
            args.judgements, tokenizer, template, config.max_length, config.seed
        )
        add_directions(model, base, args.judging_layers)
        # TRL would drop what has no token to write, and columns that are not its own.
        config.dataset_kwargs = {"skip_prepare_dataset": True}
        config.remove_unused_columns = False
        SFTTrainer = judging_trainer(SFTTrainer, args.judging_layers)
    sets = {}
    for name, rows in pairs.items():
        whole = args.loss_on_prompt and name == "train"
        examples = [encode_pair(tokenizer, template, r, config.max_length, whole) for r in rows]
        if args.drop_short:
            examples = keep_long(examples, config.seed)
        if args.judgements:  # columns are those of the first row
            examples = [example | NOTHING_JUDGED for example in examples]
        sets[name] = Dataset.from_list(examples + judged[name])
    meant = throw_away(config) if dry.dry_run else config.output_dir
    config.include_num_input_tokens_seen = "non_padding"
    trainer = without_card(SFTTrainer)(
        model=model,
        args=config,
        processing_class=tokenizer,
        train_dataset=sets["train"],
        eval_dataset=sets["validation"],
        data_collator=Collator(tokenizer.pad_token_id) if args.judgements else None,
        callbacks=[stopping(args.stop_at)] if args.stop_at else None,
    )
    if args.rounded_from < 1:
        rounding = Rounding(model, args.rounded_group, args.rounded_tables, args.rounded_from)
        trainer.add_callback(rounding)
    if dry.dry_run:
        counts = [f"{len(rows)} rows for {name}" for name, rows in sets.items()]
        try_trainer(trainer, meant, Findings([f"{', '.join(counts)}; base {args.base or 'none'}"]))
        return
    watch(trainer, "SFT")
    trainer.train(resume_from_checkpoint=args.resume or None)
    loss = trainer.evaluate()["eval_loss"]
    if trainer.is_world_process_zero():
        folder = Path(config.output_dir) / "model"
        unwrapped = trainer.accelerator.unwrap_model(trainer.model)
        suitability = take_directions(unwrapped, args.judging_layers) if args.judgements else None
        write_folder(unwrapped, tokenizer, template, folder, args.weights, base)
        if suitability is not None:
            suitability.save(folder)
        report = {"validation_loss": loss, "validation_perplexity": math.exp(loss)}
        write_card(folder, "rewriter", "train/sft.py", args.base, report)
        (folder / "training.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"wrote {folder}; validation perplexity {math.exp(loss):.2f}", file=sys.stderr)
        show_samples(folder, pairs["validation"])


if __name__ == "__main__":
    train.run(main)
