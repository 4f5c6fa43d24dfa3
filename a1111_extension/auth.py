"""Whom the host lets in: no host guards an extension's routes, so ours ask for its users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bp_core.errors import InputError

# The first that is set holds. SD.Next takes `--api-auth` and ignores it; the last two guard only
# the pages of the others, but whoever locks the page does not mean its models to be open.
_GUARDS = (("auth", "auth_file"), ("api_auth", None), ("gradio_auth", "gradio_auth_path"))


def users(flags: Any) -> dict[str, str] | None:
    """Users and their passwords by the host's command line; None where the host asks nobody.

    Raises:
        InputError: the host asks for users, and which ones cannot be read: serve nothing then.
    """
    for inline, file in _GUARDS:
        texts = []
        if getattr(flags, inline, None):
            texts.append(str(getattr(flags, inline)))
        path = getattr(flags, file, None) if file else None
        if path:
            try:
                texts.append(Path(path).read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"the users in {path} cannot be read: {error}") from error
        if texts:
            found = dict(pair for text in texts for pair in _pairs(text))
            if not found:
                name = (inline if getattr(flags, inline, None) else file).replace("_", "-")
                raise InputError(f"--{name} names no user: write it as user:password")
            return found
    return None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for entry in text.replace("\n", ",").split(","):
        user, colon, password = entry.strip().strip('"').partition(":")
        if colon and user.strip():
            yield user.strip(), password.strip()
