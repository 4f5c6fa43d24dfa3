"""Other decoders over the same weights: prompts read and tokens written by each.

They are optional: what is not installed is left out of the table. Each peer is a `Peer`: it reads
a prompt and writes `new` tokens for n candidates, all in one batch.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.peer_llama import llama
from bp_core.decode.sampling import SamplingParams
from bp_core.decode.transformer import Transformer
from bp_core.models.vision import define_operators

Decode = Callable[[list[int], int, int], None]


def peers(
    network: Transformer,
    fields: dict,
    params: SamplingParams,
    threads: int,
    static: bool = True,
    gguf: Path | None = None,
) -> Iterator[tuple[str, Decode]]:
    """Every peer that is installed, by name.

    Args:
        network: ours over the weights that all start from.
        fields: its config.json.
        static: transformers with a static cache, too, which a GPU compiles for a minute.
        gguf: a file for llama.cpp, run as it is beside Q8_0 of the same weights.
    """
    model = _transformers_model(network, fields)
    if model is not None:
        yield from _transformers(model, params, static)
    if network.device.type != "cpu":
        return
    if model is not None:
        with contextlib.suppress(ImportError), tempfile.TemporaryDirectory() as folder:
            write_ctranslate2(folder, network, fields)
            yield "CTranslate2 int8", ctranslate2_of(folder, params, threads)
    with contextlib.suppress(ImportError):
        yield "llama.cpp Q8_0", llama(network, params, threads)
        if gguf is not None:
            yield f"llama.cpp {gguf.stem}", llama(network, params, threads, gguf)


def _transformers_model(network: Transformer, fields: dict):
    define_operators()
    try:
        import transformers
    except ImportError:
        return None
    fields = {name: value for name, value in fields.items() if name not in ("dtype", "torch_dtype")}
    config = transformers.AutoConfig.for_model(**fields)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    model.load_state_dict(dict(network.tensors()), assign=True, strict=False)
    model.tie_weights()
    # Rotary tables are buffers, which no checkpoint holds.
    for name, buffer in list(model.named_buffers()):
        if buffer.is_meta:
            owner, _, leaf = name.rpartition(".")
            module = model.get_submodule(owner)
            if leaf.endswith("inv_freq"):
                frequencies = torch.tensor(network.config.rotation.frequencies)
                module.register_buffer(leaf, frequencies, persistent=False)
    # An end token would end the runs at different lengths.
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model.eval()


def _transformers(model, params: SamplingParams, static: bool) -> Iterator[tuple[str, Decode]]:
    def decode(prompt: list[int], n: int, new: int, **options) -> None:
        ids = torch.tensor([prompt], device=model.device)
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=params.temperature,
            top_k=params.top_k,
            top_p=params.top_p,
            repetition_penalty=params.repetition_penalty,
            num_return_sequences=n,
            max_new_tokens=new,
            **options,
        )

    kind = str(next(model.parameters()).dtype).removeprefix("torch.")
    yield f"transformers {kind}", decode
    if not static:
        return
    try:
        decode([3], 1, 2, cache_implementation="static")
    except (ValueError, RuntimeError, TypeError, NotImplementedError):
        return  # not every version can give every model a static cache
    yield f"transformers {kind}, static cache", lambda *a: decode(*a, cache_implementation="static")


def write_ctranslate2(folder: str, network: Transformer, fields: dict) -> None:
    """A network's weights in 8 bits, as CTranslate2 reads them; raises ImportError."""
    from ctranslate2.converters import transformers as loaders

    # Its converter takes a model to pieces, so it gets one of its own.
    model = _transformers_model(network, fields)

    loader = getattr(loaders, type(model).__name__.replace("ForCausalLM", "Loader"))()
    spec = loader.get_model_spec(model)
    # Positions stand for tokens: the decoder needs names, and no text is made of them.
    spec.register_vocabulary([str(i) for i in range(network.vocab_size)])
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "1", "2", "0"
    if hasattr(spec.config, "layer_norm_epsilon"):
        spec.config.layer_norm_epsilon = network.config.epsilon
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(folder)


def ctranslate2_of(folder: str, params: SamplingParams, threads: int) -> Decode:
    """A decoder of what `write_ctranslate2` wrote."""
    import ctranslate2

    generator = ctranslate2.Generator(folder, compute_type="int8", intra_threads=threads)

    def decode(prompt: list[int], n: int, new: int) -> None:
        generator.generate_batch(
            [[str(i) for i in prompt]],
            num_hypotheses=n,
            min_length=new,
            max_length=new,
            include_prompt_in_result=False,
            sampling_topk=params.top_k,
            sampling_topp=params.top_p,
            sampling_temperature=params.temperature,
            repetition_penalty=params.repetition_penalty,
        )

    return decode
