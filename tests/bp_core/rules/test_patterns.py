"""Blocked patterns have bounded time."""

from __future__ import annotations

import time

import pytest

from bp_core.errors import InputError
from bp_core.rules.blocklist import Blocklist


@pytest.mark.parametrize("pattern", ["/octane.*/", "/neon|glow/", r"/\bfoo\b/", "/[0-9]+k/"])
def test_usual_patterns_pass(pattern):
    Blocklist([pattern])


@pytest.mark.parametrize(
    "pattern",
    [
        "/(a+)+b/",
        "/(a|a)*b/",
        "/.*.*.*.*x/",
        "/(x{1000}){1000}/",
        "/" + "a" * 300 + "/",
        r"/(a*)\1/",
    ],
)
def test_patterns_that_take_for_ever_are_refused_at_once(pattern):
    start = time.process_time()
    with pytest.raises(InputError, match="blocked pattern"):
        Blocklist([pattern])
    assert time.process_time() - start < 1


def test_a_long_phrase_costs_little():
    start = time.process_time()
    Blocklist(["/a*b*c*x/"]).find("abc" * 100_000)
    assert time.process_time() - start < 2
