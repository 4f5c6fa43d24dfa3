"""Causal language models of transformers: taken up from a base, and written as model folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from bp_core.decode import families
from bp_core.decode.config import Unsupported
from bp_core.errors import InputError, ModelError
from bp_core.models import STARTER
from bp_core.models.checkpoint import PACKED, weight_files
from bp_core.models.folder import BUNDLED
from bp_core.models.gguf_file import GGUF
from bp_core.models.network import opened
from bp_core.models.template import Template
from bp_core.models.tokenizer import read_tokenizer
from train.models.weights import write_about, write_tokenizer, write_weights

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_base(base: str):
    """(model in float32, tokenizer with its end and pad token) of a base to train.

    Args:
        base: a hub id, a folder, one that was written here, packed or not, a GGUF file, or
            "starter".

    Raises:
        InputError, ModelError: it cannot be read, or what is trained from it could not be.
    """
    path = BUNDLED if base == STARTER else Path(base)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise InputError(f"no file {path}: give a GGUF file, a model folder or a hub id")
        model, tokenizer = _filled(path), _plain_tokenizer(GGUF(path).tokenizer())
    elif path.is_dir() and weight_files(path)[0].name == PACKED:
        model, tokenizer = _filled(path), _plain_tokenizer(read_tokenizer(path))
    else:
        model = _whole(str(path) if path.is_dir() else base)
        if (path / "tokenizer.json").is_file():
            # As bp_core reads it: a class guessed from the model's kind may add tokens that the
            # embeddings have no row for.
            tokenizer = _plain_tokenizer(read_tokenizer(path))
        else:
            tokenizer = _guessed_tokenizer(base)
    try:
        families.from_hf(model.config.to_dict())
    except Unsupported:
        pass  # through transformers
    except ModelError as error:
        raise InputError(f"{base}: {error}") from error
    _make_room(model, tokenizer)
    _settle_ends(base, model, tokenizer)
    return model, tokenizer


def _whole(base: str):
    """A model of transformers with every weight that its config asks for."""
    from transformers import AutoModelForCausalLM

    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            base, dtype="float32", output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"cannot load the base '{base}' ({line}): give a model folder, a GGUF file or a hub id"
        ) from error
    missing = sorted(found["missing_keys"])
    if missing:  # transformers would go on with random ones
        raise InputError(
            f"{base} lacks {missing[0]} ({len(missing)} in all): download it again, or, where it "
            "is the head alone that the embeddings stand in for, set tie_word_embeddings to true "
            "in its config.json"
        )
    return model


def _plain_tokenizer(tokenizer: Tokenizer):
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def _guessed_tokenizer(base: str):
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError) as error:
        line = str(error).strip().splitlines()[0]
        raise InputError(f"{base} has no tokenizer.json that can be read ({line})") from error


def _make_room(model, tokenizer) -> None:
    """Rows for all tokens: bp_core loads no model whose tokenizer has more than it."""
    highest = max(tokenizer.get_vocab().values())
    if highest >= model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(highest + 1)


def _settle_ends(base: str, model, tokenizer) -> None:
    """The tokenizer's end and pad token: those of config.json, as bp_core reads them."""
    rows = model.get_input_embeddings().weight.shape[0]
    stated = model.config.eos_token_id
    end = stated[0] if isinstance(stated, list) and stated else stated
    if end is None:
        end = tokenizer.eos_token_id
    if end is None:
        end = tokenizer.convert_tokens_to_ids("</s>")
    if not isinstance(end, int) or not 0 <= end < rows:
        raise InputError(f"{base}: config.json names no end token of its own: add eos_token_id")
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    # A pad token of its own only where there is one, with a row in the embeddings.
    pad = model.config.pad_token_id
    has = isinstance(pad, int) and 0 <= pad < rows
    tokenizer.pad_token = (has and tokenizer.convert_ids_to_tokens(pad)) or tokenizer.eos_token


def _filled(path: Path):
    """A model of weights that only bp_core reads: a GGUF file, or a folder of packed ones."""
    from transformers import AutoConfig, AutoModelForCausalLM

    fields, tensors = opened(path)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**fields), dtype="float32")
    missing, unknown = model.load_state_dict(dict(tensors()), strict=False)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    if unknown or set(missing) - ({"lm_head.weight"} if tied else set()):
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
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    if tied:
        state = {name: t for name, t in state.items() if name != "lm_head.weight"}
    write_weights(state.items(), folder, dtype)
    # What only tells how the base was kept.
    config = {k: v for k, v in config.items() if k[0] != "_" and k != "quantization_config"}
    config |= {"architectures": [type(model).__name__], "dtype": dtype, "torch_dtype": dtype}
    config |= {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    # Readers differ in what they take for granted.
    config["tie_word_embeddings"] = tied
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    write_tokenizer(tokenizer.backend_tokenizer, folder, tokenizer.eos_token, tokenizer.pad_token)
    write_about(template, folder, base)
