"""A real ComfyUI for tests: started with only this pack, driven over HTTP and its websocket."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMFYUI = Path(os.environ.get("COMFYUI_DIR", ""))
PYTHON = os.environ.get("COMFYUI_PYTHON", sys.executable)
CHECKPOINT = "random.safetensors"
KEY = "sk-s3cret"  # for language model servers; must come up nowhere
TEXT = "a lighthouse at dusk <lora:moody:0.8>"
FLAGS = ["--cpu", "--disable-api-nodes", "--disable-auto-launch", "--listen", "127.0.0.1"]
_TEXT_FRAME = 3  # ComfyUI's binary frame that carries a node's text


@dataclass
class Run:
    """What came of one queued graph.

    Attributes:
        events: (type, data) of each JSON message about it, in order.
        texts: (node, text) streamed while it ran.
        outputs: what each output node showed, by id.
        refused: errors of nodes that were left out of the run, by id.
        seconds: from queueing to the end.
    """

    prompt_id: str
    events: list[tuple[str, dict]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    outputs: dict[str, dict] = field(default_factory=dict)
    refused: dict[str, dict] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def error(self) -> dict | None:
        return next((d for kind, d in self.events if kind == "execution_error"), None)

    @property
    def executed(self) -> set[str]:
        """Nodes that ran, not those that came from the cache."""
        return {d["node"] for kind, d in self.events if kind == "executing" and d["node"]}

    def of(self, kind: str) -> list[dict]:
        return [d for found, d in self.events if found == kind]


class Refused(Exception):
    """The server answered 400: `body` says why."""

    def __init__(self, body: dict) -> None:
        super().__init__(json.dumps(body))
        self.body = body


class Host:
    """A running ComfyUI in `base`, with this repository as a custom node.

    Attributes:
        elsewhere: a folder for our models that extra_model_paths.yaml names.
    """

    def __init__(self, base: Path) -> None:
        for folder in ("custom_nodes", "models/checkpoints", "elsewhere", "user", "input",
                       "output", "temp"):  # fmt: skip
            (base / folder).mkdir(parents=True, exist_ok=True)
        # Any name will do: the folder's name is the user's.
        (base / "custom_nodes" / "any-name").symlink_to(ROOT, target_is_directory=True)
        self.base, self.port = base, _free_port()
        self.log = base / "comfyui.log"
        command = [PYTHON, "main.py", *FLAGS, "--port", str(self.port)]
        command += ["--base-directory", str(base), "--database-url", "sqlite:///:memory:"]
        # A folder of models outside of ComfyUI, as artists with several programs have one.
        self.elsewhere = base / "elsewhere"
        paths = base / "extra_model_paths.yaml"
        paths.write_text(f"others:\n  base_path: {base}\n  beautifulprompt: elsewhere\n")
        command += ["--extra-model-paths-config", str(paths)]
        offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
        environment = {**os.environ, **offline, "no_proxy": "", "HF_HUB_OFFLINE": "0"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=COMFYUI, stdout=log, stderr=log, env=environment
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self, seconds: float = 900) -> None:
        """Until the server answers; raises RuntimeError with its log when it does not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.get("/system_stats")
                return
            except OSError:
                time.sleep(0.5)
        raise RuntimeError(f"ComfyUI did not start:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def get(self, path: str):
        with _opener.open(self.url + path, timeout=30) as answer:
            data = answer.read()
        return json.loads(data) if "json" in answer.headers["Content-Type"] else data

    def post(self, path: str, data: dict):
        """POST JSON; raises Refused on a 400."""
        request = urllib.request.Request(
            self.url + path, json.dumps(data).encode(), {"Content-Type": "application/json"}
        )
        try:
            with _opener.open(request, timeout=30) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(json.loads(error.read())) from error
        return json.loads(body) if body else None

    def run(self, graph: dict, on_message=None, timeout: float = 240) -> Run:
        """Queue a graph in API format and wait for its end.

        Args:
            on_message: called with the Run after each message; may call back into the host.
        """
        client = uuid.uuid4().hex
        started = time.monotonic()
        with WebSocket(self.port, f"/ws?clientId={client}", timeout) as ws:
            answer = self.post("/prompt", {"prompt": graph, "client_id": client})
            run = Run(answer["prompt_id"], refused=answer["node_errors"])
            while not _take(run, ws.read()):
                if on_message is not None:
                    on_message(run)
        run.seconds = time.monotonic() - started
        run.outputs = self.get(f"/history/{run.prompt_id}")[run.prompt_id]["outputs"]
        return run

    def free(self) -> None:
        """Unload all models and empty the cache."""
        self.post("/free", {"unload_models": True, "free_memory": True})
        # It is done between two graphs, and one that is queued at once may still come before.
        self.run({"1": {"class_type": "PreviewAny", "inputs": {"source": "a graph"}}})

    def image(self, found: dict) -> bytes:
        query = "&".join(f"{key}={found[key]}" for key in ("filename", "subfolder", "type"))
        return self.get(f"/view?{query}")

    def memory(self) -> float:
        """Resident memory of the server in MiB (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _take(run: Run, message: tuple[int, bytes]) -> bool:
    """Put a message into a run; True when it was the last one."""
    opcode, data = message
    if opcode == 2:
        if struct.unpack(">I", data[:4])[0] == _TEXT_FRAME:
            length = struct.unpack(">I", data[4:8])[0]
            run.texts.append((data[8 : 8 + length].decode(), data[8 + length :].decode()))
        return False
    event = json.loads(data)
    kind, content = event["type"], event["data"]
    if content.get("prompt_id") != run.prompt_id:
        return False
    run.events.append((kind, content))
    # Sent once the history holds the run, however it ended.
    return kind == "executing" and content["node"] is None


class WebSocket:
    """As much of RFC 6455 as reading ComfyUI's messages takes."""

    def __init__(self, port: int, path: str, timeout: float) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.file = self.socket.makefile("rb")
        if b"101" not in self.file.readline():
            raise ConnectionError("the server refused the websocket")
        while self.file.readline().strip():
            pass

    def read(self) -> tuple[int, bytes]:
        """Opcode and content of the next text (1) or binary (2) message."""
        while True:
            head = self.file.read(2)
            if len(head) < 2:
                raise ConnectionError("the server closed the websocket")
            length = head[1] & 127
            if length > 125:
                size = 2 if length == 126 else 8
                length = int.from_bytes(self.file.read(size), "big")
            data = self.file.read(length)
            if head[0] & 15 in (1, 2):
                return head[0] & 15, data

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *_) -> None:
        self.file.close()
        self.socket.close()


