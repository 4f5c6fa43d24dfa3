"""Progress for whoever watches: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import TypeVar

_SECONDS = 20  # between two lines
_LINE = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {elapsed} gone, {remaining} left{postfix}"

Item = TypeVar("Item")


class _Lines(StringIO):
    """Takes what a bar draws over itself, and writes each drawing as a line of its own."""

    def write(self, text: str) -> int:
        line = text.strip("\r\n ")
        if line:
            print(line, file=sys.stderr, flush=True)
        return len(text)


def bar(total: int, desc: str, initial: int = 0, off: bool = False, short: bool = False):
    """A tqdm bar on a terminal; elsewhere lines with rate and time left, one every 20 seconds.

    Args:
        short: it is often over before anybody wants to read of it: no first line, then.
    """
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
        delay=_SECONDS if short else 0,
    )


def watched(items: Iterable[Item], total: int, desc: str) -> Iterator[Item]:
    """The items, and a bar that counts those that were dealt with."""
    with bar(total, desc, short=True) as progress:
        for item in items:
            yield item
            progress.update()


def memory(peak: bool = False) -> int:
    """Bytes that this process holds: of the GPU where it uses one, else of RAM.

    Args:
        peak: the most that it ever held.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.memory_reserved():
        return torch.cuda.max_memory_reserved() if peak else torch.cuda.memory_reserved()
    import psutil

    held = psutil.Process().memory_info()
    if not peak:
        return held.rss
    if hasattr(held, "peak_wset"):  # Windows
        return held.peak_wset
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def pace(speed: float) -> dict[str, str]:
    """What a bar says behind its time: `speed` in tokens a second, and the memory held."""
    return {"tokens/s": f"{speed:.0f}", "GiB": f"{memory() / 2**30:.1f}"}
