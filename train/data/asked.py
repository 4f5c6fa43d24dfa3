"""Questions to a language model, each paid for once: answers are kept as they come.

The server speaks OpenAI's protocol (Ollama, LM Studio, llama.cpp, vLLM; see
`bp_core.writers.endpoint`, which says how a key is given). A run that was killed asks again for
nothing that it had an answer to.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

from bp_core.errors import InputError
from bp_core.writers.instructions import REWRITE, messages
from bp_core.writers.writer import Request, Writer
from train.data.progress import bar
from train.data.workers import Workers

_TRIES = 6
_WAIT = 1.0  # seconds before the second try; doubled before each further one

_SUMMARISE = (
    "You shorten prompts of image generators. Say what the picture shows in a few plain words, as "
    "somebody would who only names the thing: its subject, and where it is. Leave out style, "
    "light, quality, artists and technique. Answer with the short text alone, on one line, at most "
    "{words} words."
)
_LONG = (
    "a red fox curled up asleep in an old library, warm lamplight, dust in the air, oil painting, "
    "soft brush strokes, muted colours"
)


class Answers:
    """A file of answers by what was asked of whom; safe between threads, and whole at any kill."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._base.execute("CREATE TABLE IF NOT EXISTS answers (asked TEXT PRIMARY KEY, text TEXT)")

    def get(self, key: str) -> str | None:
        with self._lock:
            row = self._base.execute("SELECT text FROM answers WHERE asked = ?", (key,)).fetchone()
        return row and row[0]

    def put(self, key: str, text: str) -> None:
        with self._lock:
            self._base.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, text))


def summary(prompt: str, words: int = 12, seed: int = 0) -> Request:
    """Asks for the low side of a high prompt."""
    asked = _SUMMARISE.format(words=words)
    chat = (
        ("user", f"{asked}\n\nPrompt: {_LONG}"),
        ("assistant", "a fox asleep in an old library"),
        ("user", f"Prompt: {prompt}"),
    )
    return Request(chat, seed, 64, temperature=0.3)


def upgrade(raw: str, dialect: str, words: int = 60, seed: int = 0) -> Request:
    """Asks for the high side of a low prompt, in a dialect."""
    return Request(messages(REWRITE, dialect, raw, words), seed, 256, temperature=0.8)


def ask_all(
    writer: Writer,
    model: str,
    requests: Sequence[Request],
    answers: Answers,
    together: int = 4,
    rate: float = 0.0,
    desc: str = "asking",
    workers: Workers | None = None,
) -> list[str]:
    """One answer a request, on one line; "" where the server's was empty every time.

    Args:
        model: who is asked, as a part of what an answer is kept by.
        together: questions that are open at a time.
        rate: questions a second at most; 0: as many as it takes.
        workers: who asks, each so many together and all of them at that rate; None: this process.

    Raises:
        InputError: the server is not there, or refuses; what was answered is kept.
    """
    keys = [_key(model, request) for request in requests]
    texts = {key: answers.get(key) for key in keys}
    todo = {k: r for k, r in zip(keys, requests, strict=True) if texts[k] is None}
    if workers is not None:
        make = partial(Asker, writer, together, rate / max(1, workers.actors))
        names = {request: key for key, request in todo.items()}
        workers.run(make, list(names), together, desc, lambda r, text: answers.put(names[r], text))
        return [answers.get(key) or "" for key in keys]
    pace, progress = _Pace(rate), bar(len(texts), desc, initial=len(texts) - len(todo))
    stop = threading.Event()

    def ask(key: str, request: Request) -> None:
        text = _ask(writer, request, pace, stop)
        if not stop.is_set():
            answers.put(key, text)
            texts[key] = text
            progress.update()

    with progress, ThreadPoolExecutor(together) as pool:
        futures = [pool.submit(ask, *item) for item in todo.items()]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [texts[key] or "" for key in keys]


class Asker:
    """A worker (see `train.data.workers`): requests in, answers out."""

    def __init__(self, writer: Writer, together: int, rate: float) -> None:
        self._writer, self._together, self._pace = writer, together, _Pace(rate)

    def __call__(self, requests: list[Request]) -> list[str]:
        with ThreadPoolExecutor(self._together) as pool:
            stop = threading.Event()
            return list(pool.map(lambda r: _ask(self._writer, r, self._pace, stop), requests))


def _ask(writer: Writer, request: Request, pace: _Pace, stop: threading.Event) -> str:
    fault = ""
    for attempt in range(_TRIES):
        if attempt and stop.wait(_WAIT * 2 ** (attempt - 1)):
            return ""
        pace.wait()
        [answer] = writer.write([request], lambda done: None)
        text = " ".join(answer.text.split())
        if text or not answer.fault:
            return text
        fault = answer.fault
        if answer.gone:
            break
    raise InputError(f"{fault}; what was answered is kept: run the command again to go on")


def _key(model: str, request: Request) -> str:
    return key_of(model, request.messages, request.seed, request.longest, request.temperature)


def key_of(*said) -> str:
    """What an answer is kept by: who was asked, and what."""
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


class _Pace:
    """Lets so many through a second."""

    def __init__(self, rate: float) -> None:
        self._gap, self._next, self._lock = 1 / rate if rate else 0.0, 0.0, threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            at, self._next = self._next, max(now, self._next) + self._gap
        time.sleep(max(0.0, at - now))
