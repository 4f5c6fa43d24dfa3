"""A server that does what servers do on bad days: one line each, and the artist's prompt stays."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bp_core.errors import Cancelled, InputError
from bp_core.writers.endpoint import HOST, KEY, Endpoint
from bp_core.writers.rewriter import WriterRewriter
from bp_core.writers.writer import Request

PROMPT = "a (red:1.2) fox <lora:moody:0.8>"


def completion(text, reason="stop", **more):
    return json.dumps(
        {"choices": [{"message": {"content": text, **more}, "finish_reason": reason}]}
    )


GOOD = completion("soft morning light, deep shadows")


@contextmanager
def serving(answer):
    """A server; `answer(handler, body)` gives (status, text), or None when it wrote itself."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.reply(200, json.dumps({"data": [{"id": "some/model"}]}))

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, body, dict(self.headers)))
            if (found := answer(self, body)) is not None:
                self.reply(*found)

        def reply(self, status, text):
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()


def test_candidates_have_seeds_of_their_own_and_the_model_is_found():
    with serving(lambda handler, body: (200, GOOD)) as (address, seen):
        result = WriterRewriter(Endpoint(address))(PROMPT, n=3, seed=7)
    assert result.text == "a (red:1.2) fox, soft morning light, deep shadows <lora:moody:0.8>"
    assert {path for path, _, _ in seen} == {"/v1/chat/completions"}
    assert sorted(body["seed"] for _, body, _ in seen)[:3] == [7, 8, 9]
    assert {body["model"] for _, body, _ in seen} == {"some/model"}
    # The server says the same thrice: one candidate, and the others are accounted for.
    assert len(result.candidates) == 1 and len(result.dropped) == 4


def cut(handler, body):
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(GOOD[:30].encode())
    handler.wfile.flush()
    handler.connection.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda h, b: (200, GOOD[:40]), "no whole JSON"),
        (lambda h, b: (200, "<html>hello</html>"), "no whole JSON"),
        (lambda h, b: (200, "[]"), "no whole JSON"),
        (lambda h, b: (200, '{"choices": []}'), "without an answer"),
        (lambda h, b: (200, '{"choices": [{"message": null}]}'), "without an answer"),
        (cut, "broke off"),
        (lambda h, b: h.connection.close(), "broke off"),
        (lambda h, b: (404, '{"error": {"message": "model \\"x\\"\\n not found"}}'), "not found"),
        (lambda h, b: (404, "<html>"), "/v1"),
        (lambda h, b: (500, "out of memory"), "answers 500"),
        (lambda h, b: (302, ""), "answers 302"),
        (lambda h, b: (401, '{"error": {"message": "wrong key sk-s3cret"}}'), KEY),
        (lambda h, b: (200, completion("")), "empty"),
        (lambda h, b: (200, completion("<think>so the user", "length")), "only thoughts"),
        (lambda h, b: (200, completion("I'm sorry, I can't help with that.")), "refused"),
        (lambda h, b: (200, completion("雪中的狐狸,柔和的光")), "not in English"),
        (lambda h, b: (200, completion("nude, by Greg Rutkowski")), "nothing new"),
    ],
)
def test_a_bad_answer_is_one_line_and_the_prompt_stays(answer, said):
    with serving(answer) as (address, _):
        result = WriterRewriter(Endpoint(address, "x"))(PROMPT, n=2)
    assert result.text == PROMPT and not result.candidates
    assert said in result.note and "\n" not in result.note
    assert "sk-s3cret" not in repr(result)


def test_a_dead_server_is_told_once_and_every_prompt_stays():
    with serving(lambda h, b: None) as (address, _):
        pass
    started = time.monotonic()
    results = WriterRewriter(Endpoint(address, "x")).many([PROMPT] * 50, n=4)
    assert time.monotonic() - started < 10
    assert [result.text for result in results] == [PROMPT] * 50
    assert all("start it" in result.note for result in results)


def test_a_prompt_that_the_server_chokes_on_does_not_spoil_the_next():
    def choking(handler, body):
        return (500, "no") if "poison" in body["messages"][-1]["content"] else (200, GOOD)

    with serving(choking) as (address, _):
        results = WriterRewriter(Endpoint(address, "x")).many(["a poison", PROMPT], n=1)
    assert results[0].text == "a poison" and "answers 500" in results[0].note
    assert "soft morning light" in results[1].text


