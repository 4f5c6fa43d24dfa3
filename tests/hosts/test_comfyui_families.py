"""Dialect and token counts for the text encoders of real image models, by ComfyUI's own classes.

As test_comfyui.py: COMFYUI_DIR is its folder, COMFYUI_PYTHON its Python.
"""

from __future__ import annotations

import json
import os

import pytest

from tests.hosts.comfyui import ROOT, helper

pytestmark = pytest.mark.skipif("COMFYUI_DIR" not in os.environ, reason="COMFYUI_DIR names none")
DIALECTS = {
    "tags": ["SD 1.5", "SD 2.1", "SDXL", "Stable Cascade"],
    "booru": ["Pony", "Illustrious", "NoobAI", "Anima"],
    "prose": [
        "SD 3.5", "SD 3.5 without T5", "Flux", "Flux 2", "Flux 2 Klein 4B", "Flux 2 Klein 9B",
        "Chroma", "PixArt", "Qwen-Image", "Z-Image", "Lumina 2", "HiDream", "HunyuanVideo", "Wan",
        "LTX-2", "Gemma 3 12B alone",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    return json.loads(
        helper("comfyui_families.py", ROOT, tmp_path_factory.mktemp("families")).splitlines()[-1]
    )


def test_each_family_gets_its_dialect(told):
    found = {family: row["dialect"] for family, row in told.items()}
    assert found == {family: d for d, families in DIALECTS.items() for family in families}
    assert all(row["reason"] for row in told.values())
    for family in ("Pony", "Illustrious", "NoobAI"):  # their encoders are SDXL's
        assert told[family]["reason"].endswith(".safetensors")


def test_templates_do_not_count(told):
    templates = {family: row["template"] for family, row in told.items() if "template" in row}
    assert templates["Qwen-Image"] == 39 and templates["Flux 2 Klein 4B"] == 12
    assert templates["SDXL"] == templates["Flux"] == 0
    # T5 takes "a" for two pieces.
    assert {told[family]["words"] for family in templates} <= {3, 4}
    assert len(templates) >= 12
