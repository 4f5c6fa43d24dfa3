"""Rewriters as training takes them up, and as it writes them down for `bp_core.models`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bp_core.decode.transformer import Transformer
from bp_core.errors import InputError
from bp_core.models import STARTER
from bp_core.models.checkpoint import write_safetensors
from bp_core.models.folder import BUNDLED
from bp_core.models.load import Model, load
from bp_core.models.template import Template
from bp_core.text.concepts import file_of
from train.data.vocabulary import save

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_trainable(base: str | None, device: torch.device) -> Model:
    """A rewriter in float32 whose parameters can learn; raises ModelError, InputError."""
    model = load(base or STARTER, "cpu", "float32")
    if not isinstance(model.network, Transformer):
        raise InputError(
            f"{model.name} runs through transformers: train/ppo.py trains BLOOM, Llama and GPT-2 "
            "networks, train/grpo.py any"
        )
    for name, parameter in list(model.network.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        # Out of the file's memory map.
        own = torch.nn.Parameter(parameter.detach().clone(), requires_grad=False)
        setattr(model.network.get_submodule(owner), leaf, own)
    model.network.to(device)
    return model


def write_weights(tensors: Iterable[tuple[str, Tensor]], folder: Path, dtype: str) -> None:
    """model.safetensors from named tensors.

    Raises:
        InputError: a value is not finite, or does not fit `dtype`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = getattr(torch, dtype)
    state = {name: t.detach().to("cpu", kind).contiguous() for name, t in tensors}
    # float16 cannot hold what training in bfloat16 may reach; say so rather than write infinities.
    bad = [name for name, t in state.items() if not torch.isfinite(t).all()]
    if bad:
        raise InputError(f"{bad[0]} does not fit {dtype}: set --weights bfloat16 or float32")
    write_safetensors(state, folder / "model.safetensors", metadata={"format": "pt"})


def write_folder_like(
    model: Model,
    tensors: Iterable[tuple[str, Tensor]],
    folder: Path,
    dtype: str,
    untouched: int = 0,
) -> None:
    """A model folder with new weights; config, tokenizer and template are those of `model`.

    Args:
        untouched: how many of the first layers, and the embeddings, are as they were: what the
            model tells by them alone (`bp_core.models.suitability`) is still right.
    """
    write_weights(tensors, folder, dtype)
    config = model.fields | {"dtype": dtype, "torch_dtype": dtype}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    end, stated = model.tokenizer.id_to_token(model.eos_id), config.get("pad_token_id")
    pad = model.tokenizer.id_to_token(stated) if isinstance(stated, int) and stated >= 0 else end
    write_tokenizer(model.tokenizer, folder, end, pad or end)
    write_about(model.template, folder, model.path)
    if model.suitability is not None and untouched >= model.suitability.depth:
        model.suitability.save(folder)


def write_tokenizer(tokenizer: Tokenizer, folder: Path, end: str, pad: str) -> None:
    """tokenizer.json, and what transformers wants to know beside it."""
    save(tokenizer, folder / "tokenizer.json")
    # A class that transformers takes by the model's kind would add its own of what is not said.
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end, "pad_token": pad}
    said |= {"bos_token": end, "unk_token": end, "add_bos_token": False}
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def write_about(template: Template, folder: Path, base: Path | None = None) -> None:
    """beautifulprompt.json of a rewriter, and the concepts that its notes are of.

    Args:
        base: the folder that training began with, whose concepts they are; the bundled ones where
            it has none.
    """
    about = {"kind": "rewriter", "template": template.to_dict()}
    text = json.dumps(about, indent=2) + "\n"
    (folder / "beautifulprompt.json").write_text(text, encoding="utf-8")
    if template.notes:
        files = [file_of(home) for home in (base, BUNDLED) if home is not None]
        file = next((file for file in files if file is not None), None)
        if file is not None and file.parent.resolve() != folder.resolve():
            shutil.copyfile(file, folder / file.name)