# Straight to the loopback, whatever proxy the machine has.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def helper(script: str, argument: Path, cwd: Path) -> str:
    """Run a script of this folder with ComfyUI's Python, about ComfyUI; what it printed."""
    command = [PYTHON, str(Path(__file__).parent / script), str(COMFYUI), str(argument)]
    return subprocess.run(command, check=True, cwd=cwd, capture_output=True, text=True).stdout


def beautify(**changes) -> dict:
    inputs = {
        "text": TEXT, "mode": "expand", "seed": 7, "candidates": 4, "length": 20,
        "token_budget": 0, "style": "", "keep": "", "block": "", "accept": "always",
        "temperature": 0.7, "top_k": 50, "top_p": 0.9, "repetition_penalty": 1.05, **changes,
    }  # fmt: skip
    return {"class_type": "BeautifulPromptBeautify", "inputs": inputs}


def show(node: str, output: int = 0) -> dict:
    return {"class_type": "PreviewAny", "inputs": {"source": [node, output]}}


def api_format(workflow: dict, info: dict) -> dict:
    """A saved workflow as the API takes it, as the frontend turns it: links and widgets by name.

    Args:
        info: the server's /object_info.
    """
    links = {link[0]: link for link in workflow["links"]}
    graph = {}
    for node in workflow["nodes"]:
        if node["type"] not in info:  # notes
            continue
        known = info[node["type"]]["input"]
        specs = {**known.get("required", {}), **known.get("optional", {})}
        values = iter(node.get("widgets_values") or [])
        inputs = {}
        for name, spec in specs.items():
            options = spec[1] if len(spec) > 1 else {}
            widget = isinstance(spec[0], list) or spec[0] in (
                "INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")  # fmt: skip
            if widget and not options.get("forceInput"):
                # A workflow of a pack that had fewer inputs: the missing ones have their defaults.
                inputs[name] = next(values, options.get("default"))
                if options.get("control_after_generate"):
                    next(values, None)
        for socket_ in node.get("inputs", []):
            if socket_.get("link") is not None:
                link = links[socket_["link"]]
                inputs[socket_["name"]] = [str(link[1]), link[2]]
        graph[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return graph


def metadata(png: bytes) -> dict[str, str]:
    """The text chunks of a PNG."""
    found, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"tEXt":
            key, _, value = png[at + 8 : at + 8 + length].partition(b"\0")
            found[key.decode()] = value.decode("latin-1")
        at += 12 + length
    return found