def test_a_silent_server_is_given_up():
    gone = threading.Event()
    with serving(lambda h, b: gone.wait(20) and None) as (address, _):
        result = WriterRewriter(Endpoint(address, "x", patience=0.5))(PROMPT, n=2)
        gone.set()
    assert result.text == PROMPT
    assert "no answer" in result.note or "does not answer" in result.note


def test_cancel_ends_a_call_that_is_under_way_and_the_server_notices():
    noticed = threading.Event()

    def slow(handler, body):
        while handler.connection.recv(1):
            pass
        noticed.set()

    class Once:
        calls = 0

        def __call__(self, progress):
            self.calls += 1
            if self.calls > 5:
                raise Cancelled("stop")

    with serving(slow) as (address, _):
        started = time.monotonic()
        with pytest.raises(Cancelled):
            WriterRewriter(Endpoint(address, "x"))(PROMPT, n=3, on_progress=Once())
        assert time.monotonic() - started < 5
        assert noticed.wait(5)


def test_half_of_the_answers_are_enough():
    def every_other(handler, body):
        return (200, GOOD) if body["seed"] % 2 else (500, "no")

    with serving(every_other) as (address, _):
        result = WriterRewriter(Endpoint(address, "x"))(PROMPT, n=2)
    assert result.text.startswith("a (red:1.2) fox, soft morning light")
    assert any("answers 500" in reason for reason in result.dropped)


def test_a_server_that_knows_fewer_fields_is_asked_with_fewer():
    def strict(handler, body):
        if set(body) - {"model", "messages"}:
            return 400, '{"error": {"message": "unknown field"}}'
        return 200, GOOD

    with serving(strict) as (address, seen):
        result = WriterRewriter(Endpoint(address, "x"))(PROMPT, n=1)
    assert "soft morning light" in result.text and len(seen) == 2


def test_a_model_that_thinks_first_gets_room_for_it():
    def thinker(handler, body):
        if body["max_tokens"] < 1000:
            return 200, completion("", "length", reasoning_content="hm")
        return 200, GOOD

    with serving(thinker) as (address, _):
        result = WriterRewriter(Endpoint(address, "x"))(PROMPT, n=1)
    assert "soft morning light" in result.text


def test_a_key_goes_to_the_named_host_alone_and_is_never_told(monkeypatch):
    monkeypatch.setenv(KEY, "sk-s3cret")
    with serving(lambda h, b: (500, '{"error": "bad sk-s3cret"}')) as (address, seen):
        monkeypatch.setenv(HOST, "api.example.com")
        WriterRewriter(Endpoint(address, "x"))(PROMPT, n=1)
        assert "Authorization" not in seen[-1][2]
        monkeypatch.setenv(HOST, "127.0.0.1")
        endpoint = Endpoint(address, "x")
        result = WriterRewriter(endpoint)(PROMPT, n=1)
    assert seen[-1][2]["Authorization"] == "Bearer sk-s3cret"
    assert "sk-s3cret" not in repr(result) + repr(endpoint) + endpoint.name


def test_a_file_cannot_send_prompts_to_another_machine(monkeypatch):
    with pytest.raises(InputError, match=HOST):
        Endpoint("http://192.168.1.5:11434/v1", local=True)
    monkeypatch.setenv(HOST, "192.168.1.5")
    Endpoint("http://192.168.1.5:11434/v1", local=True)
    Endpoint("http://localhost:11434/v1", local=True)


@pytest.mark.parametrize(
    "address",
    ["", "ftp://x", "http://", "http://me:pw@x/v1", "http://x/v1?key=sk-s3cret", "http://x:99999/",
     "http://x/v 1"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_without_repeating_it(address):
    with pytest.raises(InputError) as raised:
        Endpoint(address)
    assert "sk-s3cret" not in str(raised.value) and "pw" not in str(raised.value)


def test_a_request_says_what_the_artist_wants():
    with serving(lambda h, b: (200, GOOD)) as (address, seen):
        settings = {"style": "watercolor", "block": ["neon"], "temperature": 0.5, "dialect": "tags"}
        WriterRewriter(Endpoint(address, "x"))("a cat", n=1, **settings)
    body = seen[0][1]
    text = " ".join(message["content"] for message in body["messages"])
    assert "watercolor" in text and "neon" in text and "a cat" in text
    assert body["temperature"] == 0.5 and isinstance(Request((), 1, 2), Request)
