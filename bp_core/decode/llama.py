"""Llama (arXiv 2302.13971) and its kin: RMS norms, rotary positions, SwiGLU, shared keys.

Mistral, Qwen2, Qwen3 and SmolLM3 are Llamas with a bias, a norm or a layer changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..errors import ModelError
from .config import Config, Names, Rotation, Unsupported, shared, small_number, whole_number

NAMES = Names(
    prefix="model.",
    layers="layers",
    outside=(("embedding", "embed_tokens"), ("norm", "norm")),
    layer=(
        ("attention_norm", "input_layernorm"),
        ("attention.qkv.0", "self_attn.q_proj"),
        ("attention.qkv.1", "self_attn.k_proj"),
        ("attention.qkv.2", "self_attn.v_proj"),
        ("attention.out", "self_attn.o_proj"),
        ("attention.query_norm", "self_attn.q_norm"),
        ("attention.key_norm", "self_attn.k_norm"),
        ("feed_forward_norm", "post_attention_layernorm"),
        ("feed_forward.up.0", "mlp.gate_proj"),
        ("feed_forward.up.1", "mlp.up_proj"),
        ("feed_forward.down", "mlp.down_proj"),
    ),
    ignored=("rotary_emb.inv_freq",),
)

KINDS = ("llama", "mistral", "qwen2", "qwen3", "smollm3")
# What transformers assumes where config.json is silent.
_TIED = {"smollm3": True}
_BASE = {"smollm3": 2_000_000.0}


def from_hf(fields: Mapping) -> Config:
    """Read a Hugging Face config.json.

    Raises:
        Unsupported: the network has what we do not build.
        ModelError: a field is missing or makes no sense.
    """
    kind = fields["model_type"]
    _refuse(kind, fields)
    hidden = whole_number(fields, 4096, "hidden_size")
    layers = whole_number(fields, 32, "num_hidden_layers")
    heads = whole_number(fields, 32, "num_attention_heads")
    keys = whole_number(fields, heads, "num_key_value_heads")
    shared(heads, keys, "num_attention_heads", "key heads")
    if fields.get("head_dim"):
        dim = whole_number(fields, 128, "head_dim")
    else:
        dim = 128 if kind == "qwen3" else shared(hidden, heads, "hidden_size", "heads")
    attention_bias = bool(fields.get("attention_bias", False))
    bias = ("qkv", "out") if attention_bias else ()
    if kind == "qwen2":
        bias = ("qkv",)
    elif kind == "mistral":
        bias = ()
    if fields.get("mlp_bias"):
        bias += ("feed_forward",)
    return Config(
        vocab_size=whole_number(fields, 32000, "vocab_size"),
        hidden_size=hidden,
        n_layer=layers,
        n_head=heads,
        n_key_head=keys,
        head_dim=dim,
        inner_size=whole_number(fields, 11008, "intermediate_size"),
        names=NAMES,
        family=kind,
        epsilon=small_number(fields, 1e-6, "rms_norm_eps"),
        rms_norm=True,
        rotation=Rotation(_frequencies(kind, fields, dim), _without(kind, fields, layers)),
        gated=True,
        query_norm=kind == "qwen3",
        bias=bias,
        tied=bool(fields.get("tie_word_embeddings", _TIED.get(kind, False))),
    )


def _refuse(kind: str, fields: Mapping) -> None:
    """Raise Unsupported for what changes the network in a way that we do not build."""
    window = fields.get("sliding_window")
    if kind != "mistral" and not fields.get("use_sliding_window", False):
        window = None
    types = set(fields.get("layer_types") or ())
    if window or types - {"full_attention"}:
        raise Unsupported("it has sliding windows")
    if fields.get("hidden_act", "silu") != "silu":
        raise Unsupported(f"it has {fields['hidden_act']} units")
    if fields.get("partial_rotary_factor", 1.0) != 1.0:
        raise Unsupported("it turns parts of its heads")


def _without(kind: str, fields: Mapping, layers: int) -> tuple[int, ...]:
    """SmolLM3's layers without positions: by default every fourth."""
    if kind != "smollm3":
        return ()
    turned = fields.get("no_rope_layers")  # 1 where there are positions, despite the name
    if not turned:
        every = whole_number(fields, 4, "no_rope_layer_interval")
        turned = [int((i + 1) % every != 0) for i in range(layers)]
    return tuple(i for i, each in enumerate(turned) if not each)


def _frequencies(kind: str, fields: Mapping, dim: int) -> tuple[float, ...]:
    """Radians a token of each pair, scaled as config.json says."""
    # transformers 5 writes one field for what were two.
    scaling = fields.get("rope_parameters") or fields.get("rope_scaling") or {}
    if not isinstance(scaling, Mapping):
        raise ModelError(f"config.json gives rope_scaling as {scaling!r}: download the model again")
    base = scaling.get("rope_theta") or fields.get("rope_theta") or _BASE.get(kind, 10000.0)
    frequencies = [1.0 / float(base) ** (i / dim) for i in range(0, dim, 2)]
    how = scaling.get("rope_type") or scaling.get("type") or "default"
    if how == "default":
        return tuple(frequencies)
    try:
        if how == "linear":
            return tuple(each / scaling["factor"] for each in frequencies)
        if how == "factors":  # as GGUF files say what llama3's scaling comes to
            pairs = zip(frequencies, scaling["factors"], strict=True)
            return tuple(each / factor for each, factor in pairs)
        if how == "llama3":
            return tuple(_llama3(each, scaling) for each in frequencies)
    except KeyError as error:
        raise ModelError(
            f"config.json scales positions and names no {error}: download the model again"
        ) from error
    raise Unsupported(f"its positions are scaled as '{how}'")


def _llama3(frequency: float, scaling: Mapping) -> float:
    """Llama 3.1's: long waves are stretched, short ones stay, those between are in between."""
    factor, old = scaling["factor"], scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    waves = old * frequency / (2 * math.pi)  # in the length that it was trained for
    if waves < low:
        return frequency / factor
    if waves > high:
        return frequency
    share = (waves - low) / (high - low)
    return (1 - share) * frequency / factor + share * frequency
