"""Which networks our decoder builds, by the model_type of a config.json."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ModelError
from . import bloom, gpt2, llama
from .config import Config, Unsupported

_READERS = {"bloom": bloom.from_hf, "gpt2": gpt2.from_hf}
_READERS |= {kind: llama.from_hf for kind in llama.KINDS}


def from_hf(fields: Mapping) -> Config:
    """Read a Hugging Face config.json.

    Raises:
        Unsupported: a network that we do not build.
        ModelError: a field is missing or makes no sense.
    """
    kind = fields.get("model_type")
    if not isinstance(kind, str | None):
        raise ModelError(f"its model_type {str(kind)[:40]} is no name: download config.json again")
    if kind not in _READERS:
        raise Unsupported(f"its model_type is '{kind}'")
    return _READERS[kind](fields)
