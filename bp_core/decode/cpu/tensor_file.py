"""Tensors out of a safetensors file, one read at a time.

Of a memory map every page that was looked at would count as this process's memory until the last
tensor is gone.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

_TYPES = {
    "F32": torch.float32, "F16": torch.float16, "I8": torch.int8, "U8": torch.uint8
}  # fmt: skip


_T = TypeVar("_T")


class Lazy(Mapping[str, _T]):
    """Values by name, each read when it is asked for, and not kept."""

    def __init__(self, names: Collection[str], read: Callable[[str], _T]) -> None:
        self._names, self._read = names, read

    def __getitem__(self, name: str) -> _T:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names  # without reading it

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class TensorFile:
    """A file whose header is read.

    Attributes:
        metadata: what was written beside the tensors.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError or ValueError: it cannot be read, or is cut off."""
        self._file = path.open("rb", buffering=0)
        start = self._file.read(8)
        (length,) = struct.unpack("<Q", start) if len(start) == 8 else (0,)
        size = os.fstat(self._file.fileno()).st_size
        if not 0 < length <= size - 8:
            raise ValueError("it is cut off")
        self._start = 8 + length
        try:
            self._stated = json.loads(self._file.read(length))
            self.metadata: dict = self._stated.pop("__metadata__", {})
            ends = [stated["data_offsets"][1] for stated in self._stated.values()]
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"its header is broken ({error!r})") from error
        if self._start + max(ends, default=0) > size:
            raise ValueError("it is cut off")

    def names(self) -> Iterable[str]:
        return self._stated

    def shape(self, name: str) -> list[int]:
        return self._stated[name]["shape"]

    def read(self, name: str) -> Tensor:
        """One tensor, in memory of its own; raises OSError or ValueError."""
        stated = self._stated[name]
        first, last = stated["data_offsets"]
        try:
            tensor = torch.empty(stated["shape"], dtype=_TYPES[stated["dtype"]])
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"'{name}' is none that is written here ({error!r})") from error
        if tensor.nbytes != last - first:
            raise ValueError(f"'{name}' has not the bytes of its shape")
        # By its address: without numpy a tensor gives no view of its memory.
        memory = (ctypes.c_uint8 * tensor.nbytes).from_address(tensor.data_ptr())
        view, done = memoryview(memory).cast("B"), 0
        self._file.seek(self._start + first)
        while done < len(view):
            count = self._file.readinto(view[done:])
            if not count:
                raise OSError("it ends too early")
            done += count
        return tensor
