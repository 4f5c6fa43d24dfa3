"""Weights packed in 4 or 8 bits as a model's only ones: small downloads, read at once for a CPU.

`packed.safetensors` holds vectors in float16, and matrices in 8 bits (one scale a row) or in 4:
each group of inputs has a least value and a step, both float16, and a number of 0 to 15 for each
weight, two in a byte, the earlier one in the lower half. Embeddings and head stay in 8 bits, unless
training knew of 4. Names are a checkpoint's, but all matrices lie as (outputs, inputs).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..decode.config import Names
from ..decode.cpu.rounding import Nibbles, Rounded, unpacked
from ..decode.cpu.tensor_file import Lazy, TensorFile
from ..decode.transformer import Transformer
from ..errors import ModelError
from .checkpoint import write_safetensors

_LEVELS, _SCALES, _NIBBLES, _STEPS, _LEAST = (
    ".levels", ".scales", ".nibbles", ".steps", ".least"
)  # fmt: skip
_TABLES = "embedding.weight", "head.weight"
_GROUPS = 32, 64, 96, 192
_TABLE_GROUP = 64


def write(
    path: Path,
    network: Transformer,
    bits: int = 4,
    group: int = 64,
    table_bits: int = 8,
    heads: Mapping[str, Tensor] | None = None,
) -> Path:
    """Pack a network's weights into a file; its path.

    Args:
        bits: 4 or 8.
        group: 32, 64, 96 or 192 weights that share a step, of 4 bits. Weights fine-tuned from a
            GGUF file of 4 bits do not want 32: that file's groups have 32, and on its own grid most
            of what was learned is rounded away. Above 64, training should have rounded likewise.
        table_bits: of the embeddings and the head, 4 (in groups of 64) or 8.
        heads: further tensors, kept in float16.

    Raises:
        ModelError: no such packing, or the file cannot be written.
    """
    if not {bits, table_bits} <= {4, 8} or group not in _GROUPS:
        raise ModelError(
            f"no packing of {bits} and {table_bits} bits in groups of {group}: use 4 or 8, and one "
            f"of {', '.join(map(str, _GROUPS))}"
        )
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in (heads or {}).items()}
    for mine, tensor in network.named_parameters():
        name = network.config.names.theirs(mine)
        own_bits, size = (table_bits, _TABLE_GROUP) if mine in _TABLES else (bits, group)
        if tensor.ndim != 2 or mine == "position_embedding.weight":
            tensors[name] = tensor.detach().half().contiguous()
        elif own_bits == 8 or tensor.shape[1] % size:
            rounded = Rounded.of(tensor.detach().contiguous())
            tensors |= {name + _LEVELS: rounded.levels, name + _SCALES: rounded.scales}
        else:
            nibbles, steps, least = _grouped(tensor.detach().float(), size)
            tensors |= {name + _NIBBLES: nibbles, name + _STEPS: steps, name + _LEAST: least}
    partial = path.with_name(f"{path.name}.partial")
    try:
        write_safetensors(tensors, partial, {"packed": json.dumps({"bits": bits, "group": group})})
        os.replace(partial, path)
    except Exception as error:  # safetensors raises its own, and OSError's many kinds
        partial.unlink(missing_ok=True)
        raise ModelError(f"cannot write {path} ({error}): give it room and leave") from error
    return path


def as_packed(weight: Tensor, mine: str, group: int, table_bits: int) -> Tensor:
    """What packing in 4 bits makes of a float32 matrix (outputs, inputs) named `mine`, for training
    to learn with; the weight itself where `write` keeps it in more."""
    size = _TABLE_GROUP if mine in _TABLES else group
    if weight.ndim != 2 or weight.shape[1] % size or (mine in _TABLES and table_bits == 8):
        return weight
    return unpacked(*_grouped(weight, size))


def floats(path: Path, names: Names) -> Iterator[tuple[str, Tensor]]:
    """All weights in float32, as `Transformer.from_tensors` takes them; raises ModelError."""
    for name, parts in _parts(path):
        if _LEVELS in parts:
            weight = parts[_LEVELS] * parts[_SCALES].float()[:, None]
        elif _NIBBLES in parts:
            weight = unpacked(*(parts[each] for each in (_NIBBLES, _STEPS, _LEAST)))
        else:
            weight = parts[""].float()
        yield name, weight.t() if names.is_transposed(_ours(names, name)) else weight


def _parts(path: Path) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Each tensor's name, and what is kept of it by the endings of its names."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            if "packed" not in (file.metadata() or {}):
                raise ModelError(f"{path} holds no packed weights: download it again")
            for name, endings in _endings(path, file.keys()).items():
                yield name, {each: file.get_tensor(name + each) for each in endings}
    except SafetensorError as error:
        raise ModelError(f"{path} cannot be read ({error}): download it again") from error


def _endings(path: Path, keys: Iterable[str]) -> dict[str, list[str]]:
    """By the names of tensors, what their parts end in; raises ModelError where one is missing."""
    names: dict[str, list[str]] = {}
    for key in keys:
        stem, dot, ending = key.rpartition(".")
        ending = dot + ending
        if ending not in (_LEVELS, _SCALES, _NIBBLES, _STEPS, _LEAST):
            stem, ending = key, ""
        names.setdefault(stem, []).append(ending)
    for name, endings in names.items():
        if set(endings) not in ({""}, {_LEVELS, _SCALES}, {_NIBBLES, _STEPS, _LEAST}):
            raise ModelError(f"{path}: '{name}' is not whole: download it again")
    return names


def _grouped(weight: Tensor, group: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nibbles (out, in / 2), steps and least values (out, in / group)."""
    groups = weight.contiguous().view(len(weight), -1, group)
    least = groups.amin(2).half()
    steps = ((groups.amax(2) - least.float()) / 15).clamp_(min=1e-7).half()
    steps.clamp_(min=torch.finfo(torch.half).smallest_normal)
    numbers = (groups - least.float()[..., None]) / steps.float()[..., None]
    numbers = numbers.round_().clamp_(0, 15).to(torch.uint8).view(len(weight), -1, 2)
    return numbers[..., 0] | (numbers[..., 1] << 4), steps, least


