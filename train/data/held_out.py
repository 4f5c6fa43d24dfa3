"""Which prompts validate: one in 33, by its hash, so that more data moves none."""

import hashlib

_ONE_IN = 33


def held_out(prompt: str) -> bool:
    """Whether a prompt's rows validate; capitals make no other prompt of it."""
    return int(hashlib.md5(prompt.lower().encode()).hexdigest(), 16) % _ONE_IN == 0
