"""Small random models that several test files share, and what their imports need."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import torch

from train.models.vision import define_operators

define_operators()

from bp_core.decode.bloom import Bloom, BloomConfig  # noqa: E402

# A busy machine is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def random_bloom(
    n_head: int = 2, head_dim: int = 8, n_layer: int = 2, vocab_size: int = 97, seed: int = 0
) -> Bloom:
    """A BLOOM whose every parameter is random, norms and biases too, so that a mix-up shows."""
    torch.manual_seed(seed)
    network = Bloom(BloomConfig(vocab_size, n_head * head_dim, n_layer, n_head))
    for name, parameter in network.named_parameters():
        torch.nn.init.normal_(parameter, std=0.15)
        if "layernorm.weight" in name or name == "ln_f.weight":
            parameter.data += 1
    return network.requires_grad_(False).eval()


def write_folder(folder: Path, network: Bloom, texts: list[str]) -> Path:
    """A model folder as training writes it: config, weights, tokenizer, beautifulprompt.json."""
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    config = network.config
    fields = {
        "model_type": "bloom",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "eos_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(fields))
    (folder / "beautifulprompt.json").write_text(
        json.dumps({"kind": "rewriter", "template": {"name": "starter"}})
    )
    weights = {f"transformer.{name}": p.detach() for name, p in network.named_parameters()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=["</s>", "<|expand|>", "<|rewrite|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def bloom() -> Callable[..., Bloom]:
    """Factory of random BLOOMs: see `random_bloom`."""
    return random_bloom


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A whole, tiny rewriter on disk, with random weights."""
    texts = ["a cat in the garden, oil painting, sharp focus", "a lighthouse at dusk, 8k, detailed"]
    return write_folder(tmp_path / "tiny", random_bloom(vocab_size=300), texts)
