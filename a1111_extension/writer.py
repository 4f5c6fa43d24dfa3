"""The language model server that the settings name, in place of our own model."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bp_core import Rewriter
    from bp_core.writers.endpoint import Endpoint

    from .options import Options


def chosen_rewriter(own: Rewriter, chosen: Options) -> Rewriter:
    """The server that the settings name, its drafts ranked by what ranks our own model's, or that
    model.

    Raises:
        InputError: the settings' address is none.
    """
    if not chosen.writer:
        return own
    from bp_core.writers.rewriter import WriterRewriter

    return WriterRewriter(_endpoint(chosen.writer), own.reward, own.taste)


@lru_cache(maxsize=1)
def _endpoint(setting: str) -> Endpoint:
    """An address and, behind a space, the model's name there; kept for what it learns of both."""
    from bp_core.writers.endpoint import Endpoint

    address, _, name = setting.partition(" ")
    return Endpoint(address, name)
