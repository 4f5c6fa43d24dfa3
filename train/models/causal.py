"""Causal language models of transformers: taken up from a base, and written as model folders."""

from __future__ import annotations

import json
from pathlib import Path

from bp_core.models.template import Template
from train.data.vocabulary import END, PAD, save
from train.models.weights import write_about, write_weights


def load_base(base: str):
    """(model, tokenizer) of a hub id, a checkpoint, or a folder that this script wrote."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

    model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    ours = Path(base) / "beautifulprompt.json"
    if not ours.is_file():
        return model, AutoTokenizer.from_pretrained(base)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(Path(base) / "tokenizer.json"), eos_token=END
    )
    # A pad token of its own only where the embeddings have a row for it.
    tokenizer.pad_token = PAD if PAD in tokenizer.get_vocab() else END
    return model, tokenizer


def write_folder(model, tokenizer, template: Template, folder: Path, dtype: str) -> None:
    """The model folder that bp_core loads: unprefixed tensors, tied head left out."""
    write_weights(model.base_model.state_dict().items(), folder, dtype)
    config = model.config.to_diff_dict()
    config |= {"architectures": ["BloomForCausalLM"], "dtype": dtype, "torch_dtype": dtype}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save(tokenizer.backend_tokenizer, folder / "tokenizer.json")
    write_about(template, folder)
