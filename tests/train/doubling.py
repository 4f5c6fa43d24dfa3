"""A worker that doubles numbers, for tests: quickly imported where it works."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from bp_core.errors import InputError


def doubled(marker: Path | None = None):
    """It kills its process once, in the middle, if there is a marker to leave."""

    def work(items: list) -> list:
        if marker is not None and 25 in items and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "fault" in items:
            raise InputError("this item cannot be doubled: take it away")
        return [2 * item for item in items]

    return work
