"""Names that nobody reads by chance: no cipher, since the page itself must read them at the end."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator


def cover(text: str, seed: str) -> str:
    """Text as base64 of its bytes, each changed by a stream that hangs on the seed (hex)."""
    return b64encode(_mixed(text.encode(), seed)).decode()


def uncover(covered: str, seed: str) -> str:
    """What was covered; raises ValueError where it was not covered so."""
    return _mixed(b64decode(covered, validate=True), seed).decode()


def _mixed(data: bytes, seed: str) -> bytes:
    return bytes(a ^ b for a, b in zip(data, _stream(seed), strict=False))


def _stream(seed: str) -> Iterator[int]:
    """`vote.js` has the same."""
    state = int(seed[:8], 16)
    while True:
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        yield state >> 24
