"""The protocol of a writer: requests in, answers out, as they come. It knows no prompt syntax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

#: Told how many requests are answered, several times a second where the writer can; what it raises
#: (Cancelled, a host's own) ends the work.
Check = Callable[[int], None]


@dataclass(frozen=True)
class Request:
    """One draft that is wanted.

    Attributes:
        messages: the chat so far, (role, text) each, with the roles "user" and "assistant" in
            turn; the last one is the user's.
        seed: of the sampling; the same request gets the same answer where the writer can.
        longest: tokens that the answer may have.
        temperature, top_k, top_p, repetition_penalty: as in `Settings`; a writer may know fewer.
    """

    messages: tuple[tuple[str, str], ...]
    seed: int
    longest: int
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 0.95
    repetition_penalty: float = 1.1


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        text: the answer, thoughts and chatter included.
        finished: False if it was cut at `Request.longest`.
        fault: why there is no answer, in one line that names the remedy; "" if there is one.
        gone: other requests will fare no better: the writer is not there, or not as it was named.
    """

    text: str = ""
    finished: bool = True
    fault: str = ""
    gone: bool = False


class Writer(Protocol):
    """A language model that somebody else runs.

    Attributes:
        name: for reports and metadata; holds no secret.
    """

    name: str

    def write(self, requests: Sequence[Request], check: Check) -> list[Answer]:
        """One answer a request, in order. Failures are faults of the answers, not errors."""
