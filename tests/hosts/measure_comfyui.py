"""The figures of docs/experiments/comfyui.md, from a real ComfyUI as the tests start it.

COMFYUI_DIR=… COMFYUI_PYTHON=… python tests/hosts/measure_comfyui.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from test_comfyui import long_list

from tests.hosts.comfyui import Host, Run, beautify


def run_seconds(host: Host, candidates: int) -> list[float]:
    """Queued to finished, of seven runs with a new seed each."""
    graphs = [{"1": beautify(seed=s, length=40, candidates=candidates)} for s in range(1, 8)]
    return [host.run(graph).seconds for graph in graphs]


def cancel_seconds(host: Host, seed: int) -> float:
    """From sending Cancel, at the first text of a long decoding, to hearing that it ended."""
    at: list[float] = []

    def cancel(run: Run) -> None:
        if run.texts and not at:
            at.append(time.monotonic())
            host.post("/interrupt", {})
        if run.of("execution_interrupted") and len(at) == 1:
            at.append(time.monotonic())

    host.run({"1": beautify(seed=seed, candidates=16, length=512)}, cancel)
    return at[1] - at[0]


def main() -> None:
    with tempfile.TemporaryDirectory() as base:
        host = Host(Path(base))
        try:
            host.wait()
            for n in (4, 1):
                print(f"run of {n}, s:", *(f"{s:.3f}" for s in run_seconds(host, n)))
            cancelled = [cancel_seconds(host, 100 + k) * 1000 for k in range(8)]
            print("Cancel, ms:", *(f"{ms:.1f}" for ms in cancelled))
            print(f"memory before lists: {host.memory():.1f} MiB")
            for seed in (71, 72, 73, 74):
                seconds = host.run(long_list(seed)).seconds
                print(f"list of 200: {seconds:.2f} s, then {host.memory():.1f} MiB")
        finally:
            host.stop()


if __name__ == "__main__":
    main()
