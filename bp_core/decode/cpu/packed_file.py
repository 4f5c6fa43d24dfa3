"""8-bit weights kept beside a model, so that it is read in half the bytes and rounded only once.

Written when the user asks for it (`bp models --pack MODEL`), used wherever 8-bit weights are, and
passed over as soon as the model's own weights are others.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from ...errors import ModelError
from ...models.checkpoint import weight_files
from ..bloom import Bloom
from .fbgemm import Rounded, round_all

FILE = "beautifulprompt.int8.safetensors"
_BLOCKS, _BLOCK = 64, 4096  # parts of a weight file that are compared, and their bytes


def write(folder: Path, network: Bloom) -> Path:
    """Round the weights of a folder's network and keep them there; the file's path.

    Raises:
        ModelError: the folder cannot be written to.
    """
    from safetensors.torch import save_file

    tensors = {}
    for name, rounded in round_all(network):
        tensors |= {f"{name}.levels": rounded.levels, f"{name}.scales": rounded.scales}
    path, partial = folder / FILE, folder / f"{FILE}.partial"
    try:
        save_file(tensors, partial, {"source": _fingerprint(folder)})
        os.replace(partial, path)
    except Exception as error:  # safetensors raises its own, and OSError's many kinds
        partial.unlink(missing_ok=True)
        raise ModelError(f"cannot write {path} ({error}): give it room and leave") from error
    return path


def read(folder: Path) -> dict[str, Rounded] | None:
    """What `write` left, for `quant.pack`; None when there is nothing, or of other weights."""
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            if (file.metadata() or {}).get("source") != _fingerprint(folder):
                raise ValueError("it is of other weights")
            found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            names = {key.rpartition(".")[0] for key in found}
            return {n: Rounded(found[f"{n}.levels"], found[f"{n}.scales"]) for n in names}
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        logging.getLogger(__name__).warning(
            "%s is passed over (%s): run `bp models --pack` again", path, error
        )
        return None


def _fingerprint(folder: Path) -> str:
    """Of the weight files' names, sizes and parts of their content: training changes every part."""
    digest = hashlib.sha256()
    for path in weight_files(folder):
        size = path.stat().st_size
        digest.update(f"{path.name} {size} ".encode())
        with path.open("rb") as file:
            for block in range(_BLOCKS):
                file.seek(size * block // _BLOCKS)
                digest.update(file.read(_BLOCK))
    return digest.hexdigest()
