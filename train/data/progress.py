"""Progress for whoever watches: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
from io import StringIO

_SECONDS = 20  # between two lines
_LINE = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {elapsed} gone, {remaining} left{postfix}"


class _Lines(StringIO):
    """Takes what a bar draws over itself, and writes each drawing as a line of its own."""

    def write(self, text: str) -> int:
        line = text.strip("\r\n ")
        if line:
            print(line, file=sys.stderr, flush=True)
        return len(text)


def bar(total: int, desc: str, initial: int = 0, off: bool = False):
    """A tqdm bar on a terminal; elsewhere lines with rate and time left, one every 20 seconds."""
    from tqdm import tqdm

    if off or sys.stderr.isatty():
        return tqdm(total=total, initial=initial, desc=desc, disable=off)
    return tqdm(
        total=total,
        initial=initial,
        desc=desc,
        file=_Lines(),
        mininterval=_SECONDS,
        maxinterval=_SECONDS,
        bar_format=_LINE,
    )
