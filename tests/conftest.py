"""Small random models that several test files share, and what their imports need."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import torch

from bp_core.models.vision import define_operators

define_operators()

from bp_core.decode.bloom import bloom as bloom_of  # noqa: E402
from bp_core.decode.transformer import Transformer  # noqa: E402

SMALL_WRITER = Path(__file__).parent / "data" / "small_writer"

# A busy machine is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Where several processes run tests, one that is marked `alone` has the machine to itself."""
    worker = getattr(item.config, "workerinput", None)
    if worker is None:
        return (yield)
    from filelock import ReadWriteLock

    lock = ReadWriteLock(Path(tempfile.gettempdir()) / f"tests-{worker['testrunuid']}.lock")
    with lock.write_lock() if item.get_closest_marker("alone") else lock.read_lock():
        return (yield)


def random_bloom(
    n_head: int = 2, head_dim: int = 8, n_layer: int = 2, vocab_size: int = 97, seed: int = 0
) -> Transformer:
    """A BLOOM whose every parameter is random, norms and biases too, so that a mix-up shows."""
    torch.manual_seed(seed)
    network = Transformer(bloom_of(vocab_size, n_head * head_dim, n_layer, n_head))
    for name, parameter in network.named_parameters():
        torch.nn.init.normal_(parameter, std=0.15)
        if name.endswith("norm.weight"):
            parameter.data += 1
    return network.requires_grad_(False).eval()


def write_folder(folder: Path, network: Transformer, texts: list[str]) -> Path:
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
        "layer_norm_epsilon": config.epsilon,
        "eos_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(fields))
    (folder / "beautifulprompt.json").write_text(
        json.dumps({"kind": "rewriter", "template": {"name": "starter"}})
    )
    weights = {name: tensor.detach() for name, tensor in network.tensors()}
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
def bloom() -> Callable[..., Transformer]:
    """Factory of random BLOOMs: see `random_bloom`."""
    return random_bloom


@pytest.fixture(scope="session")
def small_writer() -> Path:
    """A rewriter of 5.5 million weights that writes English: for what needs a text that is one."""
    return SMALL_WRITER


@pytest.fixture(scope="session")
def bundled_rewriter():
    """The bundled writer and what ranks its drafts: a second and more to load, so only once."""
    from bp_core import Rewriter

    return Rewriter.load()


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A whole, tiny rewriter on disk, with random weights."""
    texts = ["a cat in the garden, oil painting, sharp focus", "a lighthouse at dusk, 8k, detailed"]
    return write_folder(tmp_path / "tiny", random_bloom(vocab_size=300), texts)


def network_fields(kind: str, vocab_size: int = 97, **changes) -> dict:
    """config.json of a small network of another family ("llama", "gpt2", …)."""
    if kind == "gpt2":
        fields = {"n_embd": 96, "n_layer": 2, "n_head": 6, "n_positions": 512}
    else:
        fields = {
            "hidden_size": 96, "intermediate_size": 160, "num_hidden_layers": 2,
            "num_attention_heads": 6, "num_key_value_heads": 2, "rope_theta": 100.0,
        }  # fmt: skip
    return fields | {"model_type": kind, "vocab_size": vocab_size, "eos_token_id": 0, **changes}


def random_network(kind: str, seed: int = 0, **changes) -> Transformer:
    """The network of `network_fields`, every parameter random."""
    from bp_core.decode import families

    torch.manual_seed(seed)
    network = Transformer(families.from_hf(network_fields(kind, **changes)))
    for name, parameter in network.named_parameters():
        torch.nn.init.normal_(parameter, std=0.15)
        if name.endswith("norm.weight"):
            parameter.data += 1
    return network.requires_grad_(False).eval()


@pytest.fixture
def networks() -> Callable[..., Transformer]:
    """Factory of random networks by family: see `random_network`."""
    return random_network


@pytest.fixture
def folders(model_folder: Path) -> Callable[..., Path]:
    """Factory of rewriters on disk by family: "bloom", or as for `network_fields`."""
    from safetensors.torch import save_file

    def make(kind: str, **changes) -> Path:
        if kind == "bloom":
            return model_folder
        changes = {"vocab_size": 300} | changes
        fields = network_fields(kind, **changes)
        (model_folder / "config.json").write_text(json.dumps(fields))
        weights = {n: t.contiguous() for n, t in random_network(kind, **changes).tensors()}
        save_file(weights, model_folder / "model.safetensors")
        return model_folder

    return make


CONCEPTS = """\
# What is known of two things.
cat | creature | look: soft fur; long whiskers; green eyes | light: window light | tags: cat, fur
lighthouse | building | look: white tower; iron railing | view: from below | tags: lighthouse
"""


@pytest.fixture
def dialect_writer(folders) -> Path:
    """A tiny Llama that writes several dialects and reads notes, with random weights."""
    folder = folders("llama", tie_word_embeddings=True)
    about = {"kind": "rewriter", "template": {"name": "dialects"}}
    (folder / "beautifulprompt.json").write_text(json.dumps(about))
    (folder / "concepts.txt").write_text(CONCEPTS)
    return folder
