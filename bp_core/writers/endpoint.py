"""An OpenAI-compatible server as writer: Ollama, LM Studio, llama.cpp's server, vLLM and the like.

The key of a server that wants one comes from the environment alone, and goes to the one host that
the environment names: no workflow can have it sent elsewhere, and no message repeats it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError
from .writer import Answer, Check, Request

KEY, HOST = "BEAUTIFULPROMPT_WRITER_KEY", "BEAUTIFULPROMPT_WRITER_HOST"

_CONNECT = 5.0  # seconds until a machine that is there has answered
_PATIENCE = 180.0  # seconds without any answer; a big model may have to be loaded first
_LISTEN = 0.1  # seconds between two looks at Cancel
_TOGETHER = 4  # requests at a time; a server that does fewer queues the others
_MOST = 4 * 2**20  # bytes of an answer
_THINKING = 2048  # tokens, for a model that thinks first whatever it is told
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Endpoint:
    """A server and a model on it.

    Args:
        address: as "http://127.0.0.1:11434/v1".
        model: its name there; "" for the only one.
        local: refuse any host but this machine and the one that HOST names: for callers who did
            not type the address themselves, but opened a file that has it.
        patience: seconds to wait without any answer.

    Raises:
        InputError: the address is none, has a password in it, or is not allowed.
    """

    def __init__(
        self, address: str, model: str = "", *, local: bool = False, patience: float = _PATIENCE
    ) -> None:
        self._secure, self._host, self._port, self._path = _parts(address)
        named = [host.strip().lower() for host in os.environ.get(HOST, "").split(",")]
        trusted = self._host in named
        if local and self._host not in _LOOPBACK and not trusted:
            raise InputError(
                f"{self._host} is another machine: to send prompts to it, start with {HOST}="
                f"{self._host} in the environment"
            )
        self._key = os.environ.get(KEY, "").strip() if trusted else ""
        self._model, self._patience = model.strip(), patience
        self._plain = False  # the server refused what goes beyond OpenAI's own fields
        self._thinks = False  # the model used up its tokens on thoughts
        self.name = self._model or self._host

    def __repr__(self) -> str:
        return f"Endpoint({self._where!r}, {self._model!r})"

    @property
    def _where(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'s' * self._secure}://{host}:{self._port}{self._path}"

    def write(self, requests: Sequence[Request], check: Check) -> list[Answer]:
        """One answer a request, some asked for at a time; see `Writer`."""
        calls = _Calls()
        pool = ThreadPoolExecutor(_TOGETHER, thread_name_prefix="writer")
        try:
            check(0)
            if not self._model and (fault := self._choose(pool, calls, check)):
                return [Answer(fault=fault, gone=True)] * len(requests)
            pending = [pool.submit(self._answer, request, calls) for request in requests]
            return self._collect(pending, check)
        finally:
            # What still runs is of no use to anybody: an error, Cancel, or a server that hangs.
            calls.close()
            pool.shutdown(wait=False, cancel_futures=True)

    def _collect(self, futures: list[Future], check: Check) -> list[Answer]:
        """Wait for all, listening to `check`; those that a silent server owes become faults."""
        pending, heard = set(futures), time.monotonic()
        while pending:
            done, pending = wait(pending, timeout=_LISTEN, return_when=FIRST_COMPLETED)
            check(len(futures) - len(pending))
            if done:
                heard = time.monotonic()
            elif time.monotonic() - heard > self._patience:
                break
        late = Answer(
            fault=f"{self._where} gave no answer for {self._patience:.0f} seconds: is the model "
            "too big for that machine?",
            gone=True,
        )
        return [late if future in pending else future.result() for future in futures]

    def _choose(self, pool: ThreadPoolExecutor, calls: _Calls, check: Check) -> str:
        """Take the server's only model; what is in the way of that, or ""."""
        [answer] = self._collect([pool.submit(self._models, calls)], check)
        names = answer.text.splitlines()
        if answer.fault or len(names) == 1:
            self._model = "".join(names)
            self.name = self._model.replace("\\", "/").rpartition("/")[2] or self._host
            return answer.fault
        if not names:
            return f"{self._where} has no model: load one there"
        listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        return f"{self._where} has several models, name the writer's: {listed}"

    def _models(self, calls: _Calls) -> Answer:
        value = self._call("GET", "/models", None, calls)
        if isinstance(value, Answer):
            return value
        listed = value.get("data") if isinstance(value.get("data"), list) else []
        names = [str(entry["id"]) for entry in listed if isinstance(entry, dict) and "id" in entry]
        return Answer("\n".join(" ".join(name.split()) for name in names))

    def _answer(self, request: Request, calls: _Calls) -> Answer:
        answer = self._ask(request, calls)
        if answer.fault or answer.text.strip() or answer.finished or self._thinks:
            return answer
        self._thinks = True
        return self._ask(request, calls)

    def _ask(self, request: Request, calls: _Calls) -> Answer:
        plain = self._plain
        value = self._call("POST", "/chat/completions", self._body(request, plain), calls)
        if isinstance(value, Answer) and "answers 400" in value.fault and not plain:
            self._plain = True
            value = self._call("POST", "/chat/completions", self._body(request, True), calls)
        return value if isinstance(value, Answer) else _read(value, self._where)

    def _body(self, request: Request, plain: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": role, "content": text} for role, text in request.messages],
        }
        if plain:
            return body
        return body | {
            "max_tokens": request.longest + _THINKING * self._thinks,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed % 2**31,
            "stream": False,
            # Thoughts are of no use here; who does not know these fields passes over them.
            "chat_template_kwargs": {"enable_thinking": False},
            "reasoning_effort": "none",
        }

    def _call(self, method: str, path: str, body: Any, calls: _Calls) -> dict | Answer:
        """What the server answers, as JSON; an Answer with a fault when it does not."""
        connection = self._connection()
        calls.add(connection)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else json.dumps(body).encode()
        connected = False
        try:
            connection.connect()
            connected = True
            connection.sock.settimeout(self._patience)
            connection.request(method, self._path + path, data, headers)
            response = connection.getresponse()
            content = response.read(_MOST)
            if response.length:  # bytes that were promised, and did not come
                raise http.client.IncompleteRead(content)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return self._fault(error, connected)
        finally:
            connection.close()
        if response.status != 200:
            gone = response.status in (401, 403, 404)
            return Answer(fault=self._refusal(response.status, content), gone=gone)
        try:
            value = json.loads(content)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            return Answer(
                fault=f"{self._where} sent no whole JSON: is it an OpenAI-compatible server?"
            )
        return value

    def _fault(self, error: Exception, connected: bool) -> Answer:
        """What kept a call from its answer."""
        if isinstance(error, socket.gaierror):
            said = f"there is no machine named {self._host}: mend the writer's address"
        elif isinstance(error, ssl.SSLError):
            said = f"{self._where} speaks no sound https: try http, or mend its certificate"
        elif not connected:
            said = f"no server answers at {self._where}: start it, or mend the address"
        elif isinstance(error, TimeoutError):
            said = f"{self._where} does not answer: is the server running?"
        else:
            said = f"{self._where} broke off in the middle of its answer: try again"
            return Answer(fault=said)
        return Answer(fault=said, gone=True)

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(self._host, self._port, timeout=_CONNECT)
        return http.client.HTTPConnection(self._host, self._port, timeout=_CONNECT)

    def _refusal(self, status: int, content: bytes) -> str:
        """One line about an answer that is none; nothing of it where a key may stand in it."""
        if status in (401, 403):
            return (
                f"{self._where} wants a key: start with {KEY} and {HOST}={self._host} in the "
                "environment"
            )
        said = " ".join(_message(content).split())
        if self._key:
            said = said.replace(self._key, "…")
        if status == 404 and not said:
            said = "is the address right? Most end in /v1"
        return f"{self._where} answers {status}: {said[:200] or 'see its log'}"


