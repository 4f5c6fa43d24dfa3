"""GPT-2: layer norms, learned positions, GELU; its matrices lie the other way round."""

from __future__ import annotations

from collections.abc import Mapping

from .config import Config, Names, Unsupported, shared, small_number, whole_number

_TURNED = "attention.qkv", "attention.out", "feed_forward.up", "feed_forward.down"

NAMES = Names(
    prefix="transformer.",
    layers="h",
    outside=(("embedding", "wte"), ("position_embedding", "wpe"), ("norm", "ln_f")),
    layer=(
        ("attention_norm", "ln_1"),
        ("attention.qkv", "attn.c_attn"),
        ("attention.out", "attn.c_proj"),
        ("feed_forward_norm", "ln_2"),
        ("feed_forward.up", "mlp.c_fc"),
        ("feed_forward.down", "mlp.c_proj"),
    ),
    transposed=_TURNED,
    ignored=("attn.bias", "attn.masked_bias"),
)


def from_hf(fields: Mapping) -> Config:
    """Read a Hugging Face config.json.

    Raises:
        Unsupported: the network has what we do not build.
        ModelError: a field makes no sense.
    """
    if fields.get("activation_function", "gelu_new") not in ("gelu_new", "gelu_pytorch_tanh"):
        raise Unsupported(f"it has {fields['activation_function']} units")
    if fields.get("scale_attn_by_inverse_layer_idx") or not fields.get("scale_attn_weights", True):
        raise Unsupported("it scales attention in its own way")
    if fields.get("add_cross_attention"):
        raise Unsupported("it attends to a second text")
    hidden = whole_number(fields, 768, "hidden_size", "n_embd")
    heads = whole_number(fields, 12, "num_attention_heads", "n_head")
    return Config(
        vocab_size=whole_number(fields, 50257, "vocab_size"),
        hidden_size=hidden,
        n_layer=whole_number(fields, 12, "num_hidden_layers", "n_layer"),
        n_head=heads,
        n_key_head=heads,
        head_dim=shared(hidden, heads, "n_embd", "heads"),
        inner_size=whole_number(fields, 4 * hidden, "n_inner"),
        names=NAMES,
        family="gpt2",
        epsilon=small_number(fields, 1e-5, "layer_norm_epsilon"),
        joined=True,
        positions=whole_number(fields, 1024, "max_position_embeddings", "n_positions"),
        tied=bool(fields.get("tie_word_embeddings", True)),
    )
