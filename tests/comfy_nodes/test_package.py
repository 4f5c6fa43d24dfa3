"""The pack as ComfyUI's registry takes it. COMFY_CLI names the `comfy` command of comfy-cli."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.comfy_nodes import fakehost
from tests.comfy_nodes.fakehost import ROOT

host, pack = fakehost.host, fakehost.pack  # fixtures
COMFY = os.environ.get("COMFY_CLI") or shutil.which("comfy")
GIT = shutil.which("git")
needs_cli = pytest.mark.skipif(
    not (COMFY and GIT), reason="no comfy-cli: pip install comfy-cli, COMFY_CLI names its command"
)


def test_the_registry_is_told_what_it_shows():
    tomllib = pytest.importorskip("tomllib")
    about = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    repository = about["project"]["urls"]["Repository"]
    comfy = about["tool"]["comfy"]
    raw = repository.replace("github.com", "raw.githubusercontent.com") + "/main/"
    assert comfy["Icon"].startswith(raw) and (ROOT / comfy["Icon"].removeprefix(raw)).is_file()
    assert comfy["PublisherId"] and comfy["DisplayName"] and comfy["requires-comfyui"]
    assert "Operating System :: OS Independent" in about["project"]["classifiers"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The tracked files, and those about to be, as a repository of their own."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        [GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in listed:
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    subprocess.run([GIT, "init", "-q"], cwd=folder, check=True)
    subprocess.run([GIT, "add", "-A"], cwd=folder, check=True)
    return folder


def comfy(folder: Path, *words: str) -> str:
    """What comfy-cli prints; it asks nothing and reaches nobody."""
    offline = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    environment = {**os.environ, **offline, "HOME": str(folder.parent)}  # its settings lie there
    done = subprocess.run(
        [COMFY, "--skip-prompt", "node", *words],
        cwd=folder, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_cli
def test_the_registry_s_own_check_passes(clone):
    said = comfy(clone, "validate")
    assert "All validation checks passed" in said, said
    assert "Warning" not in said


@needs_cli
def test_the_pack_carries_what_runs_and_no_more(clone, tmp_path, monkeypatch, request):
    comfy(clone, "pack")
    with zipfile.ZipFile(clone / "node.zip") as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "pack")
    assert {name.split("/")[0] for name in names} == {
        ".comfyignore", "LICENSE", "README.md", "__init__.py", "bp_core", "comfy_nodes",
        "constraints.txt", "docs", "example_workflows", "locales", "pyproject.toml",
    }  # fmt: skip
    weights = sum(f.stat().st_size for f in (ROOT / "bp_core").rglob("*.safetensors"))
    assert (clone / "node.zip").stat().st_size < weights + 3e6
    here = {name for name in names if name.startswith(("comfy_nodes/", "locales/", "example"))}
    assert {path.name for path in (ROOT / "comfy_nodes" / "web").glob("*.js")} <= {
        Path(name).name for name in here
    }
    # It works from that folder alone: the nodes load, and the bundled model writes.
    monkeypatch.setattr(fakehost, "ROOT", tmp_path / "pack")
    assert len(request.getfixturevalue("pack").nodes) >= 5
    code = (
        "from bp_core import Rewriter; print(Rewriter.load()('a cat', n=1, accept='always').text)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "pack", capture_output=True, text=True
    )
    assert said.stdout.startswith("a cat, "), said.stderr
