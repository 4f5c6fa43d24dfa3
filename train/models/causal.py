"""Causal language models of transformers: taken up from a base, and written as model folders."""

from __future__ import annotations

import json
from pathlib import Path

from bp_core.errors import InputError
from bp_core.models.checkpoint import weight_files
from bp_core.models.gguf_file import GGUF
from bp_core.models.load import PACKED, opened
from bp_core.models.template import Template
from train.data.vocabulary import save
from train.models.weights import write_about, write_weights


def load_base(base: str):
    """(model in float32, tokenizer) of a hub id, a folder, one that was written here, packed or
    not, or a GGUF file; raises InputError or ModelError for a file that cannot be read."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

    if base.endswith(".gguf"):
        model, tokenizer = _load_gguf(Path(base))
    elif not (Path(base) / "beautifulprompt.json").is_file():
        model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
        return model, AutoTokenizer.from_pretrained(base)
    else:
        if weight_files(Path(base))[0].name == PACKED:
            model = _filled(Path(base))
        else:
            model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(Path(base) / "tokenizer.json"))
    end, pad = model.config.eos_token_id, model.config.pad_token_id
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    # A pad token of its own only where the embeddings have a row for it.
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(end if pad is None else pad)
    return model, tokenizer


def _load_gguf(path: Path):
    from transformers import PreTrainedTokenizerFast

    if not path.is_file():
        raise InputError(f"no file {path}: give a GGUF file, a model folder or a hub id")
    model = _filled(path)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=GGUF(path).tokenizer())
    tokenizer.bos_token = tokenizer.convert_ids_to_tokens(model.config.bos_token_id)
    return model, tokenizer


def _filled(path: Path):
    """A model of weights that only bp_core reads: a GGUF file, or a folder of packed ones."""
    from transformers import AutoConfig, AutoModelForCausalLM

    fields, tensors = opened(path)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**fields), dtype="float32")
    missing, unknown = model.load_state_dict(dict(tensors()), strict=False)
    if unknown or set(missing) - {"lm_head.weight"}:  # which is tied
        raise InputError(f"{path} is not the {fields['model_type']} that it says: download it")
    return model


def write_folder(
    model, tokenizer, template: Template, folder: Path, dtype: str, base: Path | None = None
) -> None:
    """The model folder that bp_core loads: no tied head, end and pad token in config.json.

    Args:
        base: as for `write_about`.
    """
    state, config = model.state_dict(), model.config.to_diff_dict()
    head = model.get_output_embeddings()
    if head.weight is model.get_input_embeddings().weight:
        state = {name: t for name, t in state.items() if name != "lm_head.weight"}
    write_weights(state.items(), folder, dtype)
    # What only tells how the base was kept.
    config = {k: v for k, v in config.items() if k[0] != "_" and k != "quantization_config"}
    config |= {"architectures": [type(model).__name__], "dtype": dtype, "torch_dtype": dtype}
    config |= {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save(tokenizer.backend_tokenizer, folder / "tokenizer.json")
    write_about(template, folder, base)
