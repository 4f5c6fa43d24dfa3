"""linking.py: object files of LLVM's run as LLVM's own linker makes them, or are refused."""

import ctypes
import struct

import pytest

pytest.importorskip("llvmlite")

import llvmlite.binding as llvm

from bp_core.decode.cpu import linking

pytestmark = pytest.mark.skipif(not linking.possible(), reason="for Linux on x86-64")

# It names a function of C's, one of ours, a constant, one of its own functions, and memory that
# stands in no section.
CODE = """
@weights = private constant [4 x float] [float 1.0, float 2.0, float 3.0, float 4.0]
@calls = common global i64 0
declare float @expf(float)
declare float @beautifulprompt_test(float)
define linkonce_odr float @twice(float %x) noinline { %y = fadd float %x, %x
  ret float %y }
define float @run(i64 %i, float %x) {
  %place = getelementptr [4 x float], [4 x float]* @weights, i64 0, i64 %i
  %w = load float, float* %place
  %e = call float @expf(float %x)
  %o = call float @beautifulprompt_test(float %e)
  %t = call float @twice(float %o)
  %n = load i64, i64* @calls
  %m = add i64 %n, 1
  store i64 %m, i64* @calls
  %f = sitofp i64 %m to float
  %p = fmul float %w, %t
  %r = fadd float %p, %f
  ret float %r
}
"""


@pytest.fixture(scope="module")
def code():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        reloc="static", codemodel="large"
    )
    return machine.emit_object(llvm.parse_assembly(CODE))


@pytest.fixture(scope="module")
def symbols():
    ours = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_float)(lambda x: x + 100)
    return {"beautifulprompt_test": ctypes.cast(ours, ctypes.c_void_p).value, "kept": ours}


def test_code_finds_constants_functions_and_memory(code, symbols):
    held, places = linking.linked(code, symbols)
    run = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64, ctypes.c_float)(places["run"])
    assert [run(i, 0.0) for i in range(4)] == [w * 202 + w for w in (1, 2, 3, 4)]
    assert held


def test_what_is_nowhere_is_refused(code):
    with pytest.raises(ValueError, match="beautifulprompt_test"):
        linking.linked(code, {})


@pytest.mark.parametrize("part", [0, 3, 40, 64, 0.3, 0.6, 0.9, -1])
def test_a_file_that_is_cut_off_is_refused(code, symbols, part):
    end = int(part * len(code)) if isinstance(part, float) else part
    with pytest.raises(ValueError):
        linking.linked(code[:end], symbols)


def test_addresses_of_other_kinds_are_refused(code, symbols):
    changed = bytearray(code)
    for at in range(0, len(code) - 24, 8):
        what = struct.unpack_from("<Q", code, at)[0]
        if what & 0xFFFFFFFF == 1 and 0 < what >> 32 < 64:
            struct.pack_into("<Q", changed, at, what + 1)  # R_X86_64_PC32
    assert changed != code
    with pytest.raises(ValueError, match="kind 2"):
        linking.linked(bytes(changed), symbols)


def test_other_machines_code_is_refused(code, symbols):
    changed = bytearray(code)
    struct.pack_into("<H", changed, 18, 183)  # AArch64
    with pytest.raises(ValueError, match="x86-64"):
        linking.linked(bytes(changed), symbols)


def test_code_lies_in_memory_that_nobody_can_write(code, symbols):
    held, places = linking.linked(code, symbols)
    with open("/proc/self/maps") as file:
        ranges = [line.split() for line in file]
    rights = [
        line[1]
        for line in ranges
        if int(line[0].split("-")[0], 16) <= places["run"] < int(line[0].split("-")[1], 16)
    ]
    assert held and [each[:3] for each in rights] == ["r-x"]


def test_a_process_that_may_execute_no_memory_is_told(code, symbols, monkeypatch):
    monkeypatch.setattr(linking, "_EXECUTE", 1 << 20)  # what mprotect refuses
    with pytest.raises(OSError, match="executed"):
        linking.linked(code, symbols)


def test_only_where_it_was_tried(monkeypatch):
    monkeypatch.setattr(linking.sys, "platform", "win32")
    assert not linking.possible()
    monkeypatch.setattr(linking.sys, "platform", "linux")
    monkeypatch.setattr(linking.platform, "machine", lambda: "aarch64")
    assert not linking.possible()