def _ours(names: Names, name: str) -> str:
    return "head.weight" if name == "lm_head.weight" else names.ours(name) or name


def _file(path: Path) -> TensorFile:
    """A whole file of packed weights; raises ModelError."""
    try:
        file = TensorFile(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}): download it again") from error
    if "packed" not in file.metadata:
        raise ModelError(f"{path} holds no packed weights: download it again")
    return file


def _read(path: Path, file: TensorFile, name: str) -> Tensor:
    """One tensor; raises ModelError."""
    try:
        return file.read(name)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}): download it again") from error


def rounded(
    path: Path, names: Names
) -> tuple[list[tuple[str, Tensor]], Mapping[str, Rounded | Nibbles]]:
    """What `Transformer.from_tensors` takes, its matrices without memory, and these in 8 bits or
    on the way there by the names of their modules, for `engine.pack`; raises ModelError."""
    file = _file(path)
    plain, matrices = [], {}
    for name, endings in _endings(path, file.names()).items():
        if endings == [""]:
            plain.append((name, _read(path, file, name)))
            continue
        mine = _ours(names, name)
        matrices[mine.rpartition(".")[0]] = name, endings
        if _LEVELS in endings:
            shape = file.shape(name + _LEVELS)
        else:
            outputs, half = file.shape(name + _NIBBLES)
            shape = [outputs, 2 * half]
        value = torch.empty(shape, device="meta")
        plain.append((name, value.t() if names.is_transposed(mine) else value))

    def matrix(module: str) -> Rounded | Nibbles:
        name, endings = matrices[module]
        parts = {each: _read(path, file, name + each) for each in endings}
        if _LEVELS in parts:
            return Rounded(parts[_LEVELS], parts[_SCALES].float())
        return Nibbles.of(*(parts[each] for each in (_NIBBLES, _STEPS, _LEAST)))

    return plain, Lazy(matrices, matrix)
