"""8-bit weights kept beside a model, so that it is read in half the bytes and rounded only once.

Written when the user asks for it (`bp models --pack MODEL`), used wherever 8-bit weights are, and
passed over as soon as the model's own weights are others.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ...errors import ModelError
from ..transformer import Transformer
from .rounding import Rounded, round_all
from .tensor_file import Lazy, TensorFile

FILE = "beautifulprompt.int8.safetensors"
_PARTS = "levels", "scales"


def write(path: Path, network: Transformer, source: str) -> Path:
    """Round the weights of a network and keep them; the file's path.

    Args:
        source: what tells these weights from others.

    Raises:
        ModelError: the folder cannot be written to.
    """
    from safetensors.torch import save_file

    tensors = {}
    for name, rounded in round_all(network):
        tensors |= {f"{name}.levels": rounded.levels, f"{name}.scales": rounded.scales}
    partial = path.with_name(f"{path.name}.partial")
    try:
        save_file(tensors, partial, {"source": source})
        os.replace(partial, path)
    except Exception as error:  # safetensors raises its own, and OSError's many kinds
        partial.unlink(missing_ok=True)
        raise ModelError(f"cannot write {path} ({error}): give it room and leave") from error
    return path


def read(path: Path, source: Callable[[], str]) -> Mapping[str, Rounded] | None:
    """What `write` left, for `engine.pack`; None when there is nothing, or of another source."""
    if not path.is_file():
        return None
    try:
        file = TensorFile(path)
        if file.metadata.get("source") != source():
            raise ValueError("it is of other weights")
        return _matrices(path, file)
    except (ValueError, OSError) as error:
        logging.getLogger(__name__).warning(
            "%s is passed over (%s): run `bp models --pack` again", path, error
        )
        return None


def _matrices(path: Path, file: TensorFile) -> Lazy[Rounded]:
    """Weights by the names of their layers; raises ValueError where a part of one is missing."""
    names = {key.rpartition(".")[0] for key in file.names()}
    if {f"{name}.{part}" for name in names for part in _PARTS} != set(file.names()):
        raise ValueError("it is not whole")

    def matrix(name: str) -> Rounded:
        try:
            return Rounded(*(file.read(f"{name}.{part}") for part in _PARTS))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{path} cannot be read ({error}): run `bp models --pack` again"
            ) from error

    return Lazy(names, matrix)
