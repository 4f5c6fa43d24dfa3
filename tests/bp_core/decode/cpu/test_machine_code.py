"""machine_code.py: what numba compiled runs without numba, or is passed over."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("numba")

from bp_core.decode.cpu import linking, machine_code, self_check
from bp_core.decode.cpu.numba_layers import TiledLinear

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def kept():
    """The file that this machine keeps for float16."""
    assert self_check.compile_now("float16"), "the kernels fail their check on this machine"
    file = machine_code.path("float16")
    if not file.is_file() or not file.stat().st_size:
        pytest.skip("this machine's code does not run without numba")
    return file


@pytest.fixture
def use():
    yield lambda file: machine_code.use("float16", file)
    machine_code._chosen.clear()
    machine_code.of.cache_clear()


def products() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(48, 64, generator=generator).half()
    return TiledLinear(weight, None, torch.ones(48))(torch.randn(7, 64, generator=generator))


def test_code_computes_what_numba_does(kept, use):
    use(None)
    expected = products()
    use(kept)
    assert isinstance(machine_code.of("float16"), machine_code.MachineCode)
    assert torch.equal(products(), expected)
    self_check.check("float16")


@pytest.mark.parametrize("llvm", [False, True])
def test_a_process_decodes_without_numba(kept, llvm):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from bp_core.decode.cpu import linking, self_check\n"
        "def refuse(*_): raise ValueError\n"
        "if sys.argv[2] == 'True': linking.linked = refuse\n"
        "assert self_check.compile_now('float16')\n"
        "self_check.check('float16')\n"
        "print(*(name for name in ('numba', 'llvmlite') if name in sys.modules))"
    )
    command = [sys.executable, "-c", code, str(ROOT), str(llvm)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    by_llvm = llvm or not linking.possible()
    assert done.stdout.split() == ["llvmlite"] * by_llvm


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:-5000] + bytes([data[-5000] ^ 1]) + data[-4999:],
        lambda data: data[data.index(b"\n") :],
        lambda data: b"{}" + data[data.index(b"\n") :],
        lambda data: b"",
        lambda data: b"\xff" * 1000,
    ],
    ids=["half", "one byte less", "one bit", "no head", "empty head", "nothing", "noise"],
)
def test_a_damaged_file_is_passed_over(kept, use, tmp_path, damage):
    file = tmp_path / "code"
    file.write_bytes(damage(kept.read_bytes()))
    use(file)
    assert machine_code.of("float16") is None
    assert products().shape == (7, 48)  # by numba


def test_a_file_that_lacks_a_function_is_passed_over(kept, use, tmp_path):
    head, _, code = kept.read_bytes().partition(b"\n")
    stated = json.loads(head)
    stated["functions"]["linear"]["symbol"] = "nowhere"
    file = tmp_path / "code"
    file.write_bytes(json.dumps(stated).encode() + b"\n" + code)
    use(file)
    assert machine_code.of("float16") is None


def test_arguments_of_other_types_are_refused(kept, use):
    use(kept)
    code = machine_code.of("float16")
    x, y = torch.zeros(2, 64).numpy(), torch.zeros(2, 48).numpy()
    scale = torch.zeros(48).numpy()
    rest = 1, code.counters(1)
    code.linear.bound(code.HALF, 0, scale, scale, x, y, *rest)
    for wrong in (x.astype("float64"), x[:, ::2], x[0]):
        with pytest.raises(TypeError, match="not float32 of 2 dimensions"):
            code.linear.bound(code.HALF, 0, scale, scale, wrong, y, *rest)
    with pytest.raises(ValueError):
        code.linear.bound(code.HALF, 0, scale)


def other_processor(monkeypatch):
    monkeypatch.setattr(machine_code, "_machine", lambda: "another")


def other_python(monkeypatch):
    monkeypatch.setattr(sys, "version", "3.99")


def other_settings(monkeypatch):
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")


def other_kernels(monkeypatch, tmp_path):
    kernels = tmp_path / "numba_kernels.py"
    kernels.write_bytes(machine_code._KERNELS.read_bytes() + b"# changed\n")
    monkeypatch.setattr(machine_code, "_KERNELS", kernels)


def other_numba(monkeypatch, tmp_path):
    """Of another version, and as far as one looks."""
    for name in ("numba", "llvmlite"):
        (tmp_path / name).mkdir()
        for file in ("__init__.py", "_version.py"):
            (tmp_path / name / file).write_text("raise ImportError\n")
    find = machine_code.importlib.util.find_spec
    locate = machine_code.importlib.util.spec_from_file_location
    monkeypatch.setattr(
        machine_code.importlib.util,
        "find_spec",
        lambda name: (
            locate(name, tmp_path / name / "__init__.py")
            if name in ("numba", "llvmlite")
            else find(name)
        ),
    )


@pytest.mark.parametrize(
    "change", [other_processor, other_python, other_settings, other_kernels, other_numba]
)
def test_code_of_another_machine_or_version_is_another_file(monkeypatch, tmp_path, change):
    before = machine_code.path("int8")
    assert before == machine_code.path("int8") != machine_code.path("float16")
    given = (monkeypatch, tmp_path)[: change.__code__.co_argcount]
    change(*given)
    assert machine_code.path("int8").name != before.name


def test_a_processor_that_tells_nothing_of_itself_is_asked_by_llvm(monkeypatch):
    known = machine_code._machine()
    monkeypatch.setattr(machine_code.Path, "read_text", lambda *_, **__: "processor\t: 0\n\n")
    assert machine_code._machine() != known or not linking.possible()
    monkeypatch.setattr(linking, "possible", lambda: False)
    name, features = machine_code._machine()
    assert name and "+" in features


def test_without_numba_there_is_no_file(monkeypatch):
    monkeypatch.setattr(machine_code.importlib.util, "find_spec", lambda name: None)
    assert machine_code.path("int8") is None
    assert machine_code.tried("int8")
