"""models.py: folders of every weight format, broken ones, templates and control tokens."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams
from bp_core.errors import ModelError
from bp_core.models import folder as folders
from bp_core.models.load import load
from bp_core.models.network import load_network
from bp_core.models.template import TEMPLATES, Template
from bp_core.models.tokenizer import prompt_parts

IDS = torch.tensor([[5, 6, 7]])


@pytest.fixture(autouse=True)
def own_models_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAUTIFULPROMPT_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def model(model_folder):
    return load(model_folder)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def rewrite_as(folder: Path, form: str) -> None:
    """Replace model.safetensors by the same weights in another form."""
    state = weights(folder)
    (folder / "model.safetensors").unlink()
    names = sorted(state)
    halves = [{n: state[n] for n in names[::2]}, {n: state[n] for n in names[1::2]}]
    if form == "bin":
        torch.save(state, folder / "pytorch_model.bin")
    elif form == "old bin":
        torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    else:
        whole = "model.safetensors" if form == "sharded" else "pytorch_model.bin"
        stem, suffix = whole.split(".")
        shards = {f"{stem}-0000{i}-of-00002.{suffix}": half for i, half in enumerate(halves, 1)}
        for name, half in shards.items():
            save_file(half, folder / name) if form == "sharded" else torch.save(half, folder / name)
        index = {"weight_map": {n: name for name, half in shards.items() for n in half}}
        (folder / f"{whole}.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("form", ["safetensors", "sharded", "bin", "old bin", "sharded bin"])
def test_every_form_of_weights_is_read(model_folder, form):
    expected = load(model_folder, dtype="float32").network(IDS)
    if form != "safetensors":
        rewrite_as(model_folder, form)
    torch.testing.assert_close(
        load(model_folder, dtype="float32").network(IDS), expected, atol=0, rtol=0
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_files_of_any_precision(model_folder, dtype):
    expected = load(model_folder, dtype="float32").network(IDS)
    state = {name: tensor.to(dtype) for name, tensor in weights(model_folder).items()}
    save_file(state, model_folder / "model.safetensors")
    network = load(model_folder).network.model
    assert network.dtype == torch.float32
    assert (network(IDS) - expected).abs().max() < 0.1
    assert load(model_folder, dtype="bfloat16").network.dtype == torch.bfloat16


def test_transformers_folder_loads_as_it_is(tmp_path, model_folder):
    transformers = pytest.importorskip("transformers")
    config = transformers.BloomConfig(vocab_size=300, hidden_size=64, n_layer=2, n_head=4)
    model = transformers.BloomForCausalLM(config).eval()
    model.save_pretrained(tmp_path / "hf")
    network, _ = load_network(tmp_path / "hf")
    torch.testing.assert_close(network(IDS), model(IDS).logits, atol=1e-4, rtol=0)


def test_heads_beside_the_trunk(model_folder):
    state = weights(model_folder) | {"score.weight": torch.ones(1, 16)}
    save_file(state | {"lm_head.weight": torch.ones(300, 16)}, model_folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"score\.weight"):
        load_network(model_folder)
    _, heads = load_network(model_folder, heads=["score.weight"])
    assert heads["score.weight"].shape == (1, 16)
    with pytest.raises(ModelError, match=r"no tensor 'v_head\.weight'"):
        load_network(model_folder, heads=["score.weight", "v_head.weight"])


def test_loading_relies_on_no_initialisation(model_folder, monkeypatch):
    """The WebUI turns torch's initialisation and state dicts into no-ops while it loads."""
    expected = load(model_folder, dtype="float32").network(IDS)
    for name in ("kaiming_uniform_", "normal_", "uniform_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor)
    monkeypatch.setattr(torch.nn.Module, "_load_from_state_dict", lambda *args: None)
    network = load(model_folder, dtype="float32").network
    assert not any(p.is_meta for p in network.parameters())
    assert torch.equal(network(IDS), expected)


def test_loading_and_writing_import_no_compiler(model_folder):
    """torch's compiler takes as long to import as torch; a meta tensor's initialisation does it."""
    code = (
        "import sys; from bp_core.models.load import load;"
        "from bp_core.decode.generate import generate;"
        f"m = load({str(model_folder)!r}); generate(m.network, [[5, 6]], eos=m.eos_id);"
        "print({'torch._dynamo', 'sympy', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def change_json(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder: Path, change) -> None:
    state = weights(folder)
    change(state)
    save_file(state, folder / "model.safetensors")


BREAKAGES = {
    "no config": (lambda f: (f / "config.json").unlink(), r"config\.json is missing"),
    "broken config": (lambda f: truncate(f / "config.json", 9), r"config\.json cannot be read"),
    "list config": (lambda f: (f / "config.json").write_text("[]"), "not a JSON object"),
    "bad heads": (lambda f: change_json(f / "config.json", n_head=3), "cannot be shared by 3"),
    "fewer layers": (lambda f: change_json(f / "config.json", n_layer=1), "of this depth"),
    "more layers": (lambda f: change_json(f / "config.json", n_layer=3), "12 more|11 more"),
    "other width": (lambda f: change_json(f / "config.json", hidden_size=32), "has shape"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
    "cut weights": (lambda f: truncate(f / "model.safetensors", 5000), "truncated"),
    "cut header": (lambda f: truncate(f / "model.safetensors", 100), "truncated"),
    "empty weights": (lambda f: truncate(f / "model.safetensors", 0), "truncated"),
    "no safetensors": (
        lambda f: (f / "model.safetensors").write_text("<html>Not found</html>" * 9),
        "not a safetensors file",
    ),
    "lfs pointer": (
        lambda f: (f / "model.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1"
        ),
        "git lfs pull",
    ),
    "broken header": (
        lambda f: (f / "model.safetensors").write_bytes(b"\x09" + bytes(7) + b"{'a': 1} "),
        "broken safetensors header",
    ),
    "overlong": (
        lambda f: (f / "model.safetensors").open("ab").write(b"more"),
        "longer than its header",
    ),
    "integers": (
        lambda f: change_weights(f, lambda s: s.update(q=torch.ones(2, dtype=torch.int8))),
        "not floating point",
    ),
    "lost tensor": (
        lambda f: change_weights(f, lambda s: s.pop("transformer.ln_f.bias")),
        r"'transformer\.ln_f\.bias' and 0 more are missing",
    ),
    "cut bin": (
        lambda f: (rewrite_as(f, "bin"), truncate(f / "pytorch_model.bin", 5000)),
        "truncated",
    ),
    "cut old bin": (
        lambda f: (rewrite_as(f, "old bin"), truncate(f / "pytorch_model.bin", 5000)),
        "not a plain file of weights",
    ),
    "foreign bin": (
        lambda f: (rewrite_as(f, "bin"), (f / "pytorch_model.bin").write_text("hello")),
        "not a PyTorch file",
    ),
    "lost shard": (
        lambda f: (rewrite_as(f, "sharded"), (f / "model-00002-of-00002.safetensors").unlink()),
        r"model-00002-of-00002\.safetensors is missing",
    ),
    "empty index": (
        lambda f: (
            rewrite_as(f, "sharded"),
            (f / "model.safetensors.index.json").write_text("{}"),
        ),
        "names no files",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
    "foreign tokenizer": (
        lambda f: (f / "tokenizer.json").write_text('{"model": 3}'),
        "cannot be read by tokenizers",
    ),
    "no template": (lambda f: (f / "beautifulprompt.json").unlink(), "write there which template"),
    "reward model": (
        lambda f: change_json(f / "beautifulprompt.json", kind="reward"),
        "is a reward model",
    ),
    "unknown kind": (lambda f: change_json(f / "beautifulprompt.json", kind=3), "says kind 3"),
    "unknown template": (
        lambda f: change_json(f / "beautifulprompt.json", template={"name": "v9"}),
        "'template' must have",
    ),
    "template without raw": (
        lambda f: change_json(
            f / "beautifulprompt.json",
            template={"name": "own", "rewrite": "{raw}", "expand": "?"},
        ),
        "has no {raw}",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_broken_folders_name_file_and_remedy(model_folder, breakage):
    spoil, says = BREAKAGES[breakage]
    spoil(model_folder)
    with pytest.raises(ModelError, match=says) as caught:
        load(model_folder)
    assert "\n" not in str(caught.value)
    assert str(model_folder) in str(caught.value) or "beautifulprompt.json" in str(caught.value)


def test_unsafe_pickles_are_not_executed(model_folder):
    rewrite_as(model_folder, "bin")
    torch.save({"x": os.path.join}, model_folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="use a safetensors version"):
        load(model_folder)


def test_tokenizer_of_another_model(model_folder):
    change_json(model_folder / "config.json", vocab_size=200)
    change_weights(
        model_folder,
        lambda s: s.update(
            {k: v[:200].clone() for k, v in s.items() if k.endswith("word_embeddings.weight")}
        ),
    )
    with pytest.raises(ModelError, match="of different models"):
        load(model_folder)


def test_names(model_folder, monkeypatch, tmp_path):
    with pytest.raises(ModelError, match="bp models --download someone/thing"):
        load("someone/thing")
    with pytest.raises(ModelError, match="no model 'nothing' here"):
        load("nothing")
    with pytest.raises(ModelError, match="is a file"):
        load(model_folder / "config.json")
    mine = folders.models_dir() / "mine"
    shutil.copytree(model_folder, mine)
    assert load("mine").path == mine
    assert load(mine).name == "mine"
    monkeypatch.setattr(folders, "BUNDLED", tmp_path / "gone")
    with pytest.raises(ModelError, match="reinstall"):
        load()
    monkeypatch.setattr(folders, "BUNDLED", model_folder)
    assert load().path == load("starter").path == model_folder
    assert load().name == "starter"


@pytest.mark.parametrize(
    "folder",
    [
        "models/alibaba-pai--pai-bloom-1b1-text2prompt-sd-v2",
        "models/pai-bloom-1b1-text2prompt-sd-v2",
        "hub/models--alibaba-pai--pai-bloom-1b1-text2prompt-sd-v2/snapshots/" + "a" * 40,
    ],
)
def test_published_models_are_known_by_name(model_folder, tmp_path, folder, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    place = tmp_path / folder
    shutil.copytree(model_folder, place)
    (place / "beautifulprompt.json").unlink()
    refs = tmp_path / "hub/models--alibaba-pai--pai-bloom-1b1-text2prompt-sd-v2/refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("a" * 40)
    model = load("alibaba-pai/pai-bloom-1b1-text2prompt-sd-v2")
    assert model.template is TEMPLATES["v2"]
    found = [i for i in folders.available() if i.name.startswith("alibaba-pai")]
    assert [(i.path, i.kind, i.template) for i in found] == [(place, "rewriter", "v2")]


def test_available_lists_whole_models_only(model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "BUNDLED", model_folder)
    folder = tmp_path / "several"
    for name in ("good", "reward", "cut", "bare"):
        shutil.copytree(model_folder, folder / name)
    change_json(folder / "reward" / "beautifulprompt.json", kind="reward")
    truncate(folder / "cut" / "model.safetensors", 5000)
    (folder / "bare" / "beautifulprompt.json").unlink()
    infos = folders.available(folder)
    assert [(i.name, i.kind, i.template) for i in infos] == [
        ("starter", "rewriter", "starter"),
        (str(folder / "good"), "rewriter", "starter"),
        (str(folder / "reward"), "reward", ""),
    ]
    assert infos[0].size == (model_folder / "model.safetensors").stat().st_size


def test_models_dir_without_the_variable(monkeypatch):
    monkeypatch.delenv("BEAUTIFULPROMPT_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setattr("sys.platform", "linux")
    assert folders.models_dir() == Path("/data/beautifulprompt/models")


@pytest.mark.parametrize("mode", ["expand", "rewrite"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_parts_fill_the_template(name, mode):
    parts = prompt_parts(TEMPLATES[name], mode, "a  red\ncat", notes=["fur", "green eyes"])
    filled = getattr(TEMPLATES[name], mode).replace("{raw}", "a red cat")
    filled = filled.replace("{dialect}", "tags").replace("{notes}", " fur, green eyes,")
    assert "".join(text for text, _ in parts) == filled
    assert {text.strip() for text, typed in parts if typed} <= {"a red cat", "fur, green eyes,"}
    if name not in ("starter", "dialects"):
        assert (" a red cat", True) in parts, "the space belongs to the first word"


def test_empty_prose_fits_every_template():
    assert prompt_parts(TEMPLATES["starter"], "expand", " \n") == [("<|expand|>", False)]


CONTROL = st.sampled_from(["</s>", "<|expand|>", "<|rewrite|>", "<", "/s>", "|>", "Output:", "\n"])


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.lists(st.text(max_size=5) | CONTROL, max_size=8).map("".join))
def test_what_users_type_never_becomes_a_control_token(model, raw):
    ids = model.encode(raw, "expand", lead_text="</s> in oil")
    lead = len(model.encode("", "rewrite", lead_text="</s> in oil")) - 1
    assert [i for i in ids if i in model.special_ids] == [model.tokenizer.token_to_id("<|expand|>")]
    if "\0" not in raw:
        text = model.decode(ids[: len(ids) - lead])
        assert text == " ".join(raw.split())
    assert model.decode(ids[len(ids) - lead :]) == "</s> in oil"


def test_a_loaded_model_writes(model_folder):
    model = load(model_folder)
    prompt = model.encode("a cat", "expand")
    params = SamplingParams(max_new_tokens=5)
    candidates = generate(model.network, [prompt], eos=model.eos_id, params=params)[0]
    assert len(candidates) == 4
    assert all(isinstance(model.decode(one.tokens), str) for one in candidates)


def test_own_template(model_folder):
    fields = {"name": "own", "rewrite": "Q {raw} A", "expand": "Q {raw} A {raw}", "lead": " "}
    change_json(model_folder / "beautifulprompt.json", template=fields)
    assert load(model_folder).template == Template(**fields)


def test_end_token(model_folder):
    change_json(model_folder / "config.json", eos_token_id=[4, 5])
    assert load(model_folder).eos_id == 4
    change_json(model_folder / "config.json", eos_token_id=None)
    assert load(model_folder).eos_id == 0


def test_unknown_dtype(model_folder):
    with pytest.raises(ModelError, match="dtype 'int4' is unknown"):
        load(model_folder, dtype="int4")


@pytest.mark.parametrize("device", ["xpu", "gpu", "cuda:99"])
def test_a_device_that_is_not_here(model_folder, device):
    with pytest.raises(ModelError, match=f"no device '{device}' here .*: choose another"):
        load(model_folder, device=device)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_rewriter_of_another_family(folders, kind):
    from bp_core import Rewriter

    folder = folders(kind)
    result = Rewriter.load(folder, reward=None)("a red cat", n=2, seed=1, max_new_tokens=8)
    assert result.prompt == "a red cat"
    again = Rewriter.load(folder, dtype="float32", reward=None)
    assert again("a red cat", n=2, seed=1, max_new_tokens=8).text == result.text


def test_what_we_do_not_build_runs_through_transformers_and_says_so(folders, caplog):
    pytest.importorskip("transformers")
    caplog.set_level("INFO")
    folder = folders("mistral")
    change_json(folder / "config.json", sliding_window=4)
    assert type(load(folder).network).__name__ == "HFNetwork"
    assert "sliding windows" in caplog.text


@pytest.mark.parametrize("name", ["config.json", "beautifulprompt.json", "tokenizer.json"])
def test_a_text_of_gigabytes_is_not_read(model_folder, name):
    """It is sparse: reading it would take memory, not disk."""
    with (model_folder / name).open("r+b") as file:
        file.truncate(2**33)
    with pytest.raises(ModelError, match="larger than any such file"):
        load(model_folder)


@pytest.mark.parametrize("kind", [[], {}, None, 3])
def test_a_network_whose_kind_is_no_name_is_refused(model_folder, kind):
    change_json(model_folder / "config.json", model_type=kind)
    with pytest.raises(ModelError):
        load(model_folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_end_in_one_line(model_folder, value):
    change_weights(model_folder, lambda s: s.update({n: t * value for n, t in s.items()}))
    model = load(model_folder)
    with pytest.raises(ModelError, match="computes no numbers"):
        generate(model.network, [[5, 6]], eos=model.eos_id, n=1)
