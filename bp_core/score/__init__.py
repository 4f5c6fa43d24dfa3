"""What ranks rewrites and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .text_reward import Reward, TextReward, load_reward

__all__ = ["Reward", "TextReward", "load_reward"]


def __getattr__(name: str):
    # Loaded on first use: hosts import `score.image` when they start.
    if name in __all__:
        from . import text_reward

        return getattr(text_reward, name)
    raise AttributeError(f"module 'bp_core.score' has no attribute '{name}'")
