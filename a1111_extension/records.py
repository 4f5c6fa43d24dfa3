"""What was written for which prompt: so that nothing is rewritten twice and the infotext can tell.

The host's infotext calls functions for its values, with the image's prompt; they look the prompt
up here. So images of one batch, copies of a job and a prompt box filled by the button all tell the
truth, and a job whose prompt we never touched tells nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

ORIGINAL = "Beautify original"
_MOST = 4096

V = TypeVar("V")


class Recent(Generic[V]):
    """A mapping that forgets what was not used for the longest; safe between threads."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._items: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> V | None:
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: Hashable, value: V) -> None:
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            while len(self._items) > self._most:
                self._items.popitem(last=False)


@dataclass(frozen=True)
class Record:
    """Where a written text comes from."""

    original: str
    model: str
    mode: str
    seed: int
    dialect: str = ""


#: Infotext key → field of a record.
_FIELDS = {
    ORIGINAL: "original",
    "Beautify model": "model",
    "Beautify mode": "mode",
    "Beautify seed": "seed",
    "Beautify dialect": "dialect",
}
#: A job's own record, for prompts that other extensions changed after us.
JOB_RECORD = "_beautify_record"


def infotext(records: Recent[Record]) -> dict[str, Callable[..., Any]]:
    """Entries for the host's `extra_generation_params`; each gives None for a foreign prompt."""

    def entry(field: str) -> Callable[..., Any]:
        def value(prompt_text: str = "", p: Any = None, **_: Any) -> Any:
            record = records.get(prompt_text) or getattr(p, JOB_RECORD, None)
            content = None if record is None else getattr(record, field)
            return None if content == "" else content

        return value

    return {key: entry(field) for key, field in _FIELDS.items()}


def told(
    records: Recent[Record], prompts: Iterable[str], job: Record | None = None
) -> dict[str, str]:
    """The same entries as plain text, for a host whose infotext is one for all of a batch.

    Args:
        prompts: of the batch's images; where their records differ, each value is told once.
        job: the record of prompts that other extensions changed after us.
    """
    found = [records.get(prompt) or job for prompt in prompts]
    entries = {}
    for key, field in _FIELDS.items():
        values = [str(getattr(record, field)) for record in found if record is not None]
        if text := " | ".join(value for value in dict.fromkeys(values) if value):
            entries[key] = text
    return entries


def pasted(parameters: Mapping[str, Any]) -> Record | None:
    """The record in an infotext that was read back; None in one without ours."""
    original = parameters.get(ORIGINAL)
    if isinstance(original, (int, float)):  # SD.Next reads "1984" as a number
        original = str(original)
    if not isinstance(original, str) or not original:
        return None
    try:
        seed = int(parameters.get("Beautify seed", -1))
    except (TypeError, ValueError):
        seed = -1
    model, mode, dialect = (
        str(parameters.get(f"Beautify {field}", "")) for field in ("model", "mode", "dialect")
    )
    return Record(original, model, mode, seed, dialect)
