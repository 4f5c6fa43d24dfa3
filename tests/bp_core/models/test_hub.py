"""hub.py against a hub of our own on this machine: progress, going on, only what is read."""

import hashlib
import json
import shutil
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import huggingface_hub
import pytest

from bp_core.errors import Cancelled, ModelError
from bp_core.models import hub
from bp_core.models.load import load

REPO = "someone/thing"


class Hub(BaseHTTPRequestHandler):
    """The few routes of the hub's HTTP API that a download uses."""

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(self.path.split("?")[0])
        if path == f"/api/models/{REPO}":
            files = [p for p in self.server.folder.iterdir() if p.is_file()]
            siblings = [{"rfilename": p.name, "size": p.stat().st_size} for p in files]
            body = {"id": REPO, "sha": "c" * 40, "siblings": siblings, "modelId": REPO}
            return self.answer(json.dumps(body).encode(), {"Content-Type": "application/json"})
        prefix = f"/{REPO}/resolve/main/"
        file = self.server.folder / path.removeprefix(prefix)
        if not path.startswith(prefix) or not file.is_file() or file.name == self.server.gone:
            return self.answer(b"", {"X-Error-Code": "RepoNotFound"}, 404)
        content = file.read_bytes()
        self.server.asked.append((self.command, file.name, self.headers.get("Range")))
        etag = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": "c" * 40}
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        if start:
            etag["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self.answer(content[start:], etag, 206 if start else 200)

    def answer(self, body, headers, status=200):
        self.send_head(status, headers, len(body))
        if self.command == "GET":
            self.wfile.write(body)

    def send_head(self, status, headers, length):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(length)}).items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def server(model_folder, tmp_path, monkeypatch):
    shutil.copytree(model_folder, tmp_path / "remote")
    (tmp_path / "remote" / "training_args.bin").write_bytes(b"not wanted")
    (tmp_path / "remote" / "pytorch_model.bin").write_bytes(b"not wanted either")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.folder, server.asked, server.gone = tmp_path / "remote", [], None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("BEAUTIFULPROMPT_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # the server is local
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("huggingface_hub.HfApi", partial(huggingface_hub.HfApi, endpoint=address))
    yield server
    server.shutdown()


def test_a_download_is_whole_and_holds_only_what_is_read(server):
    seen = []
    folder = hub.download(REPO, lambda *told: seen.append(told))
    assert {p.name for p in folder.iterdir() if p.is_file()} == {
        "config.json", "tokenizer.json", "beautifulprompt.json", "model.safetensors",
    }  # fmt: skip
    assert load(REPO).path == folder
    size = (folder / "model.safetensors").stat().st_size
    told = [done for name, done, total in seen if name == "model.safetensors"]
    assert told == sorted(told)
    assert told[0] == 0
    assert told[-1] == size
    assert all(total == size for name, _, total in seen if name == "model.safetensors")


def test_a_host_may_choose_the_folder(server, tmp_path):
    folder = hub.download(REPO, folder=tmp_path / "host" / "tiny")
    assert folder == tmp_path / "host" / "tiny"
    assert load(folder).path == folder


def test_progress_may_cancel(server):
    def cancel(name, done, total):
        if name == "model.safetensors":
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        hub.download(REPO, cancel)
    with pytest.raises(ModelError):
        load(REPO)
    hub.download(REPO)
    assert load(REPO).name == REPO


def test_a_broken_download_goes_on_where_it_stopped(server):
    server.gone = "model.safetensors"
    with pytest.raises(ModelError, match="download it again, or put its files into"):
        hub.download(REPO)
    server.gone = None
    hub.download(REPO)
    assert load(REPO).name == REPO
    fetched = [name for how, name, _ in server.asked if how == "GET"]
    assert len(fetched) == len(set(fetched)), "no file is fetched twice"


def test_models_that_could_not_run_are_not_downloaded(server):
    (server.folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        hub.download(REPO)
    assert server.asked == []


def test_no_such_model(server):
    with pytest.raises(ModelError, match="check the name and the network"):
        hub.download("someone/else")


def test_no_network(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(ModelError, match="could not be downloaded") as caught:
        hub.download(REPO)
    assert "\n" not in str(caught.value)
