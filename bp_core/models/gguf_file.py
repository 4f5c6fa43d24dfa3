"""Models in one GGUF file, llama.cpp's format: config, tokenizer and weights, unpacked on reading.

Reads what `gguf` (the extra of that name) can unpack, among it F16, Q8_0, Q4_0, Q4_1, Q4_K and
Q6_K, of Llamas, Qwen2 and 3, GPT-2 and BLOOM, with a tokenizer of GPT-2's kind or a tokenizer.json
beside. `gguf_export` writes such files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_KINDS = "llama", "qwen2", "qwen3", "smollm3", "gpt2", "bloom"
# Of these, rows of queries and keys that are turned together lie side by side.
MIXED = "llama", "smollm3"
# What a file of ours says as beautifulprompt.json does.
ABOUT = "beautifulprompt.about"
# Their names of a Llama's modules, and ours as a Hugging Face checkpoint has them.
LLAMA_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_GPT2 = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
}
_BLOOM = {
    "attn_norm": "input_layernorm",
    "attn_qkv": "self_attention.query_key_value",
    "attn_output": "self_attention.dense",
    "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.dense_h_to_4h",
    "ffn_down": "mlp.dense_4h_to_h",
    "token_embd": "transformer.word_embeddings",
    "token_embd_norm": "transformer.word_embeddings_layernorm",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
}
CONTROL, USER_DEFINED = 3, 4  # a token's type
_ROWS = 4096  # unpacked at once
_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
# Where text is cut before pairs are merged; None for GPT-2's own way.
CUTS = {
    "gpt-2": None,
    "smollm": "digits",
    "qwen2": rf"{_SHORT}|{_LETTERS}|\p{{N}}|{_REST}",
    "llama-bpe": rf"{_SHORT}|{_LETTERS}|\p{{N}}{{1,3}}|{_REST}",
    "bloom": r" ?[^(\s|[.,!?…。，、।۔،])]+",
}


def modules_of(kind: str) -> tuple[dict[str, str], str]:
    """llama.cpp's names of an architecture's modules with a checkpoint's; and where a checkpoint
    has its layers."""
    if kind == "gpt2":
        return _GPT2, "transformer.h"
    return (_BLOOM, "transformer.h") if kind == "bloom" else (LLAMA_NAMES, "model.layers")


def package(path: Path) -> ModuleType:
    """The package `gguf`; raises ModelError where it is not installed."""
    try:
        import gguf
    except ImportError as error:
        raise ModelError(
            f'{path} needs the gguf package: pip install "beautifulprompt[gguf]"'
        ) from error
    return gguf


def file_of(model: Path) -> Path | None:
    """The GGUF file that a model is, or that is alone in its folder beside no config.json."""
    if model.is_file():
        return model
    files = sorted(model.glob("*.gguf"))
    return files[0] if len(files) == 1 and not (model / "config.json").is_file() else None


class GGUF:
    """An open file.

    Attributes:
        fields: what a Hugging Face config.json of the model would say.

    Raises:
        ModelError: it is cut off, or of a network or kind of weights that we do not know.
    """

    def __init__(self, path: Path) -> None:
        gguf = package(path)
        self.path = path
        try:
            with path.open("rb") as file:
                if file.read(4) != b"GGUF":
                    raise ModelError(f"{path} is not a GGUF file: download it again")
            self._reader = gguf.GGUFReader(path)
            self._stated = {
                name: field.contents()
                for name, field in self._reader.fields.items()
                if not name.startswith("tokenizer.ggml.tok") and "merges" not in name
            }
        except (ValueError, IndexError, OSError, OverflowError, KeyError) as error:
            raise ModelError(
                f"{path} cannot be read ({str(error)[:80]}): it may be cut off, download it again"
            ) from error
        self.fields = self._config()

    def _config(self) -> dict[str, Any]:
        stated = self._stated
        kind = stated.get("general.architecture")
        if kind not in _KINDS:
            raise ModelError(
                f"{self.path} is of a '{kind}' network: choose one of {', '.join(_KINDS)}"
            )
        if stated.get(f"{kind}.expert_count"):
            raise ModelError(f"{self.path} mixes experts, which cannot run here: choose another")

        def of(name: str) -> Any:
            return stated.get(f"{kind}.{name}")

        names = {tensor.name for tensor in self._reader.tensors}
        fields = {
            "model_type": kind,
            "vocab_size": self._shape("token_embd.weight")[0],
            "tie_word_embeddings": "output.weight" not in names,
            "eos_token_id": stated.get("tokenizer.ggml.eos_token_id"),
            "bos_token_id": stated.get("tokenizer.ggml.bos_token_id"),
        }
        if kind == "gpt2":
            fields |= {
                "architectures": ["GPT2LMHeadModel"],
                "n_embd": of("embedding_length"),
                "n_layer": of("block_count"),
                "n_head": of("attention.head_count"),
                "n_inner": of("feed_forward_length"),
                "n_positions": of("context_length"),
                "layer_norm_epsilon": of("attention.layer_norm_epsilon"),
            }
            return {name: value for name, value in fields.items() if value is not None}
        if kind == "bloom":
            # Files of llama.cpp's converter hold the embeddings a second time as the head.
            tied = fields["tie_word_embeddings"] or self._head_is_embeddings()
            fields |= {
                "architectures": ["BloomForCausalLM"],
                "tie_word_embeddings": tied,
                "hidden_size": of("embedding_length"),
                "n_layer": of("block_count"),
                "n_head": of("attention.head_count"),
                "layer_norm_epsilon": of("attention.layer_norm_epsilon"),
                "seq_length": of("context_length"),
            }
            return {name: value for name, value in fields.items() if value is not None}
        scaling = of("rope.scaling.type")
        rope = {"rope_type": "default", "rope_theta": of("rope.freq_base") or 10000.0}
        if scaling not in (None, "none"):
            rope |= {"rope_type": scaling, "factor": of("rope.scaling.factor")}
        if "rope_freqs.weight" in names:
            factors = self._tensor("rope_freqs.weight").tolist()
            rope |= {"rope_type": "factors", "factors": factors}
        known = {"qwen2": "Qwen2", "qwen3": "Qwen3", "smollm3": "SmolLM3"}.get(kind, "Llama")
        fields |= {
            "architectures": [f"{known}ForCausalLM"],
            "hidden_size": of("embedding_length"),
            "num_hidden_layers": of("block_count"),
            "num_attention_heads": of("attention.head_count"),
            "num_key_value_heads": of("attention.head_count_kv") or of("attention.head_count"),
            "intermediate_size": of("feed_forward_length"),
            "rms_norm_eps": of("attention.layer_norm_rms_epsilon"),
            "head_dim": of("attention.key_length") or of("rope.dimension_count"),
            "max_position_embeddings": of("context_length"),
            "rope_parameters": rope,
            "attention_bias": "blk.0.attn_q.bias" in names,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) one at a time, as a Hugging Face checkpoint has them; packed weights come
        in float32."""
        kind = self.fields["model_type"]
        table, layers = modules_of(kind)
        for tensor in self._reader.tensors:
            owner, _, leaf = tensor.name.rpartition(".")
            if owner == "rope_freqs":
                continue
            index = ""
            if owner.startswith("blk."):
                _, index, owner = owner.split(".", 2)
                index = f"{layers}.{index}."
            if owner not in table:
                raise ModelError(f"{self.path} has a tensor '{tensor.name}', which is unknown here")
            data = self._tensor(tensor.name)
            if kind in MIXED and owner in ("attn_q", "attn_k"):
                heads = "num_attention_heads" if owner == "attn_q" else "num_key_value_heads"
                data = _unmixed(data, self.fields[heads])
            elif kind == "gpt2" and leaf == "weight" and owner.startswith(("attn_", "ffn_")):
                data = data.t()
            elif kind == "bloom" and owner == "attn_qkv":
                # Head by head, as its checkpoints are.
                rows = data.view(3, self.fields["n_head"], -1, *data.shape[1:])
                data = rows.transpose(0, 1).reshape(data.shape)
            yield f"{index}{table[owner]}.{leaf}", data

    def about(self) -> dict[str, Any] | None:
        """What a file of ours says of itself, as beautifulprompt.json would; None in others."""
        try:
            found = json.loads(self._stated.get(ABOUT, "null"))
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def _head_is_embeddings(self) -> bool:
        head, table = self._tensor("output.weight"), self._tensor("token_embd.weight")
        return torch.equal(head, table)

    def _shape(self, name: str) -> list[int]:
        tensor = next((t for t in self._reader.tensors if t.name == name), None)
        if tensor is None:
            raise ModelError(f"{self.path} has no tensor '{name}': download it again")
        return tensor.shape.tolist()[::-1]

    def _tensor(self, name: str) -> Tensor:
        from gguf import GGMLQuantizationType, quants

        tensor = next(t for t in self._reader.tensors if t.name == name)
        kind = tensor.tensor_type
        if kind in (GGMLQuantizationType.F32, GGMLQuantizationType.F16):
            # A copy: training would write into the file's map.
            return torch.from_numpy(tensor.data.copy())
        shape = self._shape(name)
        out = torch.empty(shape)
        try:
            for start in range(0, shape[0], _ROWS):
                part = quants.dequantize(tensor.data[start : start + _ROWS], kind)
                out[start : start + _ROWS] = torch.from_numpy(part)
        except NotImplementedError as error:
            raise ModelError(
                f"{self.path}: '{name}' is {kind.name}, which cannot be unpacked: choose Q8_0 or "
                "Q4_K_M"
            ) from error
        return out

    def tokenizer(self) -> Tokenizer:
        """Its tokenizer; raises ModelError on one of another kind than GPT-2's."""
        import tokenizers
        from tokenizers import AddedToken, decoders, models, pre_tokenizers

        kind = self._stated.get("tokenizer.ggml.model")
        cut = self._stated.get("tokenizer.ggml.pre", "gpt-2")
        if kind != "gpt2" or cut not in CUTS:
            raise ModelError(
                f"{self.path} has a tokenizer of kind '{kind}', '{cut}': put the model's "
                "tokenizer.json beside it"
            )
        fields = self._reader.fields
        tokens = fields["tokenizer.ggml.tokens"].contents()
        kinds = fields["tokenizer.ggml.token_type"].contents()
        merges = [tuple(m.split(" ", 1)) for m in fields["tokenizer.ggml.merges"].contents()]
        vocabulary = {token: i for i, token in enumerate(tokens)}
        tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        how = CUTS[cut]
        if how is None or how == "digits":
            parts = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
            parts = [pre_tokenizers.Digits(individual_digits=True), *parts] if how else parts
        else:
            split = pre_tokenizers.Split(tokenizers.Regex(how), "isolated")
            parts = [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
        tokenizer.decoder = decoders.ByteLevel()
        for kind, add in (
            (USER_DEFINED, tokenizer.add_tokens),
            (CONTROL, tokenizer.add_special_tokens),
        ):
            own = [t for t, each in zip(tokens, kinds, strict=True) if each == kind]
            add([AddedToken(t, normalized=False) for t in own])
        return tokenizer


def _unmixed(weight: Tensor, heads: int) -> Tensor:
    """Rows as Llama's code has them: llama.cpp puts those that are turned together side by side."""
    rows = weight.view(heads, -1, 2, *weight.shape[1:])
    return rows.transpose(1, 2).reshape(weight.shape)
