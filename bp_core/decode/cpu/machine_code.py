"""What numba compiled, run without numba: importing it takes longer than loading a small model.

Machine code needs a linker (`linking`, or LLVM) and an order of arguments. `write` keeps the code
and the order beside what numba keeps for itself, `self_check` tries them in a process of its own,
and `of` gives later processes what `numba_kernels` would: in a tenth of the time, and without
numba's 100 MiB.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import linking

if TYPE_CHECKING:
    import numpy as np  # comes with numba; PyTorch alone does not bring it

log = logging.getLogger(__name__)

_FORMAT = 2
_FUNCTIONS = "linear", "advance", "choose"
_KERNELS = Path(__file__).with_name("numba_kernels.py")
_FIRST = {"float16": "uint16", "int8": "int8"}  # the type that stands for a kind of weights
_NUMBERS = {
    "int8": ctypes.c_int8, "uint8": ctypes.c_uint8, "uint16": ctypes.c_uint16,
    "int32": ctypes.c_int32, "int64": ctypes.c_int64, "float32": ctypes.c_float,
    "float64": ctypes.c_double, "bool": ctypes.c_int8,
}  # fmt: skip
# Where numba keeps functions in C, and what their names begin with in its machine code.
_HELPERS = (
    ("", "_helperlib", "numba_"), ("", "_dynfunc", "numba_"),
    ("core/runtime", "_nrt_python", "NRT_"),
)  # fmt: skip
_DONE = 0, -2  # what numba's functions return that raise nothing
_chosen: dict[str, Path | None] = {}


def path(kind: str) -> Path | None:
    """Where the code for weights of a kind is kept, for these kernels, numba, processor and
    Python; None without numba."""
    numba = importlib.util.find_spec("numba")
    if numba is None or numba.origin is None:
        return None
    llvm = importlib.util.find_spec("llvmlite")
    if llvm is None or llvm.origin is None:
        return None
    settings = sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_"))
    versions = [Path(each.origin).with_name("_version.py").read_bytes() for each in (numba, llvm)]
    parts = _FORMAT, kind, _KERNELS.read_bytes(), versions, sys.version, _machine(), settings
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    folder = os.environ.get("NUMBA_CACHE_DIR") or _KERNELS.with_name("__pycache__")
    return Path(folder) / f"machine_code.{digest}.{kind}"


def _machine() -> object:
    """What tells this processor from those that other code is for."""
    if linking.possible():
        with contextlib.suppress(OSError, KeyError):
            first, _, _ = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")
            told = dict(line.partition("\t")[::2] for line in first.splitlines())
            return [told[each] for each in ("vendor_id", "cpu family", "model", "flags")]
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def use(kind: str, file: Path | None) -> None:
    """Take the code from another file; None for numba itself."""
    _chosen[kind] = file
    of.cache_clear()


def tried(kind: str) -> bool:
    """Whether there is code of a kind, or a note that it did not work."""
    try:
        file = path(kind)
    except Exception:  # whatever an odd installation of numba or LLVM raises
        return True
    return file is None or file.is_file()


@functools.cache
def of(kind: str) -> MachineCode | None:
    """The code for weights of a kind; None where none is kept."""
    try:
        file = _chosen[kind] if kind in _chosen else path(kind)
        if file is None or not file.is_file() or not file.stat().st_size:
            return None
        return MachineCode(file)
    except Exception as error:  # numba itself is there for what goes wrong
        log.info("machine code of %s weights is not used: %s", kind, error)
        return None


def write(file: Path, kind: str) -> None:
    """Keep what numba compiled in this process for weights of a kind; raises what it likes."""
    from . import numba_kernels as kernels

    functions, code = {}, []
    for name in _FUNCTIONS:
        dispatcher = getattr(kernels, name)
        [(types, compiled)] = [
            (types, compiled)
            for types, compiled in dispatcher.overloads.items()
            if name == "choose" or str(types[0]) == _FIRST[kind]
        ]
        cache = dispatcher._cache
        state, *_ = cache._cache_file.load(cache._index_key(types, compiled.codegen))
        _, how, (code_of_it, _) = state
        if how != "object":
            raise ValueError(f"numba keeps '{how}', not machine code")
        functions[name] = {
            "symbol": compiled.fndesc.llvm_func_name,
            "arguments": [_argument(each) for each in types],
            "bytes": len(code_of_it),
        }
        code.append(code_of_it)
    tiles = [kernels.TILES[each.dtype] for each in (kernels.HALF, kernels.INT8)]
    stated = {
        "functions": functions, "stages": kernels.STAGES, "tiles": tiles, "int8": int(kernels.INT8),
        "digest": hashlib.sha256(b"".join(code)).hexdigest(),
    }  # fmt: skip
    file.write_bytes(b"".join([json.dumps(stated).encode(), b"\n", *code]))


def _argument(kind: Any) -> list:
    """How a function takes an argument of one of numba's types: [what, of which type, how many]."""
    from numba import types

    if isinstance(kind, types.Array) and kind.layout == "C":
        return ["array", str(kind.dtype), kind.ndim]
    if isinstance(kind, types.UniTuple):
        return ["tuple", str(kind.dtype), kind.count]
    if str(kind) in _NUMBERS:
        return ["number", str(kind), 1]
    raise ValueError(f"no argument is a {kind}")


