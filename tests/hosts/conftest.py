"""One real ComfyUI for all tests: COMFYUI_DIR is its folder, COMFYUI_PYTHON its Python.

It is started once, with this pack and a node that makes a text encoder, on a CPU, with every proxy
pointing nowhere.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import SMALL_WRITER
from tests.hosts.comfyui import CHECKPOINT, KEY, Host, helper

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    if not os.environ.get("COMFYUI_DIR"):
        pytest.skip("COMFYUI_DIR names no ComfyUI")
    base = tmp_path_factory.mktemp("comfyui")
    (base / "models" / "checkpoints").mkdir(parents=True)
    helper("comfyui_checkpoint.py", base / "models" / "checkpoints" / CHECKPOINT, cwd=base)
    # One that writes word by word, to be watched and cancelled: the bundled one is done at once.
    shutil.copytree(SMALL_WRITER, base / "models" / "beautifulprompt" / SMALL_WRITER.name)
    (base / "custom_nodes").mkdir()
    shutil.copy(HERE / "comfyui_qwen3.py", base / "custom_nodes")
    settings = base / "user" / "default" / "comfy.settings.json"
    settings.parent.mkdir(parents=True)
    # Else a new user is greeted by a dialog over the graph.
    settings.write_text('{"Comfy.TutorialCompleted": true, "Comfy.Minimap.Visible": false}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEAUTIFULPROMPT_WRITER_KEY", KEY)
        host = Host(base)
    try:
        host.wait()
        yield host
    finally:
        host.stop()
        shutil.rmtree(base, ignore_errors=True)
