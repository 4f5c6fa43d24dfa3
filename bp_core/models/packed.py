"""Weights packed in 4 or 8 bits as a model's only ones: small downloads, read at once for a CPU.

`packed.safetensors` holds vectors in float16, and matrices in 8 bits (one scale a row) or in 4:
each group of inputs has a least value and a step, both float16, and a number of 0 to 15 for each
weight, two in a byte, the earlier one in the lower half. Embeddings and head stay in 8 bits, unless
training knew of 4. Names are a checkpoint's, but all matrices lie as (outputs, inputs).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..decode.config import Names
from ..decode.cpu.rounding import Rounded
from ..decode.transformer import Transformer
from ..errors import ModelError

_LEVELS, _SCALES, _NIBBLES, _STEPS, _LEAST = (
    ".levels", ".scales", ".nibbles", ".steps", ".least"
)  # fmt: skip
_TABLES = "embedding.weight", "head.weight"
_GROUPS = 32, 64, 96, 192
_TABLE_GROUP = 64
_AT_ONCE = 2**16  # weights that are unpacked at once, which stay in the second cache


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
    from safetensors.torch import save_file

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
        save_file(tensors, partial, {"packed": json.dumps({"bits": bits, "group": group})})
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
    return _unpacked(*_grouped(weight, size))


def _tensors(path: Path) -> Iterator[tuple[str, Tensor | Rounded]]:
    """Vectors as they are, matrices in 8 bits."""
    for name, parts in _parts(path):
        if _LEVELS in parts:
            yield name, Rounded(parts[_LEVELS], parts[_SCALES].float())
        elif _NIBBLES in parts:
            yield name, _rounded(*(parts[each] for each in (_NIBBLES, _STEPS, _LEAST)))
        else:
            yield name, parts[""]


def floats(path: Path, names: Names) -> Iterator[tuple[str, Tensor]]:
    """All weights in float32, as `Transformer.from_tensors` takes them; raises ModelError."""
    for name, parts in _parts(path):
        if _LEVELS in parts:
            weight = parts[_LEVELS] * parts[_SCALES].float()[:, None]
        elif _NIBBLES in parts:
            weight = _unpacked(*(parts[each] for each in (_NIBBLES, _STEPS, _LEAST)))
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
            names: dict[str, list[str]] = {}
            for key in file.keys():  # noqa: SIM118 (a safe_open is not iterable)
                stem, dot, ending = key.rpartition(".")
                ending = dot + ending
                if ending not in (_LEVELS, _SCALES, _NIBBLES, _STEPS, _LEAST):
                    stem, ending = key, ""
                names.setdefault(stem, []).append(ending)
            for name, endings in names.items():
                found = set(endings)
                if found not in ({""}, {_LEVELS, _SCALES}, {_NIBBLES, _STEPS, _LEAST}):
                    raise ModelError(f"{path}: '{name}' is not whole: download it again")
                yield name, {each: file.get_tensor(name + each) for each in endings}
    except SafetensorError as error:
        raise ModelError(f"{path} cannot be read ({error}): download it again") from error


def _grouped(weight: Tensor, group: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nibbles (out, in / 2), steps and least values (out, in / group)."""
    groups = weight.contiguous().view(len(weight), -1, group)
    least = groups.amin(2).half()
    steps = ((groups.amax(2) - least.float()) / 15).clamp_(min=1e-7).half()
    steps.clamp_(min=torch.finfo(torch.half).smallest_normal)
    numbers = (groups - least.float()[..., None]) / steps.float()[..., None]
    numbers = numbers.round_().clamp_(0, 15).to(torch.uint8).view(len(weight), -1, 2)
    return numbers[..., 0] | (numbers[..., 1] << 4), steps, least


def _unpacked(nibbles: Tensor, steps: Tensor, least: Tensor) -> Tensor:
    """(out, in) float32."""
    if sys.byteorder == "little":
        # In one number of 16 bits the halves of a byte come to lie in a byte each, as `stack` below
        # has them, in a sixth of its time.
        pairs = nibbles.short()
        pairs |= pairs << 4
        pairs &= 0x0F0F
        numbers = pairs.view(torch.uint8)
    else:
        numbers = torch.stack((nibbles & 15, nibbles >> 4), -1)
    weight = numbers.view(*steps.shape, -1).float()
    # `addcmul` would take three times as long over groups.
    weight.mul_(steps.float()[..., None]).add_(least.float()[..., None])
    return weight.view(len(nibbles), -1)


def _rounded(nibbles: Tensor, steps: Tensor, least: Tensor) -> Rounded:
    """In 8 bits, without the detour of the whole weight in float32."""
    steps, least = steps.float(), least.float()
    # A group's numbers reach from 0 to 15, so this is a row's largest weight.
    largest = torch.maximum(least.abs(), torch.add(least, steps, alpha=15).abs()).amax(1)
    scales = (largest / 127).clamp_(min=1e-12)
    steps, least = steps / scales[:, None], least / scales[:, None]
    out = torch.empty(len(nibbles), nibbles.shape[1] * 2, dtype=torch.int8)
    rows = max(1, _AT_ONCE // out.shape[1])
    for start in range(0, len(out), rows):
        some = slice(start, start + rows)
        out[some] = _unpacked(nibbles[some], steps[some], least[some]).round_()
    return Rounded(out, scales)


def _ours(names: Names, name: str) -> str:
    return "head.weight" if name == "lm_head.weight" else names.ours(name) or name


def rounded(path: Path, names: Names) -> tuple[list[tuple[str, Tensor]], dict[str, Rounded]]:
    """What `Transformer.from_tensors` takes, its matrices without memory, and these in 8 bits by
    the names of their modules, for `engine.pack`; raises ModelError."""
    plain, matrices = [], {}
    for name, value in _tensors(path):
        mine = _ours(names, name)
        if isinstance(value, Rounded):
            matrices[mine.rpartition(".")[0]] = value
            value = torch.empty(value.levels.shape, device="meta")
            value = value.t() if names.is_transposed(mine) else value
        plain.append((name, value))
    return plain, matrices
