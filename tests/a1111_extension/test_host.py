"""What the host knows of the LoRAs that a prompt names, and of its checkpoint."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

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


def _forge(kind, *encoders):
    stage = torch.nn.Module()
    for name in encoders:
        stage.add_module(name, torch.nn.Identity())
    clip = SimpleNamespace(cond_stage_model=stage)
    return type(kind, (), {"forge_objects": SimpleNamespace(clip=clip)})()


def _pipeline(kind, *encoders):
    names = ("text_encoder", "text_encoder_2", "text_encoder_3")
    return type(kind, (), {n: type(e, (), {})() for n, e in zip(names, encoders)})()


@pytest.fixture
def loaded(monkeypatch):
    """Function that makes the host hold a model: object, its file, the one selected, metadata."""
    modules = {
        name: ModuleType(name) for name in ("modules", "modules.shared", "modules.sd_models")
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    modules["modules"].shared = modules["modules.shared"]

    def load(model, name="", selected=None, metadata=None):
        if name:
            model.sd_checkpoint_info = SimpleNamespace(name=name, metadata=metadata or {})
        modules["modules.sd_models"].model_data = SimpleNamespace(sd_model=model)
        chosen = name if selected is None else selected
        modules["modules.shared"].opts = SimpleNamespace(sd_model_checkpoint=chosen)
        return WebUI().image_model()

    return load


_CLIPS = ("CLIPTextModel", "CLIPTextModelWithProjection")


@pytest.mark.parametrize(
    ("model", "name", "dialect"),
    [
        (_forge("Flux", "clip_l", "t5xxl"), "mine.safetensors", "prose"),
        (_forge("Chroma", "t5xxl"), "mine.gguf", "prose"),
        (_forge("QwenImage", "qwen25_7b"), "mine.safetensors", "prose"),
        (_forge("ZImage", "qwen3"), "mine.safetensors", "prose"),
        (_forge("Anima", "qwen3_06b"), "mine.safetensors", "booru"),
        (_forge("StableDiffusion", "clip_l"), "mine.safetensors", "tags"),
        (_forge("StableDiffusionXL", "clip_l", "clip_g"), "xl/NoobAI-v1.safetensors", "booru"),
        (_pipeline("StableDiffusion3Pipeline", *_CLIPS, "T5EncoderModel"), "sd3", "prose"),
        (_pipeline("ZImagePipeline", "Qwen3Model"), "Tongyi-MAI/turbo", "prose"),
        (_pipeline("StableDiffusionXLPipeline", *_CLIPS), "animagine-xl", "booru"),
        (_pipeline("StableDiffusionXLPipeline", *_CLIPS), "juggernaut", "tags"),
        (type("SD3Inferencer", (), {"is_sd3": True})(), "mine.safetensors", "prose"),
        (type("LatentDiffusion", (), {"is_sd1": True})(), "mine.ckpt", "tags"),
        (type("DiffusionEngine", (), {"is_sdxl": True})(), "Pony.safetensors", "booru"),
    ],
)
def test_the_loaded_checkpoint_tells_its_dialect(loaded, model, name, dialect):
    assert loaded(model, name).dialect == dialect


def test_metadata_names_what_a_checkpoint_was_made_from(loaded):
    model = _forge("StableDiffusionXL", "clip_l", "clip_g")
    found = loaded(model, "mine.safetensors", metadata={"modelspec.title": "Illustrious XL"})
    assert found.dialect == "booru"


def test_a_checkpoint_that_is_selected_but_not_loaded_goes_by_its_name(loaded):
    xl = _forge("StableDiffusionXL", "clip_l", "clip_g")
    assert loaded(xl, "xl.safetensors", "sub/flux1-dev.safetensors [0a1b2c3d4e]").dialect == "prose"
    assert loaded(object(), selected="flux1-dev.safetensors").dialect == "prose"
    assert loaded(None, selected="unknown.safetensors").dialect is None
    assert loaded(None, selected="").dialect is None


def test_hosts_write_one_checkpoints_name_in_several_ways(loaded):
    model = _forge("StableDiffusionXL", "clip_l", "clip_g")
    for selected in ("sub/mine.safetensors [0a1b2c3d4e]", "sub\\mine.safetensors", "mine"):
        assert loaded(model, "sub/mine.safetensors", selected).dialect == "tags"


def test_sdnexts_loras_tell_the_words_of_their_page_where_the_artist_filled_in_none(
    tmp_path, monkeypatch
):
    entry = SimpleNamespace(filename=str(tmp_path / "tiny.safetensors"))
    about = {"modelVersions": [{"trainedWords": ["zorblax style, ink", "fog"]}]}
    (tmp_path / "tiny.json").write_text(json.dumps(about))
    module = SimpleNamespace(available_networks={"tiny": entry}, available_network_aliases={})
    monkeypatch.setitem(sys.modules, "modules.lora.lora_load", module)
    assert WebUI().trigger_words("<lora:tiny:1>") == ["zorblax style", "ink", "fog"]


@pytest.mark.parametrize(
    ("parser", "prompt", "mode", "left"),
    [
        ("native", "a cat, (red:1.2) BREAK a dog", "expand", False),
        ("native", "a cat TE2: oil painting", "expand", True),
        ("compel", '("a cat","a dog").blend(0.5,0.5)', "expand", True),
        ("compel", '("a cat", "a dog").and()', "rewrite", True),
        ("native", '("a cat", "a dog").and()', "expand", False),
        ("compel", "a cat++ in (rain)1.3", "expand", False),
        ("compel", "a cat++ in rain", "rewrite", True),
        ("compel", "a (cat)1.3", "rewrite", True),
        ("compel", "a well-known 8-bit cat", "rewrite", False),
        ("xhinker", "a (cat:1.3)", "rewrite", False),
    ],
)
def test_what_a_parser_would_read_as_another_prompt_is_left_alone(
    monkeypatch, parser, prompt, mode, left
):
    options = SimpleNamespace(prompt_attention=parser)
    monkeypatch.setattr(WebUI, "options", lambda self: options)
    monkeypatch.setitem(sys.modules, "modules.prompt_parser_diffusers", ModuleType("parser"))
    assert bool(WebUI().structure(prompt, mode)) == left


def test_other_hosts_have_no_such_parsers(monkeypatch):
    monkeypatch.delitem(sys.modules, "modules.prompt_parser_diffusers", raising=False)
    assert WebUI().structure("a cat TE2: oil painting", "expand") == ""


def test_the_infotext_takes_functions_where_the_host_calls_them(monkeypatch):
    def a1111(p):
        return callable(p)

    def sdnext(p):
        return str(p)

    for function, takes in ((a1111, True), (sdnext, False), (len, False)):
        module = ModuleType("modules.processing")
        module.create_infotext = function
        monkeypatch.setitem(sys.modules, "modules.processing", module)
        assert WebUI().infotext_takes_functions() == takes
