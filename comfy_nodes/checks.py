"""What nodes ask of the host before anything runs: refusing a graph, and what is shown again."""

from __future__ import annotations

from collections.abc import Callable

from comfy_api.v0_0_2 import io

from ..bp_core.errors import BeautifulPromptError

_NAME = "has_intermediate_output"
#: For the schema of a node in the middle of a graph: what it shows comes again with a result from
#: the cache. A ComfyUI that does not know of it shows results of output nodes only.
SHOWN = {_NAME: True} if hasattr(io.Schema, _NAME) else {"is_output_node": True}


def verdict(check: Callable[[], object]) -> bool | str:
    """True, or what `check` complains of; the server answers 400 with it."""
    try:
        check()
    except BeautifulPromptError as error:
        return str(error)
    return True