class MachineCode:
    """The names of `numba_kernels` that a network asks for, out of a file of `write`."""

    def __init__(self, file: Path) -> None:
        import numpy as np

        head, _, code = file.read_bytes().partition(b"\n")
        stated = json.loads(head)
        if hashlib.sha256(code).hexdigest() != stated["digest"]:
            raise ValueError(f"{file} is damaged")
        self.STAGES, self.HALF, self.INT8 = stated["stages"], np.uint16(0), np.int8(stated["int8"])
        kinds = self.HALF.dtype, self.INT8.dtype
        self.TILES = {k: tuple(t) for k, t in zip(kinds, stated["tiles"], strict=True)}
        self._engine, places = _linked(code, stated["functions"])
        self.linear, self.advance, self.choose = (
            Function(places[name], stated["functions"][name]["arguments"]) for name in _FUNCTIONS
        )

    @staticmethod
    def counters(stages: int) -> np.ndarray:
        """See `numba_kernels.counters`."""
        import numpy as np

        return np.zeros(2 * stages, np.int64)


class Function:
    """A function of numba's by its address."""

    def __init__(self, address: int, arguments: list[list]) -> None:
        import numpy as np

        self._arguments = [
            (what, np.dtype(kind) if what == "array" else kind, count)
            for what, kind, count in arguments
        ]
        types = []
        for what, kind, count in arguments:
            # An array is passed as its owner, twice, numbers, their size, address, shape, strides.
            words = ctypes.c_int64 if what == "array" else _NUMBERS[kind]
            types += [words] * (5 + 2 * count if what == "array" else count)
        # Its result and an exception go to the first two.
        given = ctypes.c_void_p, ctypes.c_void_p, *types
        self._call = ctypes.CFUNCTYPE(ctypes.c_int32, *given)(address)

    def bound(self, *args) -> Callable[[], None]:
        """A call with these arguments, for any number of threads.

        Raises:
            TypeError: they are none that the code was made for.
        """
        flat: list = []
        for (what, kind, count), arg in zip(self._arguments, args, strict=True):
            if what == "array":
                fits = arg.dtype == kind and arg.ndim == count and arg.flags.c_contiguous
                if not fits:
                    raise TypeError(f"{arg.dtype} {arg.shape}, not {kind} of {count} dimensions")
                flat += 0, 0, arg.size, arg.itemsize, arg.__array_interface__["data"][0]
                flat += arg.shape
                flat += arg.strides
            elif what == "tuple":
                flat += arg
            else:
                flat.append(arg if isinstance(arg, float) else int(arg))

        def call() -> None:
            spare = (ctypes.c_int64 * 2)()
            start = ctypes.addressof(spare)
            status = self._call(start, start + 8, *flat)
            if status not in _DONE:
                raise ArithmeticError(f"machine code ended with {status}, {len(args)} arguments")

        return call


def _linked(code: bytes, functions: dict[str, dict]) -> tuple[Any, dict[str, int]]:
    """What holds the code in memory, and the functions' addresses."""
    parts, at = {}, 0
    for name, stated in functions.items():
        parts[name] = code[at : at + stated["bytes"]]
        at += stated["bytes"]
    if linking.possible():
        symbols = dict(_symbols())
        try:
            held, places = [], {}
            for name, part in parts.items():
                memory, addresses = linking.linked(part, symbols)
                held.append(memory)
                places[name] = addresses[functions[name]["symbol"]]
            return held, places
        except (ValueError, KeyError, OSError) as error:
            log.info("machine code is left to LLVM: %s", error)
    return _linked_by_llvm(list(parts.values()), functions)


def _linked_by_llvm(parts: list[bytes], functions: dict[str, dict]) -> tuple[Any, dict[str, int]]:
    import llvmlite.binding as llvm

    with contextlib.suppress(Exception):  # newer ones need no such call, and do not like it
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for name, address in _symbols():
        llvm.add_symbol(name, address)
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    for part in parts:
        engine.add_object_file(llvm.ObjectFileRef.from_data(part))
    engine.finalize_object()
    places = {n: engine.get_function_address(each["symbol"]) for n, each in functions.items()}
    if not all(places.values()):
        raise ValueError("a function is missing")
    return engine, places


def _symbols() -> list[tuple[str, int]]:
    """What the code may name: numba's own helpers, and of Python what numba names."""
    root = Path(importlib.util.find_spec("numba").origin).parent
    if sys.platform == "win32":
        let_others = ctypes.windll.kernel32.SwitchToThread
    else:
        let_others = ctypes.CDLL(None).sched_yield
    symbols = [
        ("beautifulprompt_yield", ctypes.cast(let_others, ctypes.c_void_p).value),
        ("_Py_NoneStruct", id(None)),
    ]
    for name, value in vars(builtins).items():
        if isinstance(value, type) and issubclass(value, BaseException):
            symbols.append((f"PyExc_{name}", id(value)))
    for folder, name, prefix in _HELPERS:
        helpers = _extension(root / folder, name).c_helpers
        for each, address in helpers.items():
            plain = prefix == "NRT_" and each.startswith("_")
            symbols.append((each if plain else prefix + each, address))
            if name == "_helperlib" and sys.platform == "win32":
                symbols.append((each, address))  # C's mathematics, of Python's own library
    return symbols


def _extension(folder: Path, name: str) -> Any:
    """One of numba's modules in C, without numba's own start."""
    for ending in EXTENSION_SUFFIXES:
        file = folder / f"{name}{ending}"
        if file.is_file():
            loader = ExtensionFileLoader(f"beautifulprompt_numba.{name}", str(file))
            spec = importlib.util.spec_from_file_location(loader.name, file, loader=loader)
            module = importlib.util.module_from_spec(spec)
            loader.exec_module(module)
            return module
    raise ImportError(f"{folder} has no {name}")
