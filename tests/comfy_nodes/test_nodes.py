"""The nodes' own logic, without ComfyUI: what they hand to the library and what they give back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bp_core.rewriter import Result
from comfy_nodes.plain import clip_tokens, phrases
from tests.comfy_nodes import fakehost
from tests.comfy_nodes.fakehost import ROOT, SETTINGS, Interrupt, part

host, pack, beautify = fakehost.host, fakehost.pack, fakehost.beautify  # fixtures


def test_importing_the_root_package_imports_nothing_else():
    """pytest and other tools import it too, where there is no ComfyUI."""
    code = (
        "import importlib.util as u, sys\n"
        f"spec = u.spec_from_file_location('root', {str(ROOT / '__init__.py')!r})\n"
        "module = u.module_from_spec(spec)\n"
        "before = set(sys.modules)\n"
        "spec.loader.exec_module(module)\n"
        "print(sorted(set(sys.modules) - before))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_input_and_output_is_explained(pack):
    for node in pack.nodes.values():
        schema = node.define_schema()
        assert schema.node_id.startswith("BeautifulPrompt")
        assert schema.description and schema.search_aliases
        for slot in [*schema.inputs, *schema.outputs]:
            assert slot.tooltip, f"{schema.node_id}.{slot.id}"


WIDGETS = {
    "BeautifulPromptLoad": ["model", "download", "device", "precision", "reward"],
    "BeautifulPromptBeautify": ["text", *SETTINGS],
    "BeautifulPromptScore": ["text", "rewrite", "reward_model"],
    "BeautifulPromptScoreImage": ["scorer", "download"],
    "BeautifulPromptPickBest": ["count"],
    "BeautifulPromptEncoderWriter": ["reward"],
    "BeautifulPromptServerWriter": ["address", "model", "reward"],
}


def test_values_of_saved_workflows_meet_their_widgets(pack):
    """They are saved by position: a new widget goes to the end of its list here."""
    links = {"images", "scores", "prompts", "rewriter", "clip"}
    for node in pack.nodes.values():
        schema = node.define_schema()
        names = [slot.id for slot in schema.inputs if slot.id not in links]
        if schema.node_id == "BeautifulPromptScoreImage":
            names.remove("text")  # a link there
        assert names == WIDGETS[schema.node_id]


def test_the_best_candidate_comes_first_and_keeps_the_text(beautify, host):
    out = beautify("a cat <lora:moody:0.8>")
    best, candidates, scores, report = out.args
    assert best == candidates[0] and "<lora:moody:0.8>" in best and best.startswith("a cat")
    assert len(candidates) == len(scores) == 3
    assert all(text in report for text in candidates)
    assert out.ui["text"] == [best]
    assert out.ui["beautifulprompt"][0]["before"] == "a cat <lora:moody:0.8>"


def test_the_library_gives_the_same_text(beautify, model_folder):
    from bp_core import Rewriter

    alone = Rewriter.load(model_folder, reward=None)
    assert beautify().args[0] == alone("a cat", n=3, seed=7, max_new_tokens=12).text


def test_weights_are_requested_from_the_host_before_each_run(beautify, host):
    beautify()
    beautify()
    assert [call["models"] for call in host.loaded] == [[beautify.rewriter.patcher]] * 2
    # A network without the host's casting layers cannot run half loaded.
    assert all(call["force_full_load"] and call["memory_required"] > 0 for call in host.loaded)


def test_cancel_ends_the_decoding_within_a_token(beautify, host):
    host.cancel_at = 4
    with pytest.raises(Interrupt):
        beautify()
    assert host.polls == 4
    assert len(host.progress) == 3


def test_text_and_progress_go_to_the_client_whose_graph_it_is(beautify, host):
    best = beautify("a cat <lora:x:1> & a dog").args[0]
    shown = best.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert host.server.sent[-1] == (shown, "5", "someone")
    value, total = host.progress[-1]
    assert value == total
    host.server.client_id = None
    host.server.sent.clear()
    beautify()
    assert host.server.sent == []


def test_a_prompt_without_words_comes_back_with_a_note(beautify):
    best, candidates, scores, report = beautify("<lora:x:1>").args
    assert (best, candidates, scores) == ("<lora:x:1>", ["<lora:x:1>"], [0.0])
    assert "no words" in report


def test_an_image_carries_the_prompt_on_a_cache_hit_too(beautify, pack, host):
    (handler,) = host.server.handlers
    saved = {"workflow": {}}
    best = beautify(pnginfo=saved).args[0]
    assert saved["beautifulprompt"]["5"][0]["prompt"] == best
    assert saved["workflow"] == {}

    queued = handler({"prompt": beautify.graph, "extra_data": {"extra_pnginfo": {"workflow": 1}}})
    assert queued["extra_data"]["extra_pnginfo"]["beautifulprompt"] == saved["beautifulprompt"]
    assert queued["extra_data"]["extra_pnginfo"]["workflow"] == 1

    changed = json.loads(json.dumps(beautify.graph))
    changed["5"]["inputs"]["seed"] = 8
    info = handler({"prompt": changed})["extra_data"]["extra_pnginfo"]
    assert info == {"beautifulprompt": {}}
    # The page sends whole numbers for floats.
    same = json.loads(json.dumps(beautify.graph))
    same["5"]["inputs"]["repetition_penalty"] = 1
    assert handler({"prompt": same})["extra_data"]["extra_pnginfo"]["beautifulprompt"]


def test_a_list_of_texts_is_recorded_in_order(beautify, host):
    saved = {}
    for index in range(3):
        host.context = SimpleNamespace(list_index=index)
        beautify(pnginfo=saved)
    assert len(saved["beautifulprompt"]["5"]) == 3
    host.context = SimpleNamespace(list_index=0)
    beautify(pnginfo=saved)
    assert len(saved["beautifulprompt"]["5"]) == 1


def test_graphs_without_our_node_are_left_alone(pack, host):
    (handler,) = host.server.handlers
    for data in ({}, {"prompt": {"1": {"class_type": "KSampler", "inputs": {}}}}):
        assert handler(data) is data


def test_the_connected_clip_counts_the_budget(beautify):
    class Clip:
        """One token a word, between begin (0), end and padding (0) of 77 places."""

        def tokenize(self, text, return_word_ids=False):
            assert return_word_ids
            words = [(9, 1.0, i + 1) for i, _ in enumerate(text.split())]
            row = [(1, 1.0, 0), *words]
            return {"l": [row + [(0, 1.0, 0)] * (77 - len(row))], "g": [row[:1]]}

        cond_stage_model = None  # no more is known of it

    assert clip_tokens(Clip(), "a cat there") == 3
    asked = []
    beautify.rewriter.ready = lambda *_: lambda text, **k: asked.append(k) or Result(text, text, ())
    for dialect, budget in (("tags", 75), ("prose", None)):
        beautify("a cat", clip=Clip(), token_budget=75, dialect=dialect)
        assert asked[-1]["token_budget"] == budget
    del beautify.rewriter.ready
    best = beautify("a cat", clip=Clip(), token_budget=4, length=40).args[0]
    assert len(best.split()) <= 4


def test_a_chat_template_does_not_count(beautify):
    class Clip:
        def tokenize(self, text, return_word_ids=False):
            return {"qwen25_7b": [[(9, 1.0, i + 1) for i in range(39 + len(text.split()))]]}

    assert clip_tokens(Clip(), "a cat there") == 3
    alone = SimpleNamespace(tokenize=lambda text, **_: Clip().tokenize(text)["qwen25_7b"])
    assert clip_tokens(alone, "a cat there") == 3


def encoder(kind: str, *names: str):
    """A CLIP object as ComfyUI builds it: a class of `kind` with encoders of these names."""
    stage = type(kind, (torch.nn.Module,), {})()
    for name in names:
        setattr(stage, name, torch.nn.Module())
        getattr(stage, name).transformer = torch.nn.Identity()
    stage.projection = torch.nn.Identity()
    return SimpleNamespace(cond_stage_model=stage, tokenize=lambda text, **_: {})


def test_the_image_models_encoders_and_checkpoint_are_found(pack):
    found = part("image_model").image_model
    flux = found(encoder("FluxClipModel_", "clip_l", "t5xxl"), {}, "5")
    assert (flux.encoders, flux.kind, flux.dialect) == (
        ("clip_l", "t5xxl"), "FluxClipModel_", "prose",
    )  # fmt: skip
    graph = {
        "5": {"inputs": {"text": "a cat", "clip": ["3", 1], "rewriter": ["9", 0]}},
        "3": {"inputs": {"lora_name": "flux.safetensors", "model": ["1", 0], "clip": ["1", 1]}},
        "1": {"inputs": {"ckpt_name": "xl/ponyDiffusionV6XL.safetensors"}},
        "9": {"inputs": {"ckpt_name": "another.safetensors"}},
    }
    pony = found(encoder("SDXLClipModel", "clip_l", "clip_g"), graph, "5")
    assert (pony.names, pony.dialect) == (("xl/ponyDiffusionV6XL.safetensors",), "booru")
    graph["1"]["inputs"]["clip"] = ["3", 0]  # a circle is ComfyUI's to refuse
    assert found(encoder("SDXLClipModel", "clip_l", "clip_g"), graph, "5") == pony
    assert found(None, graph, "5") is None
    assert found(SimpleNamespace(), None, "5").dialect is None
    alone = encoder("Gemma3_12BModel_")  # no image model's class around it
    alone.cond_stage_model.transformer = torch.nn.Identity()
    assert (found(alone, {}, "5").encoders, found(alone, {}, "5").dialect) == (
        ("Gemma3_12BModel_",), "prose",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "clip", "text", "told"),
    [
        ("auto", None, "a cat", "tags"),
        ("auto", None, "1girl, solo, hat", "booru"),
        ("auto", encoder("FluxClipModel_", "clip_l", "t5xxl"), "a cat", "prose (clip_l, t5xxl)"),
        ("auto", encoder("SD1ClipModel", "clip_l"), "The cat is asleep here.", "tags (clip_l)"),
        ("auto", encoder("SD1ClipModel", "clip_l"), "1girl, solo, hat", "booru"),
        ("booru", encoder("FluxClipModel_", "clip_l", "t5xxl"), "a cat", "booru"),
    ],
)
def test_the_dialect_suits_the_image_model_and_is_told(
    beautify, model_folder, dialect, clip, text, told
):
    about = {"kind": "rewriter", "template": {"name": "dialects"}}
    (model_folder / "beautifulprompt.json").write_text(json.dumps(about))
    rewriter = part("memory").load(model_folder, reward=None)
    saved = {}
    out = beautify(text, saved, dialect=dialect, clip=clip, rewriter=rewriter)
    assert out.args[3].startswith(f"dialect: {told}\n")
    assert out.ui["beautifulprompt"][0]["dialect"] == told
    assert saved["beautifulprompt"]["5"][0]["dialect"] == told.split()[0]


def test_a_language_model_of_one_dialect_says_so(beautify):
    out = beautify(dialect="prose")
    assert out.ui["beautifulprompt"][0]["dialect"] == "tags (this language model writes no prose)"
    assert out.args[0] == beautify().args[0]


def test_a_style_by_name_leads_the_addition(beautify):
    best = beautify(style_preset="watercolor", style="blue").args[0]
    assert best.startswith("a cat, watercolor, soft washes, blue")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" , \n,", []),
        ("neon, lens flare\nbokeh", ["neon", "lens flare", "bokeh"]),
        ("/a{1,2}/, b", ["/a{1,2}/", "b"]),
        ("a/b, /c", ["a/b", "/c"]),
    ],
)
def test_phrases_of_a_widget(text, found):
    assert phrases(text) == found


@given(st.lists(st.text("abc -", min_size=1).map(str.strip).filter(bool)))
def test_plain_phrases_survive_the_widget(found):
    assert phrases(", ".join(found)) == found


def test_a_broken_pattern_is_refused_before_anything_runs(pack):
    node = pack.nodes["BeautifyPrompt"]
    assert "/(/" in node.validate_inputs(block="/(/")
    assert node.validate_inputs(block="/neon|glow/, bokeh") is True
    assert node.validate_inputs() is True  # the input is connected


def test_models_are_named_as_they_lie_in_the_folder(pack, host, model_folder):
    folders = part("folders")
    published = "alibaba-pai/pai-bloom-1b1-text2prompt-sd-v2"
    assert folders.rewriters() == ["starter", *folders.KNOWN_MODELS]
    shutil.copytree(model_folder, host.folder / "mine")
    shutil.copytree(model_folder, host.folder / published.replace("/", "--"))
    (host.folder / "empty").mkdir()
    assert folders.rewriters() == ["starter", "mine", *folders.KNOWN_MODELS]
    assert folders.find_rewriter("mine") == host.folder / "mine"
    assert folders.find_rewriter(published) == host.folder / published.replace("/", "--")
    reward = host.folder / "judge"
    reward.mkdir()
    (reward / "config.json").write_text("{}")
    (reward / "beautifulprompt.json").write_text('{"kind": "reward"}')
    assert folders.rewards() == ["starter", "none", "judge"]
    assert folders.judges() == ["auto", "judge"]
    assert "judge" not in folders.rewriters()
    # A graph from elsewhere may name either in the other's place.
    for find, name, widget in (("rewriter", "judge", "reward"), ("reward", "mine", "model")):
        with pytest.raises(Exception, match=f"choose it under '{widget}'"):
            getattr(folders, f"find_{find}")(name)


@pytest.mark.parametrize("name", ["gone", "..", "/etc", "mine/../mine", "someone/else"])
def test_names_outside_the_list_are_refused_with_the_remedy(pack, host, model_folder, name):
    shutil.copytree(model_folder, host.folder / "mine")
    answer = pack.nodes["LoadBeautifulPrompt"].validate_inputs(name, False, "starter")
    assert str(host.folder) in answer and "starter" in answer


def test_nothing_is_downloaded_unless_asked(pack, host, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(host.folder))
    name = next(iter(part("folders").KNOWN_MODELS))
    node = pack.nodes["LoadBeautifulPrompt"]
    asked = []
    monkeypatch.setattr(part("folders"), "download", lambda *a: asked.append(a) or Path("/none"))
    assert "'download'" in node.validate_inputs(name, False, "starter")
    assert node.validate_inputs(name, True, "starter") is True
    assert node.validate_inputs(name) is node.validate_inputs() is True  # fed by other nodes
    with pytest.raises(Exception, match="turn on 'download'"):
        node.execute(name, False, "auto", "auto", "none")
    assert asked == []
    with pytest.raises(Exception, match="/none"):
        node.execute(name, True, "auto", "auto", "none")
    assert asked[0][0] == name


def test_a_loaded_model_runs_where_the_node_says(pack, host, model_folder):
    shutil.copytree(model_folder, host.folder / "mine")
    (managed,) = (
        pack.nodes["LoadBeautifulPrompt"].execute("mine", False, "cpu", "bf16", "none").args
    )
    assert managed.patcher.load_device == torch.device("cpu")
    assert managed.patcher.model.networks[0].dtype == torch.bfloat16
    assert managed.reward is None


def test_a_truncated_model_fails_with_the_remedy(pack, host, model_folder):
    weights = model_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    shutil.copytree(model_folder, host.folder / "broken")
    with pytest.raises(Exception, match=r"model\.safetensors") as caught:
        pack.nodes["LoadBeautifulPrompt"].execute("broken", False, "auto", "auto", "none")
    assert type(caught.value).__name__ == "ModelError"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_name_and_tooltip_is_translated(pack, language):
    known = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text("utf-8"))
    schemas = {s.node_id: s for s in (node.define_schema() for node in pack.nodes.values())}
    assert set(known) == set(schemas)
    for name, schema in schemas.items():
        assert list(known[name]["inputs"]) == [slot.id for slot in schema.inputs]
        assert len(known[name]["outputs"]) == len(schema.outputs)
        texts = [known[name], *known[name]["inputs"].values(), *known[name]["outputs"].values()]
        assert all(text.get("tooltip") or text.get("description") for text in texts)
        if language == "en":
            assert known[name]["description"] == schema.description
            for slot in schema.inputs:
                assert known[name]["inputs"][slot.id]["tooltip"] == slot.tooltip


@pytest.mark.parametrize("name", ["{}.md", "{}/zh.md"])
def test_every_node_has_a_help_page(pack, name):
    for node in pack.nodes.values():
        schema = node.define_schema()
        page = ROOT / "comfy_nodes" / "web" / "docs" / name.format(schema.node_id)
        text = page.read_text("utf-8")
        for slot in schema.inputs:
            assert f"`{slot.id}`" in text, f"{page} does not tell of {slot.id}"
        assert "|--" not in text, f"{page}: no table fits the side panel"
