"""Other decoders over the same weights, each as a function (prompt, n, new tokens) → None.

They are optional: what is not installed is left out of the table.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator

import torch

from benchmarks.peer_llama import llama
from bp_core.decode.bloom import Bloom
from bp_core.decode.sampling import SamplingParams
from train.models.vision import define_operators

Decode = Callable[[list[int], int, int], None]


def peers(
    weights: dict[str, torch.Tensor],
    network: Bloom,
    params: SamplingParams,
    threads: int,
    static: bool = True,
) -> Iterator[tuple[str, Decode]]:
    """Every peer that is installed, by name.

    Args:
        weights: the checkpoint, name by name.
        network: ours over the same weights; gives the shape.
        static: transformers with a static cache, too, which a GPU compiles for a minute.
    """
    model = _transformers_model(weights, network)
    if model is None:
        return
    yield from _transformers(model, params, static)
    if network.device.type != "cpu":
        return
    with contextlib.suppress(ImportError):
        yield from _ctranslate2(model, network, params, threads)
    with contextlib.suppress(ImportError):
        yield "llama.cpp Q8_0", llama(weights, network.config, params, threads)


def _transformers_model(weights: dict[str, torch.Tensor], network: Bloom):
    define_operators()
    try:
        import transformers
    except ImportError:
        return None
    c = network.config
    config = transformers.BloomConfig(
        vocab_size=c.vocab_size, hidden_size=c.hidden_size, n_layer=c.n_layer, n_head=c.n_head
    )
    with torch.device("meta"):
        model = transformers.BloomForCausalLM(config)
    model.transformer.load_state_dict(weights, assign=True)
    model.tie_weights()
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
        return  # not every version can give BLOOM a static cache
    yield f"transformers {kind}, static cache", lambda *a: decode(*a, cache_implementation="static")


def _ctranslate2(model, network, params, threads) -> Iterator[tuple[str, Decode]]:
    import ctranslate2
    from ctranslate2.converters.transformers import BloomLoader

    spec = BloomLoader().get_model_spec(model)
    # Positions stand for tokens: the decoder needs names, and no text is made of them.
    names = [str(i) for i in range(network.vocab_size)]
    spec.register_vocabulary(names)
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "1", "2", "0"
    spec.validate()
    spec.optimize(quantization="int8")
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
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

    yield "CTranslate2 int8", decode
