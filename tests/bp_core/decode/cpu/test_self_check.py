"""self_check.py: kernels are compiled and compared in another process, once, and noted."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("numba")

from bp_core.decode.cpu import (
    machine_code,
    numba_kernels,
    numba_layers,
    numba_network,
    self_check,
)


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Nothing is known of this machine's numba."""
    monkeypatch.setattr(numba_kernels, "note", lambda kind: tmp_path / kind)
    monkeypatch.setattr(machine_code, "path", lambda kind: tmp_path / f"{kind}.code")
    monkeypatch.setattr(machine_code, "_chosen", {})
    for each in (self_check.passed, self_check.compile_now, machine_code.of):
        each.cache_clear()
    yield tmp_path
    for each in (self_check.passed, self_check.compile_now, machine_code.of):
        each.cache_clear()


@pytest.fixture(scope="module")
def compiled():
    assert self_check.compile_now("float16"), "the kernels fail their check on this machine"


def test_the_note_follows_the_kernels_own_source_alone(tmp_path):
    source = Path(numba_kernels.__file__)
    code = (
        "import sys, importlib.util as u; s = u.spec_from_file_location('k', sys.argv[1]);"
        "m = u.module_from_spec(s); sys.modules['k'] = m; s.loader.exec_module(m);"
        "print(m.note('int8').name)"
    )

    def note(text, name):
        copy = tmp_path / name / "numba_kernels.py"
        copy.parent.mkdir()
        copy.write_text(text)
        done = subprocess.run([sys.executable, "-c", code, copy], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    text = source.read_text()
    assert note(text, "one") == note(text, "later")
    assert note(text + "# changed\n", "other") != note(text, "again")


def test_what_numba_keeps_outlives_a_new_time_stamp(compiled):
    """An update that copies the same file anew must not compile for half a minute."""
    stamp = numba_kernels.advance._cache._cache_file._source_stamp
    assert stamp == numba_kernels._CONTENT


def test_a_check_in_another_process_leaves_its_note(compiled):
    note = numba_kernels.note("float16")
    assert note.read_text() == ""
    assert not note.with_name(f"{note.name}.running").exists()


def test_nobody_waits_for_what_is_compiled_for_the_next_process(fresh, monkeypatch):
    monkeypatch.setattr(
        self_check,
        "_command",
        lambda kind, **_: [
            sys.executable,
            "-c",
            f"import time; time.sleep(1); open({str(fresh / kind)!r}, 'w').close()",
        ],
    )
    before = time.monotonic()
    self_check.start("int8")
    self_check.start("int8")
    assert time.monotonic() - before < 0.9
    assert self_check._running(fresh / "int8").read_text() == ".", "started once"
    assert not self_check.passed("int8")
    self_check._started.pop().wait()
    self_check.passed.cache_clear()
    assert self_check.passed("int8")


def test_who_was_told_no_before_and_has_it_compiled_is_told_yes(fresh, monkeypatch):
    leaves = f"open({str(fresh / 'int8')!r}, 'w').close()"
    monkeypatch.setattr(self_check, "_command", lambda *_, **__: [sys.executable, "-c", leaves])
    assert not self_check.passed("int8")
    assert self_check.compile_now("int8")


def test_compilers_that_die_are_given_up(fresh, monkeypatch):
    monkeypatch.setattr(self_check, "_STALE", -1)
    dies = [sys.executable, "-c", "exit(1)"]
    monkeypatch.setattr(self_check, "_command", lambda *_, **__: dies)
    for _ in range(5):
        self_check.start("int8")
    assert len(self_check._running(fresh / "int8").read_text()) == 3


def test_a_compiler_that_ends_its_process_does_not_end_ours(fresh, monkeypatch, caplog):
    dies = [sys.executable, "-c", "exit(1)"]
    monkeypatch.setattr(self_check, "_command", lambda *_, **__: dies)
    assert not self_check.compile_now("int8")
    assert "compiling ended the process" in caplog.text


def test_a_fault_is_noted_and_told(fresh, monkeypatch, caplog):
    monkeypatch.setattr(self_check, "check", lambda kind: 1 / 0)
    monkeypatch.setattr(self_check.os, "nice", lambda by: 0)
    self_check.write_note("int8")
    assert not self_check.passed("int8")
    assert caplog.messages == ["numba is not used for decoding: division by zero"]


def test_a_numba_that_cannot_be_imported(fresh, monkeypatch, caplog):
    monkeypatch.setattr(numba_kernels, "note", lambda kind: 1 / 0)
    assert not self_check.passed("int8") and not self_check.compile_now("int8")
    self_check.start("int8")
    assert "numba is not used for decoding" in caplog.text


def test_without_numba(fresh, monkeypatch):
    monkeypatch.setattr(numba_layers, "installed", lambda: False)
    assert not self_check.compile_now("int8")


def test_results_that_are_wrong_are_found(monkeypatch):
    monkeypatch.setattr(numba_network.Layers, "__call__", lambda self, *args: torch.ones(2, 96))
    with pytest.raises(ArithmeticError, match="off by"):
        self_check.check("int8")


def test_a_host_that_calls_the_package_otherwise_reads_what_was_compiled(compiled):
    """As ComfyUI does, after the pack's folder. numba notes the module's name."""
    code = """
import importlib.util, sys, types
sys.modules["bp_core"] = None
name, folder = "/custom_nodes/pack.bp_core", sys.argv[1]
sys.modules["/custom_nodes/pack"] = types.ModuleType("pack")
spec = importlib.util.spec_from_file_location(
    name, folder + "/__init__.py", submodule_search_locations=[folder]
)
sys.modules[name] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
importlib.import_module(name + ".decode.cpu.self_check").check("float16")
"""
    folder = str(Path(self_check.__file__).parents[2])
    subprocess.run([sys.executable, "-c", code, folder], check=True)
