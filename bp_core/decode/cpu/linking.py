"""Puts machine code of LLVM's into memory, where it is as numba has it made: on Linux, for x86-64.

There it names other places by addresses of 64 bits alone, so that a linker is a loop over a table,
and LLVM's own, which is 34 MiB and a tenth of a second, stays on the disk. Everything else is
refused, and left to LLVM.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

# Of the ELF format (man 5 elf).
_FILE, _SECTION, _SYMBOL, _CHANGE = "<16sHHIQQQIHHHHHH", "<IIQQQQIIQQ", "<IBBHQQ", "<QQq"
_OBJECT, _X86_64 = 1, 62
_SYMBOLS, _CHANGES, _NO_BITS = 2, 4, 8  # kinds of sections
_IN_MEMORY, _CODE = 2, 4  # what sections are marked as
_UNDEFINED, _ABSOLUTE, _COMMON = 0, 0xFFF1, 0xFFF2  # where symbols are, if in no section
_ADDRESS = 1  # R_X86_64_64
_UNWINDING = ".eh_frame"  # for exceptions in C++, of which there are none
_READ, _EXECUTE = 1, 4  # of mprotect


def possible() -> bool:
    """Whether machine code of this machine is of the one kind that is understood here."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and sys.maxsize > 2**32


class _Section(NamedTuple):
    name: str
    kind: int
    flags: int
    content: bytes
    size: int
    link: int
    of: int
    align: int


def linked(code: bytes, symbols: Mapping[str, int]) -> tuple[object, dict[str, int]]:
    """An object file in memory: what must live as long as it is used, and its functions' addresses.

    Args:
        symbols: addresses of what the code names; what is not among them is looked for in the
            libraries of this process.

    Raises:
        ValueError: the file is damaged, or has what is not understood.
        OSError: this process may not have memory that it can execute.
    """
    try:
        return _linked(code, symbols)
    except (struct.error, IndexError, StopIteration, OverflowError, MemoryError) as error:
        raise ValueError(f"it is no whole object file ({error!r})") from error


def _linked(code: bytes, symbols: Mapping[str, int]) -> tuple[object, dict[str, int]]:
    sections = _sections(code)
    table = next(i for i, each in enumerate(sections) if each.kind == _SYMBOLS)
    names = sections[sections[table].link].content
    stated = list(struct.iter_unpack(_SYMBOL, sections[table].content))

    # Code in pages of its own; behind the other sections what no section holds.
    places: dict[int, tuple[int, int]] = {}
    sizes = [0, 0]
    for index, each in enumerate(sections):
        if each.flags & _IN_MEMORY:
            part = bool(each.flags & _CODE)
            start = _up(sizes[part], each.align)
            places[index], sizes[part] = (part, start), start + each.size
    common: dict[int, int] = {}
    for index, (_, _, _, section, align, size) in enumerate(stated):
        if section == _COMMON:
            common[index] = _up(sizes[0], align)
            sizes[0] = common[index] + size
    memory = [mmap.mmap(-1, _up(max(size, 1), mmap.PAGESIZE)) for size in sizes]
    starts = [ctypes.addressof(ctypes.c_char.from_buffer(each)) for each in memory]
    for index, (part, start) in places.items():
        if sections[index].kind != _NO_BITS:
            memory[part][start : start + sections[index].size] = sections[index].content

    addresses = []
    for index, (at, _, _, section, value, _) in enumerate(stated):
        name = _text(names, at)
        if section == _UNDEFINED:
            addresses.append(symbols.get(name) or _known(name) if name else 0)
        elif section == _ABSOLUTE:
            addresses.append(value)
        elif section == _COMMON:
            addresses.append(starts[0] + common[index])
        elif section in places:
            part, start = places[section]
            addresses.append(starts[part] + start + value)
        else:
            addresses.append(0)
    for each in sections:
        if each.kind == _CHANGES and each.of in places and sections[each.of].name != _UNWINDING:
            part, start = places[each.of]
            _change(memory[part], start, each.content, addresses)
    _allow(starts[1], len(memory[1]))
    functions = {
        _text(names, at): addresses[index]
        for index, (at, _, _, section, _, _) in enumerate(stated)
        if section in places
    }
    return memory, functions


def _sections(code: bytes) -> list[_Section]:
    head = struct.unpack_from(_FILE, code)
    marks, kind, machine, table, size, count, names = (head[i] for i in (0, 1, 2, 6, 11, 12, 13))
    whole = marks[:6] == b"\x7fELF\x02\x01" and size == struct.calcsize(_SECTION)
    if not whole or (kind, machine) != (_OBJECT, _X86_64):
        raise ValueError("it is no object file for x86-64")
    stated = [struct.unpack_from(_SECTION, code, table + i * size) for i in range(count)]
    texts = code[stated[names][4] :]
    sections = []
    for name, kind, flags, _, at, length, link, of, align, _ in stated:
        content = b"" if kind == _NO_BITS else code[at : at + length]
        if kind != _NO_BITS and len(content) != length:
            raise ValueError("it is cut off")
        title = _text(texts, name)
        sections.append(_Section(title, kind, flags, content, length, link, of, align or 1))
    return sections


def _change(memory: mmap.mmap, start: int, changes: bytes, addresses: list[int]) -> None:
    """Write the addresses that a section names."""
    for at, what, addend in struct.iter_unpack(_CHANGE, changes):
        if what & 0xFFFFFFFF != _ADDRESS:
            raise ValueError(f"it has addresses of kind {what & 0xFFFFFFFF}")
        address = addresses[what >> 32]
        if not address:
            raise ValueError("it names what is nowhere")
        struct.pack_into("<Q", memory, start + at, address + addend)


def _known(name: str) -> int:
    """The address of a function of Python's or of C's."""
    for library in (ctypes.pythonapi, ctypes.CDLL(None)):
        found: Callable | None = getattr(library, name, None)
        if found is not None:
            return ctypes.cast(found, ctypes.c_void_p).value or 0
    raise ValueError(f"it names {name}, which is nowhere")


def _allow(address: int, size: int) -> None:
    """Let the processor run what lies there, and nobody write to it."""
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    if protect(address, size, _READ | _EXECUTE):
        raise OSError(ctypes.get_errno(), "no memory of this process may be executed")


def _text(texts: bytes, at: int) -> str:
    return texts[at : texts.index(b"\0", at)].decode()


def _up(size: int, align: int) -> int:
    return -(-size // max(align, 1)) * max(align, 1)
