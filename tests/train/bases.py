"""Small random bases of every family as one downloads them: no token to spare, no pad token."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.train.tiny_llama import TEXTS, tiny_tokenizer

# Family: what ends its texts, as on the hub.
ENDS = {"bloom": "</s>", "llama": "<|im_end|>", "qwen2": "<|im_end|>", "gpt2": "<|endoftext|>"}
ENDS |= {"qwen3": "<|im_end|>"}


def write_family(folder: Path, kind: str, tied: bool = True, layers: int = 2) -> Path:
    """A folder as transformers writes it; its vocabulary fills the embeddings to the last row."""
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    end = ENDS[kind]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer(TEXTS, controls=(end,)), eos_token=end
    )
    sizes = {"hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 4}
    if kind == "bloom":
        sizes = {"hidden_size": 32, "n_layer": layers, "n_head": 4}
    elif kind == "gpt2":
        sizes = {"n_embd": 32, "n_layer": layers, "n_head": 4, "n_positions": 128}
    else:
        sizes |= {"intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8}
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        tie_word_embeddings=tied,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
        **sizes,
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("norm" in name or "ln_" in name), std=0.1)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder
