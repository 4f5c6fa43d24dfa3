"""llama.cpp over the same weights, all sequences in one batch.

pip install llama-cpp-python gguf
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bp_core.decode.sampling import SamplingParams
from bp_core.decode.transformer import Transformer
from bp_core.models import gguf_file

_ROOM = 96  # tokens of each sequence
_MOST = 32  # sequences
_BLOOM = {
    "word_embeddings": "token_embd",
    "word_embeddings_layernorm": "token_embd_norm",
    "ln_f": "output_norm",
    "input_layernorm": "attn_norm",
    "self_attention.query_key_value": "attn_qkv",
    "self_attention.dense": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
}
_LLAMA = {theirs: mine for mine, theirs in gguf_file.LLAMA_NAMES.items()}


def write_gguf(path: Path, network: Transformer) -> None:
    """A BLOOM, Llama or Qwen in GGUF: matrices in Q8_0, vectors in float32, no vocabulary."""
    import gguf

    c = network.config
    family = {"mistral": "llama"}.get(c.family, c.family)
    table, layers = (_BLOOM, "h") if family == "bloom" else (_LLAMA, "layers")
    writer = gguf.GGUFWriter(path, family)
    writer.add_context_length(2048)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(c.inner_size)
    writer.add_block_count(c.n_layer)
    writer.add_head_count(c.n_head)
    writer.add_head_count_kv(c.n_key_head)
    if c.rms_norm:
        writer.add_layer_norm_rms_eps(c.epsilon)
        writer.add_rope_dimension_count(c.head_dim)
        writer.add_rope_freq_base(c.rotation.frequencies[1] ** (-c.head_dim / 2))
    else:
        writer.add_layer_norm_eps(c.epsilon)
    writer.add_vocab_size(c.vocab_size)
    writer.add_tokenizer_model("none")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    for name, tensor in network.tensors():
        owner, _, leaf = name.removeprefix(c.names.prefix).rpartition(".")
        prefix = ""
        if owner.startswith(f"{layers}."):
            _, layer, owner = owner.split(".", 2)
            prefix = f"blk.{layer}."
        if owner.endswith("query_key_value"):
            # llama.cpp has all queries first, then all keys, then all values.
            fused = tensor.reshape(c.n_head, 3, c.head_dim, -1).transpose(0, 1)
            tensor = fused.reshape(tensor.shape)
        if family == "llama" and owner.endswith(("q_proj", "k_proj")):
            # Rows that are turned together lie side by side.
            heads = c.n_head if owner.endswith("q_proj") else c.n_key_head
            rows = tensor.reshape(heads, 2, -1, *tensor.shape[1:])
            tensor = rows.transpose(1, 2).reshape(tensor.shape)
        data = np.ascontiguousarray(tensor.detach().float().numpy())
        kind = gguf.GGMLQuantizationType.Q8_0 if data.ndim == 2 else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(data, kind)
        known = table.get(owner) or table[f"{c.names.prefix}{owner}"]
        writer.add_tensor(f"{prefix}{known}.{leaf}", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama(
    network: Transformer, params: SamplingParams, threads: int, file: Path | None = None
) -> Callable[[list[int], int, int], None]:
    """A decoder (prompt, n, new tokens) → None of a file, or of the network's weights in Q8_0;
    raises ImportError where llama.cpp is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        path = file or Path(folder) / "model.gguf"
        if file is None:
            with _quiet():
                write_gguf(path, network)
        return llama_of(path, network.vocab_size, params, threads)


def llama_of(
    path: Path, vocab_size: int, params: SamplingParams, threads: int, sequences: int = _MOST
) -> Callable[[list[int], int, int], None]:
    """`llama` of a file, with memory for so many sequences."""
    import llama_cpp as cpp

    with _quiet():
        options = cpp.llama_model_default_params()
        options.use_mmap = False
        model = cpp.llama_model_load_from_file(str(path).encode(), options)
    if not model:
        raise RuntimeError("llama.cpp cannot load the model")
    options = cpp.llama_context_default_params()
    options.n_ctx, options.n_batch, options.n_seq_max = _ROOM * sequences, 512, sequences
    options.n_threads = options.n_threads_batch = threads
    options.kv_unified = True
    with _quiet():
        context = cpp.llama_init_from_model(model, options)
    if not context:
        raise RuntimeError("llama.cpp cannot make a context")
    memory = cpp.llama_get_memory(context)
    batch = cpp.llama_batch_init(512, 0, sequences)

    def sampler(seed: int):
        chain = cpp.llama_sampler_chain_init(cpp.llama_sampler_chain_default_params())
        for each in (
            cpp.llama_sampler_init_penalties(vocab_size, 64, params.repetition_penalty, 0.0, 0.0),
            cpp.llama_sampler_init_top_k(params.top_k),
            cpp.llama_sampler_init_top_p(params.top_p, 1),
            cpp.llama_sampler_init_temp(params.temperature),
            cpp.llama_sampler_init_dist(seed),
        ):
            cpp.llama_sampler_chain_add(chain, each)
        return chain

    def read(rows: list[tuple[int, int, int, bool]]) -> None:
        batch.n_tokens = len(rows)
        for i, (token, at, sequence, wanted) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, at, wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        if cpp.llama_decode(context, batch):
            raise RuntimeError("llama.cpp failed to decode")

    def decode(prompt: list[int], n: int, new: int) -> None:
        cpp.llama_memory_clear(memory, True)
        chains = [sampler(i) for i in range(n)]
        last = len(prompt) - 1
        read([(token, i, 0, i == last) for i, token in enumerate(prompt)])
        for sequence in range(1, n):
            cpp.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
        places = [last] * n
        for step in range(new):
            ids = [
                cpp.llama_sampler_sample(chain, context, place)
                for chain, place in zip(chains, places, strict=True)
            ]
            if step + 1 < new:
                read([(token, len(prompt) + step, s, True) for s, token in enumerate(ids)])
                places = list(range(n))
        for chain in chains:
            cpp.llama_sampler_free(chain)

    return decode


@contextlib.contextmanager
def _quiet():
    """llama.cpp tells its life on standard error."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
