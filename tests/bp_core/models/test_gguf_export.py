"""gguf_export.py: what is written reads back as it was, and llama.cpp writes the same tokens."""

import json
import signal
import subprocess
import sys

import pytest
import torch

from bp_core.cli import main
from bp_core.errors import ModelError
from bp_core.models.folder import BUNDLED, about
from bp_core.models.gguf_export import export
from bp_core.models.load import load
from tests.train.bases import write_family

pytest.importorskip("gguf")
pytest.importorskip("transformers")

PROMPTS = ["a fox in a library, 1234 tall shelves", "a lighthouse at dusk  x\nthe sea's edge, 8k"]
FAMILIES = [
    ("bloom", True), ("llama", True), ("llama", False), ("qwen2", True), ("qwen3", False),
    ("gpt2", True),
]  # fmt: skip
# Relative error of logits: of the rounding, and of llama.cpp's, which rounds what it multiplies.
ERROR = {"f16": (0.003, 0.01), "q8_0": (0.03, 0.05)}

LLAMA = """
import json, sys
from llama_cpp import Llama
path, *prompts = json.loads(sys.argv[1])
llama = Llama(path, n_ctx=128, n_threads=1, verbose=False)
found = []
for prompt in prompts:
    ids = llama.tokenize(prompt.encode(), add_bos=False, special=True)
    llama.reset()
    tokens = []
    for token in llama.generate(ids, temp=0.0, repeat_penalty=1.0):
        tokens.append(token)
        if len(tokens) == 16 or token == llama.token_eos():
            break
    found.append([ids, tokens])
print(json.dumps(found))
"""


def llama_cpp(path, prompts):
    """(prompt's ids, greedy tokens) of each prompt by llama.cpp, in a process of its own: a build
    for another processor ends it."""
    command = [sys.executable, "-c", LLAMA, json.dumps([str(path), *prompts])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if "No module named 'llama_cpp'" in done.stderr:
        pytest.skip("llama-cpp-python is not installed")
    if done.returncode == -signal.SIGILL:
        pytest.skip("this llama-cpp-python is not for this processor")
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def folder_of(tmp_path, kind, tied):
    folder = write_family(tmp_path / kind, kind, tied)
    stated = {"kind": "rewriter", "template": {"name": "v1"}}
    (folder / "beautifulprompt.json").write_text(json.dumps(stated))
    return folder


def off(found, wanted):
    return (found - wanted).norm() / wanted.norm()


@pytest.mark.parametrize("weights", ["f16", "q8_0"])
@pytest.mark.parametrize(("kind", "tied"), FAMILIES)
def test_a_file_reads_back_as_the_folder(tmp_path, kind, tied, weights):
    folder = folder_of(tmp_path, kind, tied)
    path, notes = export(folder, tmp_path / "out" / "tiny.gguf", weights)
    before, after = (load(each, dtype="float32") for each in (folder, path))
    ids = torch.tensor([before.tokenizer.encode(PROMPTS[0]).ids])
    assert off(after.network(ids), before.network(ids)) < ERROR[weights][0]
    assert after.eos_id == before.eos_id and after.special_ids == before.special_ids
    assert about(path) == about(folder) and after.dialects == before.dialects
    for prompt in PROMPTS:
        assert after.encode(prompt, "expand") == before.encode(prompt, "expand")
    assert notes == [] and sorted(p.name for p in path.parent.iterdir()) == ["tiny.gguf"]


@pytest.mark.parametrize(("kind", "tied"), FAMILIES)
def test_llama_cpp_writes_the_same(tmp_path, kind, tied):
    for weights in ERROR:
        path, _ = export(folder_of(tmp_path / weights, kind, tied), tmp_path / "x.gguf", weights)
        check_llama_cpp(path, PROMPTS, weights)


@pytest.mark.parametrize("weights", ["f16", "q8_0"])
def test_llama_cpp_runs_the_bundled_model(tmp_path, weights):
    path, notes = export(BUNDLED, tmp_path / "starter.gguf", weights)
    before, after = (load(each, dtype="float32") for each in (BUNDLED, path))
    ids = torch.tensor([before.encode(PROMPTS[0], "expand")])
    assert off(after.network(ids), before.network(ids)) < ERROR[weights][0]
    assert notes == [] and after.dialects == before.dialects
    check_llama_cpp(path, ["<|notes|><|tags|>a lighthouse at dusk,"], weights)


def check_llama_cpp(path, prompts, weights):
    """Every greedy token of llama.cpp's is ours, but where two are as likely as can be told."""
    model = load(path, dtype="float32")
    for prompt, (ids, tokens) in zip(prompts, llama_cpp(path, prompts)):
        assert ids == model.tokenizer.encode(prompt, add_special_tokens=False).ids
        logits = model.network(torch.tensor([ids + tokens]))[0, len(ids) - 1 : -1]
        chosen = logits.gather(1, torch.tensor(tokens)[:, None])[:, 0]
        behind = logits.amax(1) - chosen
        assert bool((behind <= ERROR[weights][1] * logits.std(1)).all())
        assert len(tokens) > 1


def test_the_command(tmp_path, capsys):
    folder = folder_of(tmp_path, "llama", True)
    main(["export", str(folder), str(tmp_path / "x.gguf"), "--weights", "q8_0"])
    assert capsys.readouterr().out.strip() == str(tmp_path / "x.gguf")
    with pytest.raises(SystemExit) as leaving:
        main(["export", str(folder), str(tmp_path / "x.bin")])
    error = capsys.readouterr().err
    assert leaving.value.code == 1 and "name a .gguf file" in error and error.count("\n") == 1


def test_what_llama_cpp_does_not_do_is_told(tmp_path):
    folder = folder_of(tmp_path, "bloom", True)
    path = folder / "tokenizer.json"
    stated = json.loads(path.read_text())
    stated["normalizer"] = {"type": "Lowercase"}
    stated["pre_tokenizer"]["add_prefix_space"] = True
    path.write_text(json.dumps(stated))
    _, notes = export(folder, tmp_path / "x.gguf")
    assert len(notes) == 2 and "Lowercase" in notes[0] and "begin it with one" in notes[1]


def test_a_tokenizer_of_another_kind_is_one_line(tmp_path):
    folder = folder_of(tmp_path, "llama", True)
    path = folder / "tokenizer.json"
    stated = json.loads(path.read_text())
    stated["pre_tokenizer"] = {"type": "Whitespace"}
    path.write_text(json.dumps(stated))
    with pytest.raises(ModelError, match=r"convert_hf_to_gguf\.py") as caught:
        export(folder, tmp_path / "x.gguf")
    assert "\n" not in str(caught.value) and not (tmp_path / "x.gguf").exists()


def test_a_weight_beyond_float16_is_one_line(tmp_path, monkeypatch):
    import bp_core.models.gguf_export as module

    folder = folder_of(tmp_path, "llama", True)
    real = module.load

    def huge(*args):
        model = real(*args)
        model.network.blocks[0].feed_forward.down.weight.data[0, 0] = 1e6
        return model

    monkeypatch.setattr(module, "load", huge)
    with pytest.raises(ModelError, match="export it as q8_0"):
        export(folder, tmp_path / "x.gguf")
    assert not list(tmp_path.glob("*.partial")) and not list(tmp_path.glob(".*"))
