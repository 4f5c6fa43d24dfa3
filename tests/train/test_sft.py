"""Supervised fine-tuning from pairs to a folder that the rewriter runs."""

import json
import shutil

import pandas as pd
import pytest
import torch

from bp_core.models.load import load
from bp_core.models.template import TEMPLATES
from bp_core.rewriter import Rewriter
from train import sft

PAIRS = [
    ("a fox", "soft light, oil painting", "expand"),
    ("a ship", "heavy rain, deep shadow", "expand"),
    ("an owl", "an owl, misty morning", "rewrite"),
    ("", "a plain caption", "text"),
] * 8


@pytest.fixture
def pairs(tmp_path):
    frame = pd.DataFrame(PAIRS, columns=["raw_prompt", "prompt", "mode"])
    for name in ("train", "validation"):
        frame.to_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def run(folder, *more):
    sft.main(
        f"--train_file {folder}/train.parquet --validation_file {folder}/validation.parquet "
        f"--output_dir {folder}/run --report_to none --use_cpu true --bf16 false "
        "--max_length 64 --per_device_train_batch_size 8 --logging_steps 1000".split()
        + list(more)
    )
    return folder / "run" / "model"


@pytest.fixture
def starter(pairs):
    return run(
        pairs,
        *"--template starter --vocabulary_size 320 --hidden_size 16 --n_layer 1 --n_head 2".split(),
        *"--loss_on_prompt true --num_train_epochs 1 --seed 3".split(),
    )


def test_a_starter_from_nothing_runs_in_the_rewriter(starter):
    result = Rewriter(load(starter))("a fox", n=2, max_new_tokens=6)
    assert result.prompt == "a fox"
    assert not list(starter.glob("*.bin"))


def test_merges_are_strings_that_old_tokenizers_read(starter):
    merges = json.loads((starter / "tokenizer.json").read_text())["model"]["merges"]
    assert merges and all(isinstance(merge, str) for merge in merges)


def test_the_papers_config_trains_a_base_model_on_rewrites(starter, pairs, tmp_path):
    # The same script and template as for bloom-1b1, started from a folder.
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(starter / "tokenizer.json"), eos_token="</s>", pad_token="<pad>"
    )
    base = tmp_path / "base"
    shutil.copytree(starter, base)
    tokenizer.save_pretrained(base)
    folder = run(
        pairs,
        *f"--base {base} --template v1 --weights float32 --max_steps 2".split(),
        *"--learning_rate 1e-3".split(),
    )
    model = load(folder)
    assert model.template == TEMPLATES["v1"]
    before, after = (load(each, dtype="float32").network for each in (base, folder))
    assert any(
        not torch.equal(a.float(), b.float())
        for a, b in zip(before.parameters(), after.parameters(), strict=True)
    )


def test_the_loss_is_on_the_target_alone(starter):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(starter / "tokenizer.json"), eos_token="</s>"
    )
    row = {"raw_prompt": "a fox", "prompt": "soft light", "mode": "rewrite"}
    example = sft.encode_pair(tokenizer, TEMPLATES["v1"], row, 128)
    target = [label for label in example["labels"] if label != -100]
    assert tokenizer.decode(target[:-1]).strip() == "soft light"
    assert target[-1] == tokenizer.eos_token_id
    model = load(starter)
    model.template = TEMPLATES["v1"]
    assert example["input_ids"][: -len(target)] == model.encode("a fox", "rewrite")
