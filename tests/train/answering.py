"""A server that answers as a language model would, by rule: for tests, and for trying commands.

python -m tests.train.answering 18099 0.2    # at http://127.0.0.1:18099/v1, 0.2 s an answer
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


class Server(BaseHTTPRequestHandler):
    """Answers as OpenAI's protocol has it; each third question it first refuses."""

    asked: ClassVar[list[str]] = []
    slow = 0.0
    refuses = True

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][-1]["content"]
        seen = Server.asked.count(question)
        Server.asked.append(question)
        time.sleep(Server.slow)
        busy = Server.refuses and not seen and len(Server.asked) % 3 == 0
        short = question.startswith("Prompt:")
        text = " ".join(question.split()[1:4]) if short else f"{question[13:]}, soft light, rain"
        answer = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        content = json.dumps({"error": "busy"} if busy else answer).encode()
        self.send_response(503 if busy else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    Server.refuses, Server.slow = False, float(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Server).serve_forever()
