"""A small random Llama as one downloads it, with control tokens to spare."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = [
    "a fox in a library, rust-red fur, tall oak shelves",
    "a lighthouse at dusk, heavy swell, violet sky. Gulls wheel above it.",
    "1girl, solo, silver hair, night sky, looking at viewer",
]
CONTROLS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<spare_{i}>" for i in range(5)))


def tiny_tokenizer(
    texts: list[str] = TEXTS, size: int = 420, controls: tuple[str, ...] = CONTROLS
) -> Tokenizer:
    """Byte-level BPE, trained on texts: as SmolLM2's, but for its size."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(controls),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def tiny_llama(vocab_size: int, layers: int = 4, tied: bool = True, seed: int = 0):
    """LlamaForCausalLM, every parameter random."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    model = LlamaForCausalLM(config).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("norm" in name), std=0.15)
    return model


def write_base(folder: Path, layers: int = 4) -> Path:
    """A folder of both, as transformers writes it."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer(),
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    tokenizer.save_pretrained(folder)
    tiny_llama(len(tokenizer), layers).save_pretrained(folder)
    return folder
