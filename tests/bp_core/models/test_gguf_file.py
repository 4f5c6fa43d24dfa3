"""gguf_file.py: one-file models read as the checkpoints that they were made of."""

import json

import numpy as np
import pytest
import torch

from bp_core.decode.generate import generate
from bp_core.errors import ModelError
from bp_core.models import gguf_file
from bp_core.models.load import load

gguf = pytest.importorskip("gguf")

IDS = torch.tensor([[5, 6, 7, 8]])
SIZES = {
    "vocab_size": 300, "hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4,
}  # fmt: skip


def write(folder, network, kind="F32", architecture="llama", freqs=None):
    """A Llama as llama.cpp's converter writes it, with the tokenizer of a model folder."""
    stated = json.loads((folder / "tokenizer.json").read_text())["model"]
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).unlink()
    c, path = network.config, folder / "model.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.n_layer)
    writer.add_head_count(c.n_head)
    writer.add_head_count_kv(c.n_key_head)
    writer.add_feed_forward_length(c.inner_size)
    writer.add_layer_norm_rms_eps(c.epsilon)
    writer.add_rope_freq_base(100.0)
    writer.add_rope_dimension_count(c.head_dim)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    words = sorted(stated["vocab"], key=stated["vocab"].get)
    writer.add_token_list(words)
    writer.add_token_types([3 if i < 3 else 1 for i in range(len(words))])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in stated["merges"]])
    writer.add_eos_token_id(0)
    names = {theirs: mine for mine, theirs in gguf_file.LLAMA_NAMES.items()}
    if freqs is not None:
        writer.add_tensor("rope_freqs.weight", freqs)
    for name, tensor in network.tensors():
        owner, _, leaf = name.rpartition(".")
        prefix = ""
        if owner.startswith("model.layers."):
            _, _, index, owner = owner.split(".", 3)
            prefix = f"blk.{index}."
        if architecture == "llama" and owner.endswith(("q_proj", "k_proj")):
            heads = c.n_head if owner.endswith("q_proj") else c.n_key_head
            rows = tensor.view(heads, 2, -1, *tensor.shape[1:])
            tensor = rows.transpose(1, 2).reshape(tensor.shape)
        data = np.ascontiguousarray(tensor.numpy())
        want = gguf.GGMLQuantizationType[kind if tensor.ndim == 2 else "F32"]
        data = gguf.quants.quantize(data, want)
        writer.add_tensor(f"{prefix}{names[owner]}.{leaf}", data, raw_dtype=want)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("kind", "error"), [("F32", 1e-5), ("F16", 0.02), ("Q8_0", 0.05), ("Q4_0", 0.8), ("Q4_1", 0.8)]
)
def test_logits_are_the_checkpoints(model_folder, networks, kind, error):
    network = networks("llama", **SIZES)
    path = write(model_folder, network, kind)
    for model in (model_folder, path):
        read = load(model, dtype="float32")
        off = (read.network(IDS) - network(IDS)).norm() / network(IDS).norm()
        assert off < error
    assert read.eos_id == 0 and read.special_ids == {0, 1, 2}


@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
def test_kin(model_folder, networks, kind):
    network = networks(kind, **SIZES, head_dim=64)
    write(model_folder, network, architecture=kind)
    torch.testing.assert_close(load(model_folder, dtype="float32").network(IDS), network(IDS))


def test_stretched_positions(model_folder, networks):
    network = networks("llama", **SIZES)
    half = network.config.head_dim // 2
    write(model_folder, network, freqs=np.full(half, 2.0, np.float32))
    scaled = {"rope_type": "linear", "factor": 2.0, "rope_theta": 100.0}
    want = networks("llama", **SIZES, rope_parameters=scaled)
    torch.testing.assert_close(load(model_folder, dtype="float32").network(IDS), want(IDS))


def test_the_tokenizer_is_the_folders(model_folder, networks):
    before = load(model_folder)
    write(model_folder, networks("llama", **SIZES))
    after = load(model_folder)
    for text in ("a cat <|expand|> in the garden, 8k", "Ünïcode 日本 1234  x"):
        assert after.encode(text, "expand") == before.encode(text, "expand")
        assert after.decode(after.encode(text, "expand")) == before.decode(
            before.encode(text, "expand")
        )
    assert generate(after.network, [[5, 6]], eos=after.eos_id, n=2)


