"""CUDA kernels compiled for the GPU at hand by NVRTC, the compiler that every CUDA torch brings.

No toolkit is needed, and nothing is written to disk. References: NVRTC and the CUDA driver API
(docs.nvidia.com/cuda/nvrtc, docs.nvidia.com/cuda/cuda-driver-api).
"""

from __future__ import annotations

import ctypes
import functools
import re
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

# Attributes and modes by their numbers in cuda.h.
_MAX_DYNAMIC_SHARED = 8
_PROGRAMMATIC_SERIALIZATION = 6
_THREAD_LOCAL = 1
# Shared memory that a kernel may have without being told.
_PLAIN_SHARED = 48 * 1024


class KernelError(RuntimeError):
    """A kernel cannot be compiled, loaded or started."""


class _Attribute(ctypes.Structure):
    """CUlaunchAttribute: a number, and a union of 64 bytes."""

    _fields_ = [("id", ctypes.c_int), ("pad", ctypes.c_char * 4), ("value", ctypes.c_char * 64)]


class _Launch(ctypes.Structure):
    """CUlaunchConfig."""

    _fields_ = [
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.POINTER(_Attribute)),
        ("count", ctypes.c_uint),
    ]


class Kernels:
    """The kernels of one source on one device.

    Args:
        source: CUDA C++; kernels begin with `extern "C" __global__` and stand behind everything
            that they share.
        defines: macros by name.
        device: a CUDA device.

    Raises:
        KernelError: there is no compiler or driver, or the source does not compile.
    """

    def __init__(self, source: str, defines: Mapping[str, object], device: torch.device) -> None:
        arch = "sm_{}{}".format(*torch.cuda.get_device_capability(device))
        options = tuple(f"-D{name}={value}" for name, value in defines.items())
        common, *kernels = re.split(r'(?m)^(?=extern "C" __global__)', source)
        self._driver, self._device = _driver(), device
        self._functions: dict[str, tuple[ctypes.c_void_p, int]] = {}
        # Each by itself, because they can be compiled at the same time.
        with ThreadPoolExecutor() as pool:
            binaries = pool.map(lambda kernel: compiled(common + kernel, options, arch), kernels)
            binaries = list(binaries)
        with torch.cuda.device(device):
            torch.cuda.current_stream().synchronize()  # makes sure that there is a context
            self._modules = [self._load(binary) for binary in binaries]

    def launch(
        self,
        name: str,
        grid: tuple[int, ...],
        block: int,
        *args: Tensor | int,
        shared: int = 0,
        early: bool = False,
    ) -> None:
        """Start a kernel on torch's current stream.

        Args:
            grid: blocks in up to three dimensions.
            block: threads of a block.
            args: tensors for pointers, ints for ints.
            shared: dynamic shared memory of a block, bytes.
            early: may begin before the kernel in front of it ends; it has to wait by itself.
        """
        values = [
            ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else ctypes.c_int(a)
            for a in args
        ]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        attribute = _Attribute(id=_PROGRAMMATIC_SERIALIZATION, value=b"\1")
        config = _Launch(
            (ctypes.c_uint * 3)(*grid, *[1] * (3 - len(grid))),
            (ctypes.c_uint * 3)(block, 1, 1),
            shared,
            torch.cuda.current_stream(self._device).cuda_stream,
            ctypes.pointer(attribute),
            int(early),
        )
        function = self._function(name, shared)
        _check(
            self._driver,
            self._driver.cuLaunchKernelEx(ctypes.byref(config), function, pointers, None),
        )

    def _function(self, name: str, shared: int) -> ctypes.c_void_p:
        if name not in self._functions:
            function = ctypes.c_void_p()
            codes = (
                self._driver.cuModuleGetFunction(ctypes.byref(function), module, name.encode())
                for module in self._modules
            )
            if all(codes):  # stops at the first module that has it
                raise KernelError(f"there is no kernel {name}")
            self._functions[name] = function, _PLAIN_SHARED
        function, room = self._functions[name]
        if shared > room:
            _check(
                self._driver, self._driver.cuFuncSetAttribute(function, _MAX_DYNAMIC_SHARED, shared)
            )
            self._functions[name] = function, shared
        return function

    def _load(self, binary: bytes) -> ctypes.c_void_p:
        module = ctypes.c_void_p()
        _check(self._driver, self._driver.cuModuleLoadData(ctypes.byref(module), binary))
        return module


