"""Preference: which of a model's drafts an artist would keep, told by the model's own trunk.

A small head over hidden states of the writer's first layers learned from readers who ranked drafts
(`train/preference.py`; Bradley and Terry 1952: the odds that one draft is kept before another are
the exponential of the difference of their scores). It needs no second network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear, relu

from ..decode.threads import few_threads
from ..decode.transformer import Transformer
from ..errors import ModelError

if TYPE_CHECKING:
    from ..models.load import Model

FILE = "preference.safetensors"
HIDDEN = 64  # of the head


class Reading(NamedTuple):
    """A draft as the writer would have written it: behind `raw` in expand mode, else anew."""

    raw: str
    mode: str
    dialect: str
    prose: str


def shapes(size: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the head's weights, for a trunk of width `size`; it reads two vectors."""
    return {
        "mean": (2 * size,),
        "std": (2 * size,),
        "1.weight": (HIDDEN, 2 * size),
        "1.bias": (HIDDEN,),
        "2.weight": (1, HIDDEN),
        "2.bias": (1,),
    }


def trunk(model: Model) -> Transformer:
    """The network whose layers read, whatever engine runs it; raises ModelError where none can."""
    network = getattr(model.network, "model", model.network)
    if not isinstance(network, Transformer):
        raise ModelError(f"{model.name} runs through transformers: it can have no preference")
    return network


class Preference:
    """Scores drafts of one writer.

    Args:
        model: the writer, whose trunk reads.
        weights: as `shapes` names them, float32 on the CPU.
        depth: how many of the trunk's layers read.
    """

    def __init__(self, model: Model, weights: Mapping[str, Tensor], depth: int) -> None:
        self.model, self.weights, self.depth = model, weights, depth

    @classmethod
    def load(cls, model: Model) -> Preference | None:
        """The head in a writer's folder; None where there is none. Raises ModelError."""
        from safetensors import safe_open

        path = model.path / FILE
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                depth = int((file.metadata() or {})["depth"])
                names = list(file.keys())
                weights = {name: file.get_tensor(name).float() for name in names}
        except Exception as error:  # safetensors raises its own
            raise ModelError(
                f"cannot read {path} ({error}): make it with train/preference.py"
            ) from None
        wanted = shapes(trunk(model).config.hidden_size)
        if {name: tuple(tensor.shape) for name, tensor in weights.items()} != wanted:
            raise ModelError(f"{path} is of another model: make it with train/preference.py")
        return cls(model, weights, depth)

    def score(self, readings: Sequence[Reading]) -> Tensor:
        """Log-odds, (n,) float32, that each is kept before an average draft of this writer."""
        w = self.weights
        x = (features(self.model, readings, self.depth) - w["mean"]) / w["std"]
        hidden = relu(linear(x, w["1.weight"], w["1.bias"]))
        return linear(hidden, w["2.weight"], w["2.bias"]).squeeze(-1)


@torch.inference_mode()
def features(model: Model, readings: Sequence[Reading], depth: int, rows: int = 32) -> Tensor:
    """What the head reads, (n, 2 hidden_size) float32: the mean over the draft's tokens of the
    states behind layer `depth`, and the last token's.

    Args:
        rows: drafts in one forward.
    """
    network = trunk(model)
    texts = [_ids(model, reading) for reading in readings]
    # Drafts of like length share a forward, so that little of it is padding.
    order = sorted(range(len(texts)), key=lambda i: sum(map(len, texts[i])))
    out = torch.empty(len(texts), 2 * network.config.hidden_size)
    with few_threads(network):
        for start in range(0, len(order), rows):
            part = order[start : start + rows]
            lengths = [sum(map(len, texts[i])) for i in part]
            ids = torch.zeros(len(part), max(lengths), dtype=torch.long)
            for row, i in enumerate(part):
                ids[row, : lengths[row]] = torch.tensor([*texts[i][0], *texts[i][1]])
            # Right padding comes after every real token, where the causal mask hides it.
            hidden = network.hidden(ids.to(network.device), depth=depth).float().cpu()
            for row, i in enumerate(part):
                own = hidden[row, len(texts[i][0]) : lengths[row]]
                out[i] = torch.cat((own.mean(0), own[-1]))
    return out


def _ids(model: Model, reading: Reading) -> tuple[list[int], list[int]]:
    """Token ids of what the writer read, and of what it is taken to have written."""
    begun = model.encode(reading.raw, reading.mode, dialect=reading.dialect)
    text = reading.prose
    if reading.mode == "expand" and text.startswith(reading.raw):
        text = text[len(reading.raw) :]
    written = model.tokenizer.encode(text, add_special_tokens=False).ids
    return begun, written or [model.eos_id]
