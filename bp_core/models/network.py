"""What a model folder or a GGUF file holds: network, config fields, tensors and tokenizer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..decode import families
from ..decode.config import Unsupported
from ..decode.transformer import Transformer
from ..errors import ModelError
from . import gguf_file, packed
from .checkpoint import PACKED, read_json, tensors, weight_files
from .tokenizer import read_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_network(
    folder: Path,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    heads: Sequence[str] = (),
) -> tuple[Transformer, dict[str, Tensor]]:
    """A plain network from a folder, and tensors beside it that the caller names.

    Weights that need no cast stay in the file's memory map; nothing is held twice.

    Args:
        dtype: None for float32 on a CPU, and elsewhere the file's own half precision or float16;
            "as stored" for the file's.
        heads: names of further tensors wanted (a reward model's "score.weight").

    Returns:
        The network, and {name: tensor} of `heads`.

    Raises:
        ModelError: a file or tensor is missing, truncated, unknown or of another shape; or the
            network is none that our decoder builds.
    """
    device, beside = torch.device(device), {}
    fields, read = opened(folder)

    def trunk() -> Iterator[tuple[str, Tensor]]:
        kind = None
        for name, tensor in read():
            kind = kind or chosen_dtype(dtype, device, tensor.dtype)
            if name in heads:
                beside[name] = tensor.to(device, kind)
            else:
                yield name, tensor.to(device, kind)

    try:
        network = Transformer.from_tensors(families.from_hf(fields), trunk())
    except Unsupported as error:
        raise ModelError(f"{folder} cannot be used here: {error}; choose another model") from error
    except ModelError as error:
        where = "" if str(folder) in str(error) else f"{folder}: "
        raise ModelError(f"{where}{error}") from error
    lost = [name for name in heads if name not in beside]
    if lost:
        raise ModelError(f"{folder} has no tensor '{lost[0]}': it is another kind of model")
    return network, beside


def opened(model: Path) -> tuple[dict[str, Any], Callable[[], Iterator[tuple[str, Tensor]]]]:
    """A model's config.json, and what reads its tensors."""
    if (path := gguf_file.file_of(model)) is not None:
        file = gguf_file.GGUF(path)
        return file.fields, file.tensors
    fields = read_json(model / "config.json")
    if (path := packed_weights(model)) is not None:
        return fields, lambda: packed.floats(path, families.from_hf(fields).names)
    return fields, functools.partial(tensors, model)


def packed_weights(model: Path) -> Path | None:
    """A folder's packed weights, where it has no others."""
    files = [] if model.is_file() else weight_files(model)
    return files[0] if files and files[0].name == PACKED else None


def open_tokenizer(model: Path) -> Tokenizer:
    """A model's tokenizer.json, or the tokenizer of a GGUF file that has none beside it."""
    path = gguf_file.file_of(model)
    folder = model if path is None else path.parent
    if path is not None and not (folder / "tokenizer.json").is_file():
        return gguf_file.GGUF(path).tokenizer()
    return read_tokenizer(folder)


def chosen_dtype(
    wanted: str | torch.dtype | None, device: torch.device, own: torch.dtype | None
) -> torch.dtype:
    """The dtype of the weights, as `load_network` explains; raises ModelError for an unknown one.

    Args:
        own: the file's.
    """
    if wanted == "as stored" and own is not None:
        return own
    if isinstance(wanted, str):
        named = getattr(torch, wanted, None)
        if named not in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
            raise ModelError(f"dtype '{wanted}' is unknown: use float32, float16 or bfloat16")
        return named
    if wanted is not None:
        return wanted
    if device.type == "cpu":
        return torch.float32
    return own if own in (torch.float16, torch.bfloat16) else torch.float16
