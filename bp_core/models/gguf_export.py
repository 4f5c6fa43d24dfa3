"""Writes a model as one GGUF file that llama.cpp runs: weights, config, tokenizer and template.

Llama, Mistral, Qwen2, Qwen3, SmolLM3, GPT-2 and BLOOM networks with byte-level BPE tokenizers, in
float16 or 8 bits (Q8_0). `gguf_file` reads it back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..decode.config import Config
from ..decode.transformer import Transformer
from ..errors import ModelError
from .gguf_file import ABOUT, CONTROL, CUTS, MIXED, USER_DEFINED, modules_of, package
from .load import Model, load

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from tokenizers import Tokenizer

KINDS = "f16", "q8_0"
_NORMAL, _UNUSED = 1, 5  # a token's type
# Our families by llama.cpp's names; Mistral without windows is a Llama.
_ARCHITECTURES = {
    "llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3",
    "smollm3": "smollm3", "gpt2": "gpt2", "bloom": "bloom",
}  # fmt: skip
# SmolLM3's layers without positions, which its files do not name.
_EVERY = 4
_BLOOM_LENGTH = 2048
_SAME = 1e-4  # by which two factors of positions may differ and be one
_OTHERWISE = "convert it with llama.cpp's convert_hf_to_gguf.py"
# Normalisation that changes no ASCII text; llama.cpp does none.
_HARMLESS = "NFC", "NFKC"


def export(model: str | Path, path: Path, weights: str = "f16") -> tuple[Path, list[str]]:
    """Write a rewriter as a GGUF file.

    Args:
        model: as for `load`.
        path: the file to write, which must end in .gguf; replaced whole or not at all.
        weights: one of KINDS, of the matrices; norms and biases stay in float32.

    Returns:
        The path, and notes for whoever runs it elsewhere, a line each.

    Raises:
        ModelError: the model is missing, llama.cpp has no such network or tokenizer, a weight does
            not fit, or the file cannot be written.
    """
    if weights not in KINDS or path.suffix != ".gguf":
        raise ModelError(
            f"cannot export {weights} weights to {path}: name a .gguf file, and one of "
            f"{', '.join(KINDS)}"
        )
    gguf = package(path)
    read = load(model, "cpu", "as stored")
    network = read.network
    if not isinstance(network, Transformer):
        raise ModelError(f"{read.name} runs through transformers: {_OTHERWISE}")
    c = network.config
    architecture = _architecture(c)
    partial = path.with_name(f".{path.name}.partial")
    writer = gguf.GGUFWriter(partial, architecture)
    writer.add_name(read.path.stem)
    _add_config(writer, c, read.fields)
    notes = _add_tokenizer(writer, read, c.vocab_size)
    stated = {"kind": "rewriter", "template": read.template.to_dict()}
    writer.add_string(ABOUT, json.dumps(stated | {"dialects": list(read.dialects)}))
    file_type = {"f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}
    writer.add_file_type(file_type[weights])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for name, tensor in _tensors(network, architecture):
            data, stored = _packed(name, tensor, weights)
            writer.add_tensor(name, data, raw_dtype=stored)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(partial, path)
    except OSError as error:
        raise ModelError(
            f"cannot write {path} ({error.strerror or error}): give it room and leave"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return path, notes


def _architecture(c: Config) -> str:
    """llama.cpp's name of a network; raises ModelError where it would compute something else."""
    name = _ARCHITECTURES.get(c.family)
    every = tuple(range(_EVERY - 1, c.n_layer, _EVERY))
    without = c.rotation.without if c.rotation is not None else ()
    if name is None or c.post_norm_residual or without != (every if name == "smollm3" else ()):
        raise ModelError(f"llama.cpp has no {c.family} network of this shape: choose another model")
    return name


def _add_config(writer: GGUFWriter, c: Config, fields: dict[str, Any]) -> None:
    stated = fields.get("max_position_embeddings") or fields.get("seq_length")
    writer.add_context_length(c.positions or stated or _BLOOM_LENGTH)
    writer.add_vocab_size(c.vocab_size)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.n_layer)
    writer.add_feed_forward_length(c.inner_size)
    writer.add_head_count(c.n_head)
    writer.add_head_count_kv(c.n_key_head)
    if c.rms_norm:
        writer.add_layer_norm_rms_eps(c.epsilon)
    else:
        writer.add_layer_norm_eps(c.epsilon)
    if c.rotation is not None:
        writer.add_key_length(c.head_dim)
        writer.add_value_length(c.head_dim)
        writer.add_rope_dimension_count(c.head_dim)
        base, factors = _positions(c.rotation.frequencies)
        writer.add_rope_freq_base(base)
        if (factors - factors[0]).abs().max() > _SAME:
            if c.family not in ("llama", "mistral"):
                raise ModelError(f"llama.cpp does not scale the positions of {c.family} like this")
            writer.add_tensor("rope_freqs.weight", factors.numpy())
        elif abs(factors[0] - 1) > _SAME:
            from gguf import RopeScalingType

            writer.add_rope_scaling_type(RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(float(factors[0]))


def _positions(frequencies: tuple[float, ...]) -> tuple[float, Tensor]:
    """The base of rotary frequencies, and by what each pair's is divided, float32."""
    # The fastest two are scaled alike, or not at all, whatever the scaling.
    half = len(frequencies)
    base = (frequencies[0] / frequencies[1]) ** half if half > 1 else 10000.0
    base = round(base, 3)
    factors = [base ** (-i / half) / each for i, each in enumerate(frequencies)]
    return base, torch.tensor(factors)


def _add_tokenizer(writer: GGUFWriter, model: Model, size: int) -> list[str]:
    """Vocabulary, merges, control tokens and how text is cut; notes on what llama.cpp does not do.

    Raises:
        ModelError: llama.cpp has no such tokenizer.
    """
    stated = json.loads(model.tokenizer.to_str())
    bpe = stated["model"]
    if bpe.get("type") != "BPE" or bpe.get("byte_fallback"):
        raise ModelError(
            f"{model.name} has a tokenizer of another kind than byte-level BPE: {_OTHERWISE}"
        )
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_cut(model.name, stated.get("pre_tokenizer")))
    tokens, kinds = _tokens(model.tokenizer, stated["added_tokens"], size)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    pairs = (m if isinstance(m, str) else " ".join(m) for m in bpe["merges"])
    writer.add_token_merges(list(pairs))
    writer.add_eos_token_id(model.eos_id)
    # Never added; stated because llama.cpp would take a token of GPT-2's for it.
    writer.add_bos_token_id(model.eos_id)
    writer.add_add_bos_token(False)
    notes = []
    kinds_of = {part.get("type") for part in _parts(stated.get("normalizer"), "normalizers")}
    if kinds_of - set(_HARMLESS):
        notes.append(
            f"llama.cpp does not normalise text ({', '.join(sorted(kinds_of))}): give it text that "
            "is so already"
        )
    if any(part.get("add_prefix_space") for part in _cuts(stated.get("pre_tokenizer"))):
        notes.append("llama.cpp puts no space before text: begin it with one")
    return notes


