"""Refusing a graph before it runs: errors turned into what ComfyUI's `validate_inputs` returns."""

from __future__ import annotations

from collections.abc import Callable

from ..bp_core.errors import BeautifulPromptError


def verdict(check: Callable[[], object]) -> bool | str:
    """True, or what `check` complains of; the server answers 400 with it."""
    try:
        check()
    except BeautifulPromptError as error:
        return str(error)
    return True
