"""What the host knows of the LoRAs that a prompt names."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from a1111_extension.host import WebUI


@pytest.fixture
def loras(tmp_path, monkeypatch):
    """Function that makes a LoRA known to the host: file name, alias, the text beside it."""
    module = SimpleNamespace(available_networks={}, available_network_aliases={})
    monkeypatch.setitem(sys.modules, "networks", module)

    def add(name, alias, about):
        entry = SimpleNamespace(filename=str(tmp_path / f"{name}.safetensors"))
        (tmp_path / f"{name}.json").write_text(about, encoding="utf-8")
        module.available_networks[name] = entry
        module.available_network_aliases |= {name: entry, alias: entry}

    return add


def test_trigger_words_of_active_loras_by_file_name_and_by_alias(loras):
    loras("tiny-v2", "Tiny Style", json.dumps({"activation text": "zorblax style, (ink:1.1), "}))
    loras("other", "Other", json.dumps({"activation text": "unused"}))
    for prompt in ("a cat <lora:tiny-v2:0.8>", "<lora:Tiny Style:1:1>, a cat", "<lyco:tiny-v2:1>"):
        assert WebUI().trigger_words(prompt) == ["zorblax style", "(ink:1.1)"]
    assert WebUI().trigger_words("a cat") == []
    assert WebUI().trigger_words("<lora:missing:1>") == []


@pytest.mark.parametrize("about", ["{", "[]", "null", '{"activation text": null}', "{}"])
def test_a_lora_without_an_activation_text_has_no_trigger_words(loras, about):
    loras("tiny", "tiny", about)
    assert WebUI().trigger_words("<lora:tiny:1>") == []