@functools.cache
def kernels(source: str, defines: tuple[tuple[str, object], ...], device: torch.device) -> Kernels:
    """The kernels of one source on one device, loaded once; see `Kernels`."""
    return Kernels(source, dict(defines), device)


class Recording:
    """Launches of kernels, captured in a CUDA graph once and started together again and again.

    torch.cuda.CUDAGraph does more: for operations that allocate memory or draw random numbers it
    changes the allocator and the generators of the whole process, which may be a host's. Kernels
    of our own do neither, and other threads notice nothing.

    Args:
        launch: starts kernels on torch's current stream, and each of them has run before.

    Raises:
        KernelError: the driver refuses.
    """

    def __init__(self, launch: Callable[[], None], device: torch.device) -> None:
        self._driver, self._device = _driver(), device
        self._graph, self._ready = ctypes.c_void_p(), ctypes.c_void_p()
        stream = torch.cuda.Stream(device)
        with torch.cuda.stream(stream):
            handle = ctypes.c_void_p(stream.cuda_stream)
            _check(self._driver, self._driver.cuStreamBeginCapture_v2(handle, _THREAD_LOCAL))
            try:
                launch()
            finally:
                code = self._driver.cuStreamEndCapture(handle, ctypes.byref(self._graph))
            _check(self._driver, code)
            code = self._driver.cuGraphInstantiateWithFlags(
                ctypes.byref(self._ready), self._graph, ctypes.c_ulonglong(0)
            )
            _check(self._driver, code)

    def replay(self) -> None:
        """Start them on torch's current stream."""
        stream = ctypes.c_void_p(torch.cuda.current_stream(self._device).cuda_stream)
        _check(self._driver, self._driver.cuGraphLaunch(self._ready, stream))

    def __del__(self) -> None:
        if self._ready:
            self._driver.cuGraphExecDestroy(self._ready)
        if self._graph:
            self._driver.cuGraphDestroy(self._graph)


def _check(driver: ctypes.CDLL, code: int) -> None:
    if code:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(code, ctypes.byref(text))
        raise KernelError(f"CUDA driver: {(text.value or b'unknown error').decode()}")


@functools.cache
def compiled(source: str, options: tuple[str, ...], arch: str) -> bytes:
    """Machine code for an architecture, "sm_90" say; raises KernelError."""
    library = _library()
    program = ctypes.c_void_p()
    code = library.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None
    )
    if code:
        raise KernelError(f"NVRTC: error {code}")
    try:
        options = (f"--gpu-architecture={arch}", "--std=c++17", *options)
        array = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
        if library.nvrtcCompileProgram(program, len(options), array):
            log = _bytes(library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog, program)
            raise KernelError(f"NVRTC: {log.decode(errors='replace').strip()}")
        return _bytes(library.nvrtcGetCUBINSize, library.nvrtcGetCUBIN, program)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _bytes(size_of, get, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    size_of(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    get(program, buffer)
    return buffer.raw


@functools.cache
def _library() -> ctypes.CDLL:
    """NVRTC of torch's CUDA version."""
    if torch.version.cuda is None:
        raise KernelError("this PyTorch is built without CUDA")
    major, minor = torch.version.cuda.split(".")[:2]
    if sys.platform == "win32":
        names = [f"nvrtc64_{major}{0 if int(major) > 11 else minor}_0.dll", "nvrtc64_112_0.dll"]
    else:
        names = [f"libnvrtc.so.{major}", f"libnvrtc.so.{major}.{minor}", "libnvrtc.so.11.2"]
    home = Path(torch.__file__).parent
    for name in names:
        beside = [home / "lib" / name, *home.parent.glob(f"nvidia/*/lib/{name}")]
        for path in [name, *map(str, beside)]:
            try:
                return ctypes.CDLL(path)
            except OSError:
                continue
    raise KernelError(f"{names[0]} is not to be found")


@functools.cache
def _driver() -> ctypes.CDLL:
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
        driver.cuLaunchKernelEx  # noqa: B018 -- drivers before CUDA 11.8 lack it
    except (OSError, AttributeError) as error:
        raise KernelError(f"{name}: {error}") from error
    return driver
