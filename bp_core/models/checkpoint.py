"""Weights on disk: safetensors or pickled `.bin`, one file or sharded, checked before reading.

What a file is follows from its name and its first bytes; no format is ever tried out, because
some hosts rename a file whose loading raised. Tensors come one at a time and, where the file
allows, as views of its memory map.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import ModelError
from .gguf_file import file_of

PLAIN = "model.safetensors"
PACKED = "packed.safetensors"  # see `packed`
# In order of preference, as transformers writes them.
_WHOLE = (PLAIN, PACKED, "pytorch_model.bin")
WEIGHT_FILES = tuple(name for whole in _WHOLE for name in (whole, f"{whole}.index.json"))

_AGAIN = "download it again"
_BLOCKS, _BLOCK = 64, 4096  # parts of a weight file that are compared, and their bytes
LONGEST_TEXT = 100_000_000  # bytes of a JSON file or another text; the largest vocabularies: 35 MB
_LONGEST_HEADER = 100_000_000  # bytes, as the safetensors library has it
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


def read_json(path: Path) -> dict:
    """A JSON object from a file of a model folder; raises ModelError."""
    if not path.is_file():
        raise ModelError(f"{path} is missing: {_AGAIN}, or choose a Hugging Face model folder")
    if path.stat().st_size > LONGEST_TEXT:
        raise ModelError(f"{path} is larger than any such file: {_AGAIN}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ModelError(f"{path} is nested too deep to be read: {_AGAIN}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({_line(error)}): {_AGAIN}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a JSON object: {_AGAIN}")
    return content


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights, each there and whole; raises ModelError."""
    if (gguf := file_of(folder)) is not None:
        return [gguf]
    for name in _WHOLE:
        if (folder / name).is_file():
            files = [folder / name]
            break
        index = folder / f"{name}.index.json"
        if index.is_file():
            shards = read_json(index).get("weight_map")
            named = isinstance(shards, dict) and all(isinstance(s, str) for s in shards.values())
            if not named or not shards:
                raise ModelError(f"{index} names no files: {_AGAIN}")
            files = [folder / shard for shard in sorted(set(shards.values()))]
            break
    else:
        raise ModelError(
            f"{folder} has no weights ({' or '.join(_WHOLE)}, whole or sharded): "
            "download the model again"
        )
    for file in files:
        check_file(file)
    return files


def check_file(path: Path) -> None:
    """Raise ModelError unless this is a whole weight file; reads its first bytes only."""
    if not path.is_file():
        raise ModelError(f"{path} is missing: {_AGAIN}")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}): allow this user to read it"
        ) from error
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(
            f"{path} is a Git LFS pointer, not the weights: run `git lfs pull` in its folder"
        )
    if path.suffix == ".safetensors":
        _check_safetensors(path, start, size)
    elif start[:2] == b"PK":
        if not zipfile.is_zipfile(path):
            raise ModelError(f"{path} is truncated: {_AGAIN}")
    elif start[:1] != b"\x80":
        raise ModelError(f"{path} is not a PyTorch file: {_AGAIN}")


def _check_safetensors(path: Path, start: bytes, size: int) -> None:
    """Compare the length that the header promises with the file's; see the safetensors format."""
    if len(start) < 8:
        raise ModelError(f"{path} is truncated: {_AGAIN}")
    (length,) = struct.unpack("<Q", start[:8])
    if start[8:9] != b"{":
        raise ModelError(f"{path} is not a safetensors file: {_AGAIN}")
    if length > _LONGEST_HEADER:
        raise ModelError(f"{path} has a header of {length} bytes: {_AGAIN}")
    if 8 + length > size:
        raise ModelError(f"{path} is truncated: {_AGAIN}")
    with path.open("rb") as file:
        file.seek(8)
        header = file.read(length)
    try:
        tensors = json.loads(header)
        tensors.pop("__metadata__", None)
        end = max(tensor["data_offsets"][1] for tensor in tensors.values())
        kinds = {name: tensor["dtype"] for name, tensor in tensors.items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} has a broken safetensors header: {_AGAIN}") from error
    if 8 + length + end > size:
        raise ModelError(f"{path} is truncated ({size} bytes of {8 + length + end}): {_AGAIN}")
    if 8 + length + end < size:
        raise ModelError(f"{path} is longer than its header says: {_AGAIN}")
    for name, kind in kinds.items():
        if kind not in _FLOATS and path.name != PACKED:
            raise ModelError(
                f"{path}: tensor '{name}' is {kind}, not floating point: choose unquantised weights"
            )


def tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """All tensors of a model folder, (name, tensor) one at a time, on the CPU.

    Raises:
        ModelError: a weight file is missing, truncated or of another kind; before any tensor.
    """
    for path in weight_files(folder):
        yield from _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)


def fingerprint(folder: Path) -> str:
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


def write_safetensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a file that whoever may read the folder's other files may read.

    safetensors 0.8 writes for the owner alone, whatever the umask says, and a host may run as
    another user than the one who trained.
    """
    from safetensors.torch import save_file

    there = path.exists()
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(dict(tensors), path, dict(metadata) if metadata else None)
    except Exception:
        if not there:
            path.unlink()
        raise
    path.chmod(mode)


def _safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (a safe_open is not iterable)
                yield name, file.get_tensor(name)
    except SafetensorError as error:
        raise ModelError(f"{path} cannot be read ({_line(error)}): {_AGAIN}") from error


def _pickled(path: Path) -> Iterator[tuple[str, Tensor]]:
    # Only the zip format can be memory-mapped; the older one is read whole.
    mapped = zipfile.is_zipfile(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # whatever a broken or unsafe pickle raises
        raise ModelError(
            f"{path} is not a plain file of weights ({_line(error)}): use a safetensors version"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise ModelError(f"{path} holds more than tensors: use a safetensors version")
    yield from state.items()


def _line(error: Exception) -> str:
    """The first line of another library's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]
