"""Slow work of a click in a thread of its own, its progress as a generator for gradio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")
# A page refreshed more often than a browser can draw it only costs time.
_REFRESH = 0.4  # seconds


class Last(Generic[T]):
    """The end of the work, as opposed to progress."""

    def __init__(self, value: T) -> None:
        self.value = value


def stream(
    work: Callable[[Callable[[T], None]], T], on_error: Callable[[Exception], T]
) -> Iterator:
    """Yield what `work(tell)` tells, the newest only, and then what it returns.

    Args:
        on_error: makes the last value of an exception.
    """
    queue: SimpleQueue = SimpleQueue()

    def run() -> None:
        try:
            queue.put(Last(work(queue.put)))
        except Exception as error:
            queue.put(Last(on_error(error)))

    Thread(target=run, daemon=True).start()
    while True:
        try:
            update = queue.get(timeout=_REFRESH)
        except Empty:
            continue
        while not isinstance(update, Last) and not queue.empty():
            update = queue.get()
        if isinstance(update, Last):
            yield update.value
            return
        yield update


def handler(generator: Callable[..., Iterator[T]], queued: bool) -> Callable:
    """A gradio handler: streaming where the host's queue allows that, else with the end alone.

    gradio 3 refuses to start a page that streams without a queue.
    """
    if queued:
        return generator

    def last(*values):
        *_, end = generator(*values)
        return end

    return last
