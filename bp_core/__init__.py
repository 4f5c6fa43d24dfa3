"""Beautiful Prompt: rewrites an artist's short prompt into one that makes a beautiful image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .rewriter import Candidate, Progress, Result, Rewriter
    from .settings import Settings

__all__ = ["Candidate", "Progress", "Result", "Rewriter", "Settings"]


def __getattr__(name: str):
    # Loaded on first use: `bp --help` and the hosts' start-up wait for no torch.
    if name == "Settings":
        from .settings import Settings

        return Settings
    if name in __all__:
        from . import rewriter

        return getattr(rewriter, name)
    raise AttributeError(f"module 'bp_core' has no attribute '{name}'")
