"""Freed memory is kept, unless the environment says how."""

import platform

import pytest

from train.models.memory import keep_freed_memory


def test_freed_memory_is_kept(monkeypatch):
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX"):
        monkeypatch.delenv(name, raising=False)
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("of another C library")
    assert keep_freed_memory()


def test_what_the_environment_says_stays(monkeypatch):
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    assert not keep_freed_memory()
