"""HTTP routes of the extension: rewrite, score, list models. JSON in, JSON out, errors too.

No host's password covers routes of extensions, so it is asked for here. One worker
serves all calls: the host's own threads stay free while many callers wait.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from bp_core.errors import BeautifulPromptError, InputError

from .app import App
from .requests import MOST_BYTES, allowed, read_beautify, read_score

PREFIX = "/beautifulprompt/v1"
#: Calls that may wait for the worker.
MOST_WAITING = 64


def add_routes(server: FastAPI, app: App, users: dict[str, str] | None) -> None:
    """Add the routes to the host's server.

    Args:
        users: whom to let in, with their passwords; None for everybody. See `auth.users`.
    """
    routes = Routes(app)
    guards = [] if users is None else [Depends(_guard(users))]
    for path, endpoint, method in (
        ("/beautify", routes.beautify, "POST"),
        ("/score", routes.score, "POST"),
        ("/models", routes.models, "GET"),
    ):
        server.add_api_route(
            PREFIX + path, endpoint, methods=[method], dependencies=guards, tags=["Beautify"]
        )


class Routes:
    """The endpoints, and the one worker behind them."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="beautify-api")
        self._places = threading.BoundedSemaphore(MOST_WAITING)

    async def beautify(self, request: Request) -> JSONResponse:
        """Rewrite `prompt`, or each of `prompts`: see the API's documentation for the fields."""
        return await self._answer(request, self._beautify)

    async def score(self, request: Request) -> JSONResponse:
        """Score `texts`, each against its `raw` prompt where that is given."""
        return await self._answer(request, self._score)

    async def models(self) -> JSONResponse:
        """The models on this machine, and the one that is used when a call names none."""
        return await self._run(self._models)

    async def _answer(self, request: Request, work: Callable[[dict], Any]) -> JSONResponse:
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            return _error(415, "the body must be application/json")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return _error(413, f"the body is longer than {MOST_BYTES} bytes")
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            return _error(400, "the body is not JSON")
        if not isinstance(fields, dict):
            return _error(400, "the body is not a JSON object")
        try:
            json.dumps(fields, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return _error(400, "the body has half a character (a lone surrogate): send whole ones")
        return await self._run(lambda: work(fields))

    async def _run(self, work: Callable[[], Any]) -> JSONResponse:
        """`work` in the worker's thread; its errors as JSON."""
        if not self._places.acquire(blocking=False):
            return _error(429, f"{MOST_WAITING} calls are waiting: try again later")
        try:
            loop = asyncio.get_running_loop()
            return JSONResponse(await loop.run_in_executor(self._worker, work))
        except InputError as error:
            return _error(422, str(error))
        except BeautifulPromptError as error:
            return _error(503, str(error))
        except Exception as error:
            return _error(500, self._app.why(error))
        finally:
            self._places.release()

    def _beautify(self, fields: dict) -> Any:
        call = read_beautify(fields, self._app.options().defaults)
        results, model = self._app.rewrite(
            call.prompts,
            call.seeds,
            call.arguments,
            exclusive=False,
            keep=call.keep,
            block=call.block,
        )
        answers = [
            {
                "prompt": result.prompt,
                "text": result.text,
                "note": result.note,
                "dialect": result.dialect,
                "model": model,
                "seed": seed,
                "candidates": [allowed(candidate) for candidate in result.candidates],
            }
            for result, seed in zip(results, call.seeds, strict=True)
        ]
        return {"results": answers} if call.is_list else answers[0]

    def _score(self, fields: dict) -> Any:
        texts, raw = read_score(fields)
        return {"scores": self._app.score(texts, raw)}

    def _models(self) -> Any:
        return self._app.models()


def _guard(known: dict[str, str]) -> Callable:
    """A dependency that lets only the named users pass."""
    from secrets import compare_digest

    def check(credentials: HTTPBasicCredentials = Depends(HTTPBasic())) -> None:  # noqa: B008
        password = known.get(credentials.username)
        given = credentials.password.encode()
        if password is None or not compare_digest(given, password.encode()):
            raise HTTPException(
                401, "Incorrect username or password", headers={"WWW-Authenticate": "Basic"}
            )

    return check


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)