class _Calls:
    """The open connections of one `write`, to be closed from another thread."""

    def __init__(self) -> None:
        self._open: list[http.client.HTTPConnection] = []
        self._closed = False

    def add(self, connection: http.client.HTTPConnection) -> None:
        if self._closed:
            raise ConnectionAbortedError("cancelled")
        self._open.append(connection)

    def close(self) -> None:
        """End all: a server stops writing when nobody listens any more."""
        self._closed = True
        for connection in self._open:
            if (sock := connection.sock) is not None:
                # Closing alone would leave the other thread waiting.
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def _parts(address: str) -> tuple[bool, str, int, str]:
    """Whether https, host, port and path of an address."""
    address = address.strip()
    example = "give it as http://127.0.0.1:11434/v1"
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        port = parts.port
    except ValueError:
        raise InputError(f"the writer's address is no URL: {example}") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        # Not repeated: it may be a key.
        raise InputError(
            f"the writer's address has a name, password or query in it: {example}, and a key in "
            f"{KEY}"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"the writer's address is no http address: {example}")
    secure = parts.scheme == "https"
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    if not path.isascii() or any(character <= " " for character in path):
        raise InputError(f"the writer's address has a space or sign that no URL has: {example}")
    return secure, parts.hostname, port or (443 if secure else 80), path


def _read(value: dict, where: str) -> Answer:
    """The answer in a chat completion."""
    try:
        choice = value["choices"][0]
        content = choice["message"].get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        return Answer(fault=f"{where} sent JSON without an answer: is it OpenAI-compatible?")
    if isinstance(content, list):  # parts
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    text = content if isinstance(content, str) else ""
    return Answer(text, choice.get("finish_reason") != "length")


def _message(content: bytes) -> str:
    """What an error's body says; only as JSON, a proxy's page tells an artist nothing."""
    try:
        value = json.loads(content)
    except ValueError:
        return ""
    error = value.get("error", value.get("message", "")) if isinstance(value, dict) else ""
    if isinstance(error, dict):
        error = error.get("message", "")
    return error if isinstance(error, str) else ""