def _tokens(tokenizer: Tokenizer, added: list[dict], size: int) -> tuple[list[str], list[int]]:
    """Each id's token and type; ids that the network has and the tokenizer has not are unused."""
    tokens = [f"[PAD{i}]" for i in range(size)]
    kinds = [_UNUSED] * size
    for token, i in tokenizer.get_vocab(with_added_tokens=True).items():
        tokens[i], kinds[i] = token, _NORMAL
    for token in added:
        kinds[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    return tokens, kinds


def _cut(name: str, stated: dict | None) -> str:
    """llama.cpp's name of how text is cut before pairs are merged; raises ModelError."""
    parts = _cuts(stated)
    types = [part["type"] for part in parts]
    if types == ["ByteLevel"] and parts[0].get("use_regex", True):
        return "gpt-2"
    alone = types[:1] == ["Digits"] and parts[0].get("individual_digits")
    if alone and types[1:] == ["ByteLevel"] and parts[1].get("use_regex", True):
        return "smollm"
    if types == ["Split", "ByteLevel"] and not parts[1].get("use_regex", True):
        how = parts[0]["pattern"].get("Regex")
        for cut, pattern in CUTS.items():
            if how is not None and how == pattern and parts[0].get("behavior") == "Isolated":
                return cut
    raise ModelError(f"{name} cuts text in a way that has no name here: {_OTHERWISE}")


def _cuts(stated: dict | None) -> list[dict]:
    return list(_parts(stated, "pretokenizers"))


def _parts(stated: dict | None, within: str) -> Iterator[dict]:
    """The parts of a tokenizer's stage, sequences unfolded."""
    if stated is None:
        return
    if stated["type"] != "Sequence":
        yield stated
        return
    for part in stated[within]:
        yield from _parts(part, within)


def _tensors(network: Transformer, architecture: str) -> Iterator[tuple[str, Tensor]]:
    """All weights by llama.cpp's names, laid out as it wants them."""
    c = network.config
    table, layers = modules_of(architecture)
    theirs = {name: mine for mine, name in table.items()}
    for mine, parameter in network.named_parameters():
        tensor = parameter.detach()
        owner, _, leaf = c.names.theirs(mine).rpartition(".")
        prefix = ""
        if owner.startswith(f"{layers}."):
            index, _, owner = owner.removeprefix(f"{layers}.").partition(".")
            prefix = f"blk.{index}."
        if architecture in MIXED and owner.endswith(("q_proj", "k_proj")):
            heads = c.n_head if owner.endswith("q_proj") else c.n_key_head
            rows = tensor.reshape(heads, 2, -1, *tensor.shape[1:])
            tensor = rows.transpose(1, 2).reshape(tensor.shape)
        elif c.interleaved and ".qkv." in mine:
            # Queries of all heads, then keys, then values.
            rows = tensor.reshape(c.n_head, 3, c.head_dim, *tensor.shape[1:])
            tensor = rows.transpose(0, 1).reshape(tensor.shape)
        yield f"{prefix}{theirs[owner]}.{leaf}", tensor


def _packed(name: str, tensor: Tensor, weights: str):
    """(array, type) of a tensor as the file keeps it; raises ModelError where it does not fit."""
    from gguf import GGMLQuantizationType, quants

    wide = tensor.float().contiguous()
    if tensor.ndim != 2 or name.startswith("position_embd"):
        return wide.numpy(), GGMLQuantizationType.F32
    if weights == "q8_0" and wide.shape[1] % 32 == 0:
        kind = GGMLQuantizationType.Q8_0
        return quants.quantize(wide.numpy(), kind), kind
    half = wide.half()
    if not torch.isfinite(half).all():
        raise ModelError(f"'{name}' does not fit float16: export it as q8_0")
    return half.numpy(), GGMLQuantizationType.F16
