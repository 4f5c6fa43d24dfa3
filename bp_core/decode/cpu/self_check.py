"""Whether what numba makes of our kernels can be trusted on this machine.

Hosts bring numba in many versions, on processors that we never saw. LLVM ends the process in which
it meets what it cannot compile, and compiling takes half a minute; so it is done and compared with
PyTorch in a process of its own, once on a machine. That leaves what numba compiled on the disk, and
beside it a note of what was wrong, empty for nothing.
"""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from ..bloom import bloom
from ..generate import generate
from ..transformer import Transformer
from . import machine_code, numba_layers

log = logging.getLogger(__name__)

_STALE = 600  # seconds after which a compiling process is taken for dead
_KILLED = (-9, -15, 137, 143)  # exit codes of a process that was ended from outside
_TRIES = 3  # that die, as LLVM's do on a processor that it does not know
_started: list[subprocess.Popen] = []  # processes that nobody waits for


@functools.cache
def passed(kind: str) -> bool:
    """Whether the kernels for weights of a kind are compiled, checked and right; takes no time."""
    if machine_code.of(kind) is not None:  # kept after the check
        return True
    note = _note(kind)
    return note is not None and note.is_file() and _right(note)


def _right(note: Path) -> bool:
    """What a note says; a fault is told."""
    fault = note.read_text(encoding="utf-8")
    if fault:
        log.warning("numba is not used for decoding: %s", fault)
    return not fault


def start(kind: str) -> None:
    """Have what is missing compiled and checked for the next process; waits for nothing."""
    if machine_code.of(kind) is not None:
        return
    note = _note(kind)
    if note is None or (note.is_file() and machine_code.tried(kind)):
        return
    running = _running(note)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        tries = 0
        if running.is_file():
            tries = len(running.read_text(encoding="utf-8"))
            if tries >= _TRIES or time.time() - running.stat().st_mtime < _STALE:
                return
        running.write_text("." * (tries + 1), encoding="utf-8")
        command = _command(kind, waited_for=False)
        _started.append(subprocess.Popen(command, **_quiet(), start_new_session=True))
    except OSError as error:  # a full disk, a process that may not start others
        log.info("numba's engine is not compiled (%s): decoding goes on without", error)


@functools.cache
def compile_now(kind: str) -> bool:
    """Whether numba is there and its kernels are right, compiled and checked if need be."""
    if not numba_layers.installed():
        return False
    if machine_code.of(kind) is not None:
        return True
    note = _note(kind)
    if note is None:
        return False
    if not note.is_file():
        log.info("compiling the decoding of %s weights, once on this machine", kind)
        try:
            ended = subprocess.run(_command(kind), **_quiet(), timeout=300, check=False)
            if not note.is_file() and not _may_try_again(note, killed=ended.returncode in _KILLED):
                note.write_text("compiling ended the process", encoding="utf-8")
            if not note.is_file():
                return False
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("numba is not used for decoding: %s", error)
            return False
    # Not `passed`, which may have been asked before there was a note, and remembers that.
    return _right(note)


def _may_try_again(note: Path, killed: bool) -> bool:
    """Whether another process may compile after one that ended without a note: a few times, if it
    was killed from outside, as for want of memory."""
    running = _running(note)
    tries = len(running.read_text(encoding="utf-8")) + 1 if running.is_file() else 1
    if killed and tries < _TRIES:
        running.write_text("." * tries, encoding="utf-8")
        return True
    return False


def _note(kind: str) -> Path | None:
    """Where the note is; None without a numba that can be imported."""
    try:
        from . import numba_kernels as kernels

        return kernels.note(kind)
    except Exception as error:  # a numba that does not fit the host's numpy, an odd processor, …
        if numba_layers.installed():
            log.warning("numba is not used for decoding: %s", _last_line(str(error)))
        return None


def _running(note: Path) -> Path:
    """A file that is there while a process compiles, a dot for each that was started."""
    return note.with_name(f"{note.name}.running")


def _command(kind: str, waited_for: bool = True) -> list[str]:
    return _python(f"write_note({kind!r}, {waited_for})")


