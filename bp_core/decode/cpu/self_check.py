"""Whether what numba makes of our kernels can be trusted on this machine.

Hosts bring numba in many versions, on processors that we never saw.
"""

from __future__ import annotations

import functools
import logging
import subprocess
import sys
from pathlib import Path

import torch

from ..bloom import Bloom, BloomConfig
from ..generate import generate
from . import numba_layers as compiled


@functools.cache
def compiles(kind: str) -> bool:
    """Whether numba is there and what it makes of our kernels is right.

    LLVM ends the process in which it meets what it cannot compile, and compiling takes ten seconds;
    so it is done in a process of its own, once on a machine. What numba keeps of that on the disk
    is then loaded here.
    """
    if not compiled.installed():
        return False
    log = logging.getLogger(__name__)
    try:
        from . import numba_kernels as kernels

        note = kernels.note(kind)
        if not note.is_file():
            log.info("compiling the decoding of %s weights, once on this machine", kind)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(_check_elsewhere(kind), encoding="utf-8")
        fault = note.read_text(encoding="utf-8")
        if not fault:
            check(kind)  # what was kept can be read here, too
    except Exception as error:  # a numba that does not fit the host's numpy, a full disk, …
        fault = _last_line(str(error)) or type(error).__name__
    if fault:
        log.warning("numba is not used for decoding: %s", fault)
    return not fault


def _check_elsewhere(kind: str) -> str:
    """What is wrong with `check` in another process; "" for nothing."""
    # Not resolved: numba keeps code by the path that it was imported from.
    root = str(Path(__file__).absolute().parents[3])
    code = (
        f"import sys; sys.path.insert(0, {root!r}); from bp_core.decode.cpu import self_check as trial; "
        f"trial.check({kind!r})"
    )
    # The host's window must not be joined by another.
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
        creationflags=flags, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    return _last_line(done.stderr) or f"compiling ended with status {done.returncode}"


def _last_line(text: str) -> str:
    return ([""] + text.strip().splitlines())[-1]


def check(kind: str) -> None:
    """Compile the kernels for weights of a kind, and compare them with PyTorch on a small network.

    Raises:
        ArithmeticError: results differ; and whatever numba raises.
    """
    from . import fbgemm as quant

    config = BloomConfig(vocab_size=40, hidden_size=96, n_layer=2, n_head=2)
    with torch.device("meta"):
        shapes = {name: p.shape for name, p in Bloom(config).named_parameters()}
    tensors = {
        name: torch.arange(shape.numel()).add(i).mul(1.7).sin().mul(0.3).view(shape)
        for i, (name, shape) in enumerate(shapes.items())
    }
    plain = Bloom.from_tensors(config, tensors.items())
    packed = quant.pack_tiled(Bloom.from_tensors(config, tensors.items()), kind)
    found = []
    with torch.inference_mode():
        for network in (plain, packed):
            _, cache = network.prefill([[1, 2, 3], [4]], room=1)
            found.append(network.step(torch.tensor([5, 6]), cache))
    off = (found[0] - found[1]).norm() / found[0].norm()
    if not off < {"float16": 0.002, "int8": 0.03}[kind]:
        raise ArithmeticError(f"compiled products are off by {off:.1%}")
    texts = []
    for decoder in (packed.decoder, None):
        packed.decoder = decoder
        found = generate(packed, [[1, 2, 3], [4]], eos=0, blocked=[(7,), (8, 9)])
        texts.append([[one.tokens for one in each] for each in found])
    if texts[0] != texts[1]:
        raise ArithmeticError("compiled sampling chooses other tokens")
