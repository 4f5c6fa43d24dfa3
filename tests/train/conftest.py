"""What several tests of training need."""

import threading
from http.server import ThreadingHTTPServer

import pytest

from tests.train.answering import Server


@pytest.fixture
def server(monkeypatch):
    """The address of a language model by rule; `Server.asked` has what it was asked."""
    monkeypatch.setattr("train.data.asked._WAIT", 0.01)
    Server.asked, Server.slow = [], 0.0
    http = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}/v1"
    http.shutdown()
