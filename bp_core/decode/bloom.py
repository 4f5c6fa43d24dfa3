"""BLOOM (arXiv 2211.05100): layer norms, ALiBi (arXiv 2108.12409), GELU, a tied head."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ModelError
from .config import Config, Names, shared, small_number, whole_number

NAMES = Names(
    prefix="transformer.",
    layers="h",
    outside=(
        ("embedding", "word_embeddings"),
        ("embedding_norm", "word_embeddings_layernorm"),
        ("norm", "ln_f"),
    ),
    layer=(
        ("attention_norm", "input_layernorm"),
        ("attention.qkv", "self_attention.query_key_value"),
        ("attention.out", "self_attention.dense"),
        ("feed_forward_norm", "post_attention_layernorm"),
        ("feed_forward.up", "mlp.dense_h_to_4h"),
        ("feed_forward.down", "mlp.dense_4h_to_h"),
    ),
)


def bloom(
    vocab_size: int,
    hidden_size: int,
    n_layer: int,
    n_head: int,
    epsilon: float = 1e-5,
    post_norm_residual: bool = False,
) -> Config:
    """The config of a BLOOM of these sizes."""
    return Config(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        n_layer=n_layer,
        n_head=n_head,
        n_key_head=n_head,
        head_dim=shared(hidden_size, n_head, "hidden_size", "heads"),
        inner_size=4 * hidden_size,
        names=NAMES,
        family="bloom",
        epsilon=epsilon,
        embedding_norm=True,
        interleaved=True,
        joined=True,
        alibi=True,
        post_norm_residual=post_norm_residual,
    )


def from_hf(config: Mapping) -> Config:
    """Read a Hugging Face config.json; raises ModelError on what is missing or unsupported."""
    if not config.get("tie_word_embeddings", True):
        raise ModelError(
            "config.json unties a BLOOM's output head: choose a model whose head is tied"
        )
    # Names, aliases and defaults are those of transformers, which leaves defaults unwritten.
    return bloom(
        whole_number(config, 250880, "vocab_size"),
        whole_number(config, 64, "n_embed", "hidden_size"),
        whole_number(config, 2, "num_hidden_layers", "n_layer"),
        whole_number(config, 8, "num_attention_heads", "n_head"),
        small_number(config, 1e-5, "layer_norm_epsilon"),
        bool(config.get("apply_residual_connection_post_layernorm", False)),
    )