@pytest.mark.parametrize("size", [3, 100, 20_000, -1000])
def test_a_file_that_is_cut_off(model_folder, networks, size):
    path = write(model_folder, networks("llama", **SIZES))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelError, match="download it again") as caught:
        load(model_folder)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_another_network(model_folder, networks):
    path = write(model_folder, networks("llama", **SIZES), architecture="mamba")
    with pytest.raises(ModelError, match="is of a 'mamba' network"):
        load(path)


def test_without_the_package(model_folder, networks, monkeypatch):
    write(model_folder, networks("llama", **SIZES))
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(ModelError, match=r"beautifulprompt\[gguf\]"):
        load(model_folder)


def blocks(kind, rows, columns, rng):
    """Random blocks of 256 weights as llama.cpp lays them out, (rows, bytes)."""
    size = {"Q4_K": 144, "Q6_K": 210}[kind]
    raw = rng.integers(0, 256, (rows, columns // 256, size), dtype=np.uint8)
    steps = rng.uniform(0.0002, 0.0008, (rows, columns // 256, 2)).astype(np.float16).view(np.uint8)
    if kind == "Q4_K":
        raw[..., :4] = steps  # of steps and of least values
    else:
        raw[..., 208:] = steps[..., :2]
    return raw.reshape(rows, -1)


@pytest.mark.parametrize("kind", ["Q4_K", "Q6_K"])
def test_k_kinds(model_folder, networks, kind, monkeypatch):
    """gguf cannot write these: their bytes are random, and what it reads of them is what counts."""
    network, rng = networks("llama", **SIZES), np.random.default_rng(0)
    given = {}

    def quantize(data, want):
        if data.ndim != 2:
            return data
        raw = blocks(kind, *data.shape, rng)
        given[len(given)] = gguf.quants.dequantize(raw, want)
        return raw

    monkeypatch.setattr(gguf.quants, "quantize", quantize)
    path = write(model_folder, network, kind)
    c, matrices = network.config, iter(given.values())
    for name, parameter in network.named_parameters():
        if parameter.ndim != 2:
            continue
        weight = next(matrices)
        if ".qkv.0." in name or ".qkv.1." in name:
            heads = c.n_head if ".qkv.0." in name else c.n_key_head
            pairs = weight.reshape(heads, -1, 2, weight.shape[1]).swapaxes(1, 2)
            weight = np.ascontiguousarray(pairs).reshape(weight.shape)
        parameter.data.copy_(torch.from_numpy(weight))
    torch.testing.assert_close(load(path, dtype="float32").network(IDS), network(IDS))


def test_gpt2(model_folder, networks):
    network = networks("gpt2", vocab_size=300, tie_word_embeddings=False)
    stated = json.loads((model_folder / "tokenizer.json").read_text())["model"]
    for name in ("config.json", "model.safetensors"):
        (model_folder / name).unlink()
    c, path = network.config, model_folder / "model.gguf"
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(c.positions)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.n_layer)
    writer.add_feed_forward_length(c.inner_size)
    writer.add_head_count(c.n_head)
    writer.add_layer_norm_eps(c.epsilon)
    writer.add_eos_token_id(0)
    assert len(stated["vocab"]) <= c.vocab_size
    names = {
        "ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
        "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down", "wte": "token_embd",
        "wpe": "position_embd", "ln_f": "output_norm", "lm_head": "output",
    }  # fmt: skip
    for name, tensor in network.tensors():
        owner, _, leaf = name.removeprefix("transformer.").rpartition(".")
        prefix = ""
        if owner.startswith("h."):
            _, index, owner = owner.split(".", 2)
            prefix = f"blk.{index}."
        if ".c_" in owner and tensor.ndim == 2:
            tensor = tensor.t()  # llama.cpp's converter turns what GPT-2 keeps turned
        writer.add_tensor(f"{prefix}{names[owner]}.{leaf}", tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    torch.testing.assert_close(load(path, dtype="float32").network(IDS), network(IDS))


def test_a_gguf_of_another_shape(model_folder, networks, monkeypatch):
    network = networks("llama", **SIZES)
    network.blocks[0].feed_forward.down.weight.data = torch.zeros(256, 480)
    path = write(model_folder, network)
    with pytest.raises(ModelError, match="has shape") as caught:
        load(model_folder)
    assert str(path.parent) in str(caught.value) and "\n" not in str(caught.value)


def test_a_gguf_whose_tokenizer_we_do_not_know(model_folder, networks, monkeypatch):
    monkeypatch.setattr(gguf_file, "CUTS", {})
    path = write(model_folder, networks("llama", **SIZES))
    with pytest.raises(ModelError, match=r"put the model's tokenizer\.json beside it") as caught:
        load(model_folder)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
