"""A pretrained network made smaller: fewer tokens in its vocabulary, fewer layers.

Which layers can go is measured: each is left out in turn, and the one whose absence costs least
goes, again and again. Training heals the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from bp_core.errors import InputError

# Fields of a config that say something of each layer.
_BY_LAYER = ("layer_types", "no_rope_layers")


def keep_tokens(model, ids: Sequence[int], new: Sequence[int] = (), seed: int = 0) -> None:
    """Keep the rows of these ids, in this order, in embeddings and head.

    Args:
        new: rows, by their new numbers, of tokens that shall mean something new: they begin as
            the mean of all rows, each with a little noise.
    """
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head.weight is embeddings.weight
    kept = torch.tensor(ids)
    for module in (embeddings,) if tied else (embeddings, head):
        weight = module.weight.detach()[kept]
        generator = torch.Generator().manual_seed(seed)
        mean = weight.mean(0)
        for row in new:
            weight[row] = mean + 0.02 * torch.randn(mean.shape, generator=generator)
        module.weight = nn.Parameter(weight)
    if tied:
        head.weight = embeddings.weight
    embeddings.num_embeddings = head.out_features = model.config.vocab_size = len(ids)
    embeddings.padding_idx = None


def drop_layers(model, layers: Collection[int]) -> None:
    """Leave out these layers; raises InputError for one that is not there."""
    present = _layers(model)
    wrong = sorted(set(layers) - set(range(len(present))))
    kept = [i for i in range(len(present)) if i not in layers]
    if wrong or not kept:
        raise InputError(
            f"layers go from 0 to {len(present) - 1}, and one must stay: not {wrong or 'all'}"
        )
    for field in _BY_LAYER:
        values = getattr(model.config, field, None)
        if values:
            setattr(model.config, field, [values[i] for i in kept])
    _put(model, [present[i] for i in kept])


@torch.inference_mode()
def spare_layers(model, texts: Sequence[Sequence[int]], count: int) -> list[int]:
    """Layers to leave out, so that `count` stay and the loss on texts, as ids, rises least.

    Greedy, in the order in which they go; tells each step. The first layer and the last stay.
    """
    full = _layers(model)
    if not 2 <= count <= len(full):
        raise InputError(f"the base has {len(full)} layers: keep 2 or more, not {count}")
    ids, labels = _padded(texts)
    kept, gone = list(range(len(full))), []
    model.eval()

    def loss(layers: list[int]) -> float:
        _put(model, [full[i] for i in layers])
        return model(ids, labels=labels, use_cache=False).loss.item()

    print(f"{len(kept)} layers: {loss(kept):.3f} nats a token", file=sys.stderr)
    while len(kept) > count:
        lowest, layer = min((loss([k for k in kept if k != i]), i) for i in kept[1:-1])
        kept.remove(layer)
        gone.append(layer)
        print(f"{len(kept)} layers, without {layer}: {lowest:.3f}", file=sys.stderr, flush=True)
    _put(model, full)
    return gone


def _padded(texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """(n, T) ids, and labels with -100 behind each text."""
    rows = [torch.tensor(ids) for ids in texts]
    pad = nn.utils.rnn.pad_sequence
    return pad(rows, batch_first=True), pad(rows, batch_first=True, padding_value=-100)


def _layers(model) -> list[nn.Module]:
    layers = getattr(model.base_model, "layers", None)
    if layers is None:
        raise InputError(f"a {model.config.model_type} keeps its layers elsewhere: choose a Llama")
    return list(layers)


def _put(model, layers: list[nn.Module]) -> None:
    for number, layer in enumerate(layers):
        layer.self_attn.layer_idx = number
    model.base_model.layers = nn.ModuleList(layers)
    model.config.num_hidden_layers = len(layers)