def _python(call: str) -> list[str]:
    """A process that calls a function of this module."""
    # Not resolved: numba keeps code by the path that it was imported from.
    root = str(Path(__file__).absolute().parents[3])
    code = (
        f"import sys; sys.path.insert(0, {root!r}); "
        f"from bp_core.decode.cpu import self_check; self_check.{call}"
    )
    return [sys.executable, "-c", code]


def _quiet() -> dict:
    """The host's window must not be joined by another, nor its output by ours."""
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    nothing = subprocess.DEVNULL
    return {"stdin": nothing, "stdout": nothing, "stderr": nothing, "creationflags": flags}


def write_note(kind: str, waited_for: bool = True) -> None:
    """Check the kernels, and write down what is wrong; run in a process of its own."""
    from . import numba_kernels as kernels

    if hasattr(os, "nice") and not waited_for:
        os.nice(10)
    note = kernels.note(kind)
    note.parent.mkdir(parents=True, exist_ok=True)
    machine_code.use(kind, None)
    try:
        check(kind)
        fault = ""
    except Exception as error:
        fault = _last_line(str(error)) or type(error).__name__
    running = _running(note)
    running.write_text(fault, encoding="utf-8")
    os.replace(running, note)
    if not fault:
        _keep_code(kind)


def _keep_code(kind: str) -> None:
    """Keep the machine code for later processes, or an empty file if it does not run without
    numba: LLVM ends the process in which it meets a name that it does not know."""
    try:
        file = machine_code.path(kind)
        trial = file.with_name(f"{file.name}.trial")
        machine_code.write(trial, kind)
        command = _python(f"try_code({kind!r}, {str(trial)!r})")
        subprocess.run(command, **_quiet(), timeout=300, check=False)
        trial.unlink(missing_ok=True)  # there still if it failed
        if not file.is_file():
            file.touch()
    except Exception as error:  # numba's inner parts change; its own way is there for that
        log.info("no machine code is kept: %s", error)


def try_code(kind: str, trial: str) -> None:
    """Check machine code, and put it where it is used; run in a process of its own."""
    machine_code.use(kind, Path(trial))
    if machine_code.of(kind) is None:
        raise ArithmeticError(f"{trial} cannot be used")
    check(kind)
    os.replace(trial, machine_code.path(kind))


def _last_line(text: str) -> str:
    return ([""] + text.strip().splitlines())[-1]


def check(kind: str) -> None:
    """Compile the kernels for weights of a kind, and compare them with PyTorch on a small network.

    Raises:
        ArithmeticError: results differ; and whatever numba raises.
    """
    from .numba_network import NumbaNetwork

    config = bloom(vocab_size=40, hidden_size=96, n_layer=2, n_head=2)
    with torch.device("meta"):
        shapes = [(n, p.shape) for n, p in Transformer(config).tensors()]
    tensors = {
        name: torch.arange(shape.numel()).add(i).mul(1.7).sin().mul(0.3).view(shape)
        for i, (name, shape) in enumerate(shapes)
    }
    plain = Transformer.from_tensors(config, tensors.items())
    packed = NumbaNetwork(Transformer.from_tensors(config, tensors.items()), kind)
    logits = []
    with torch.inference_mode():
        for network in (plain, packed):
            _, cache = network.prefill([[1, 2, 3], [4]], room=1)
            logits.append(network.step(torch.tensor([5, 6]), cache))
    off = (logits[0] - logits[1]).norm() / logits[0].norm()
    if not off < {"float16": 0.002, "int8": 0.03}[kind]:
        raise ArithmeticError(f"compiled products are off by {off:.1%}")
    texts = []
    for loop in (packed.loop, None):
        packed.loop = loop
        texts.append(generate(packed, [[1, 2, 3], [4]], eos=0, blocked=[(7,), (8, 9)]))
    if [_tokens(text) for text in texts[0]] != [_tokens(text) for text in texts[1]]:
        raise ArithmeticError("compiled sampling chooses other tokens")


def _tokens(candidates: list) -> list[list[int]]:
    return [one.tokens for one in candidates]
