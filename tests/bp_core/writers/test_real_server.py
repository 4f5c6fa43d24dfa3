"""A real server, where the environment names one: see benchmarks/writer.py for the whole count."""

from __future__ import annotations

import os
import threading
import time

import pytest

from benchmarks.writer import SERVER, losses, prompts
from bp_core.errors import Cancelled
from bp_core.writers.endpoint import Endpoint
from bp_core.writers.rewriter import WriterRewriter

ADDRESS = os.environ.get(SERVER)
pytestmark = pytest.mark.skipif(not ADDRESS, reason=f"{SERVER} names no server")


@pytest.mark.parametrize("mode", ["expand", "rewrite"])
def test_nothing_is_lost(mode):
    rewriter = WriterRewriter(Endpoint(ADDRESS))
    written = 0
    for prompt in prompts()[::25]:
        for candidate in rewriter(prompt, mode=mode, n=2, seed=1).candidates:
            written += 1
            assert not losses(prompt, mode, candidate.text)
    assert written


def test_the_same_seed_gives_the_same_text():
    rewriter = WriterRewriter(Endpoint(ADDRESS))
    texts = [rewriter("a fox in the snow", n=1, seed=5).text for _ in range(2)]
    assert texts[0] == texts[1]


def test_cancel_stops_it_within_a_second():
    asked = threading.Event()
    started = []

    def stop(progress):
        if not asked.is_set():
            asked.set()
            started.append(time.monotonic())
        elif time.monotonic() - started[0] > 0.3:
            started.append(time.monotonic())
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        WriterRewriter(Endpoint(ADDRESS))("a fox", n=8, max_new_tokens=500, on_progress=stop)
    assert time.monotonic() - started[1] < 1


def test_an_unknown_model_or_path_is_one_line():
    result = WriterRewriter(Endpoint(ADDRESS + "/nowhere", "x"))("a fox", n=1)
    assert result.text == "a fox" and "404" in result.note and "\n" not in result.note
