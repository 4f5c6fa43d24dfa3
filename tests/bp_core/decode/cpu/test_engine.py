"""engine.py: which engine a network gets, once, and that packing is for the CPU."""

from typing import ClassVar

import pytest

from bp_core.decode.cpu import engine, fbgemm, numba_layers, self_check
from bp_core.decode.cpu.fbgemm import FbgemmNetwork
from bp_core.decode.transformer import Transformer
from bp_core.errors import ModelError
from bp_core.models.load import load

needs_fbgemm = pytest.mark.skipif(not fbgemm.has("int8"), reason="FBGEMM is for x86")


@pytest.fixture
def machine(monkeypatch):
    """A machine as the test describes it; `started` are the kinds that it has begun to compile."""

    class Machine:
        started: ClassVar[list[str]]

        def __init__(self, has_fbgemm=True, has_numba=True, compiled=False, works=True):
            monkeypatch.setattr(fbgemm, "has", lambda kind: has_fbgemm)
            monkeypatch.setattr(numba_layers, "installed", lambda: has_numba)
            monkeypatch.setattr(self_check, "passed", lambda kind: has_numba and compiled)
            monkeypatch.setattr(self_check, "compile_now", lambda kind: has_numba and works)
            monkeypatch.setattr(self_check, "start", self.started.append)

    Machine.started = []
    return Machine


@needs_fbgemm
def test_numba_where_it_is_compiled_else_fbgemm_and_compiled_for_the_next_process(bloom, machine):
    machine(compiled=False)
    assert isinstance(engine.pack(bloom(6, 16), "float16"), FbgemmNetwork)
    assert machine.started == ["float16"]
    pytest.importorskip("numba")
    from bp_core.decode.cpu.numba_network import NumbaNetwork

    machine(compiled=True)
    assert isinstance(engine.pack(bloom(6, 16), "float16"), NumbaNetwork)


@needs_fbgemm
def test_a_process_that_ends_soon_loads_no_numba_for_a_small_network(bloom, machine, monkeypatch):
    machine(compiled=True)
    assert isinstance(engine.pack(bloom(6, 16), "int8", lasting=False), FbgemmNetwork)
    assert not machine.started
    pytest.importorskip("numba")
    monkeypatch.setattr(engine, "_WORTH_8_BITS", 1)
    assert not isinstance(engine.pack(bloom(6, 16), "int8", lasting=False), FbgemmNetwork)


@needs_fbgemm
def test_without_numba(bloom, machine):
    machine(has_numba=False)
    assert isinstance(engine.pack(bloom(6, 16), "int8"), FbgemmNetwork)
    assert not machine.started


def test_without_fbgemm_numba_is_waited_for(bloom, machine):
    pytest.importorskip("numba")
    machine(has_fbgemm=False)
    assert not isinstance(engine.pack(bloom(6, 16), "int8"), FbgemmNetwork)


def test_machines_without_either(model_folder, bloom, machine):
    machine(has_fbgemm=False, works=False)
    assert isinstance(load(model_folder).network, Transformer)
    with pytest.raises(ModelError, match="use dtype float32, or install numba"):
        load(model_folder, dtype="int8")
    with pytest.raises(ModelError, match="use float16 or int8"):
        engine.pack(bloom(), "int4")


def test_big_networks_get_8_bits(bloom, machine):
    machine()
    assert engine.best_kind(bloom().config) == "float16"
    from bp_core.decode.bloom import bloom as of

    assert engine.best_kind(of(250880, 1536, 24, 16)) == "int8"


def test_loading_packs_for_the_cpu(model_folder, machine):
    machine()
    assert load(model_folder).network.kind == "float16"
    assert load(model_folder, dtype="int8").network.kind == "int8"
    assert isinstance(load(model_folder, dtype="float32").network, Transformer)
    with pytest.raises(ModelError, match="CPU only, not on cuda"):
        load(model_folder, device="cuda", dtype="int8")


def test_a_plain_load_imports_nothing_of_cuda(model_folder):
    import subprocess
    import sys

    code = (
        "import sys; from bp_core.models.load import load;"
        f"load({str(model_folder)!r}, lasting=False);"
        "print([m for m in sys.modules if 'decode.cuda' in m or m == 'numba'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
