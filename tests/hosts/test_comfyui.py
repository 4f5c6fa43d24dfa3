"""The nodes in a real ComfyUI: COMFYUI_DIR is its folder, COMFYUI_PYTHON its Python."""

from __future__ import annotations

import json
import shutil
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import SMALL_WRITER
from tests.hosts.comfyui import (
    CHECKPOINT,
    ROOT,
    TEXT,
    Refused,
    api_format,
    beautify,
    helper,
    metadata,
    show,
)

WORKFLOWS = sorted((ROOT / "example_workflows").glob("*.json"))


def load(**changes) -> dict:
    inputs = {"model": "starter", "download": False, "device": "auto", "precision": "auto"}
    return {"class_type": "BeautifulPromptLoad", "inputs": {**inputs, "reward": "none", **changes}}


def shrunk(workflow: Path, info: dict) -> dict:
    """An example workflow with our checkpoint, at 64 pixels and two steps."""
    graph = api_format(json.loads(workflow.read_text()), info)
    for node in graph.values():
        small = {"ckpt_name": CHECKPOINT, "width": 64, "height": 64, "steps": 2}
        node["inputs"].update({k: v for k, v in small.items() if k in node["inputs"]})
    return graph


def test_loading_the_pack_is_quick_and_reads_nothing(host, tmp_path):
    cost = json.loads(helper("comfyui_startup.py", ROOT, tmp_path).splitlines()[-1])
    assert cost["readers"] == []
    # Processor time: the clock on the wall also counts what else a busy machine does.
    assert cost["cpu"] <= 0.15


def test_the_page_finds_translations_examples_and_help(host):
    chinese = host.get("/i18n")["zh"]["nodeDefs"]
    assert chinese["BeautifulPromptBeautify"]["display_name"] == "美化提示词"
    assert set(host.get("/workflow_templates")["any-name"]) == {path.stem for path in WORKFLOWS}
    docs = ROOT / "comfy_nodes" / "web" / "docs"
    for page in docs.rglob("*.md"):
        served = host.get(f"/extensions/any-name/docs/{page.relative_to(docs)}")
        assert served.decode() == page.read_text("utf-8")


@pytest.fixture(scope="module")
def pickscore(host):
    """The folder of a random PickScore, where the nodes look for it."""
    folder = host.base / "models" / "beautifulprompt" / "PickScore_v1"
    helper("comfyui_pickscore.py", folder, host.base)
    return folder


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_every_example_workflow_runs(host, pickscore, workflow):
    nodes, info = json.loads(workflow.read_text("utf-8"))["nodes"], host.get("/object_info")
    assert workflow.with_suffix(".jpg").is_file()
    assert {node["type"] for node in nodes} <= {*info, "MarkdownNote"}
    for node in nodes:  # the page offers to fetch each model that a node names
        named = [v for v in node.get("widgets_values", []) if str(v).endswith(".safetensors")]
        models = node["properties"].get("models", [])
        assert named == [model["name"] for model in models]
        assert all(model["url"].endswith("/" + model["name"]) for model in models)
    graph = shrunk(workflow, info)
    if any(node["type"] == "UNETLoader" for node in nodes):
        without_pictures(host, graph)
        return
    run = host.run(graph)
    assert run.error is None and run.refused == {}
    kinds = [node["class_type"] for node in graph.values()]
    pictures = [i for out in run.outputs.values() for i in out.get("images", [])]
    if "BeautifulPromptPickBest" in kinds:
        assert len(pictures) == 4 + 1  # one a candidate, and the best again
    else:
        assert len(pictures) == kinds.count("SaveImage")


def without_pictures(host, graph):
    """Run what writes the prompt of an example whose image model has no small likeness here."""
    kinds = {node["class_type"]: i for i, node in graph.items()}
    graph[kinds["CLIPLoader"]] = {"class_type": "RandomQwen3", "inputs": {}}
    names = ("CLIPLoader", "BeautifulPromptEncoderWriter", "BeautifulPromptBeautify")
    run = host.run({kinds[name]: graph[kinds[name]] for name in names})
    assert run.error is None and run.refused == {}
    (shown,) = run.outputs[kinds["BeautifulPromptBeautify"]]["beautifulprompt"]
    assert shown["after"].startswith(shown["before"])
    assert shown["dialect"] in ("prose (qwen3_4b)", "")


def test_an_image_carries_the_prompt_also_when_it_came_from_the_cache(host):
    graph = shrunk(ROOT / "example_workflows" / "Beautify a prompt.json", host.get("/object_info"))
    (ours,) = (i for i, n in graph.items() if n["class_type"] == "BeautifulPromptBeautify")
    samplers = {i for i, n in graph.items() if n["class_type"] == "KSampler"}
    graph[ours]["inputs"] |= {"text": TEXT, "seed": 12345}
    best = set()
    for seed in (1, 2):
        for sampler in samplers:
            graph[sampler]["inputs"]["seed"] = seed
        run = host.run(graph)
        assert (ours in run.executed) == (seed == 1)
        assert samplers <= run.executed
        for picture in [i for out in run.outputs.values() for i in out.get("images", [])]:
            (entry,) = json.loads(metadata(host.image(picture))["beautifulprompt"])[ours]
            assert entry["text"] == TEXT and len(entry["candidates"]) == len(entry["scores"])
            assert [entry["prompt"]] == run.outputs[ours]["text"]
            best.add(entry["prompt"])
    assert len(best) == 1
    assert host.run(graph).executed == set()


def test_a_frozen_text_stays_whatever_the_seed(host):
    kept = "a lighthouse at dusk, kept {by|by} hand <lora:moody:0.8>"
    for seed in (81, 82):
        graph = {"1": beautify(seed=seed, frozen=True, written=kept), "2": show("1", 1)}
        outputs = host.run(graph).outputs
        assert outputs["1"]["text"] == outputs["2"]["text"] == [kept.replace("{by|by}", "by")]


def test_choices_and_comments_are_resolved_by_the_seed(host):
    asked = {"text": "a {red|green|blue} cat // big\n<lora:moody:0.8>", "candidates": 2}
    seen = {}
    for seed in range(83, 89):
        first = host.run({"1": beautify(**asked, seed=seed), "2": show("1", 1)}).outputs
        assert not set("{|}") & set(first["2"]["text"][0]) and "//" not in first["2"]["text"][0]
        seen[seed] = first["1"]["text"][0].split()[1]
    assert len(set(seen.values())) > 1 and set(seen.values()) <= {"red", "green", "blue"}
    off = host.run({"1": beautify(**asked, seed=89, dynamic_prompts=False)}).outputs
    assert off["1"]["text"][0].startswith("a {red|green|blue} cat")


def test_the_text_is_streamed_while_it_is_written(host):
    loaded = load(model=SMALL_WRITER.name)
    run = host.run({"1": beautify(seed=21, length=200, rewriter=["2", 0]), "2": loaded})
    # At least the first token's and the whole: a fast machine may have no time for more.
    assert len(run.texts) > 1 and {node for node, _ in run.texts} == {"1"}
    assert len(run.texts[0][1]) < len(run.texts[-1][1])
    assert run.texts[-1][1].replace("&lt;", "<").replace("&gt;", ">") == run.outputs["1"]["text"][0]
    assert run.of("progress_state")


def test_a_clip_counts_the_budget(host):
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}},
        "2": beautify(text="a cat", seed=5, length=80, token_budget=9, clip=["1", 1]),
        "3": show("2", 3),
    }
    report = host.run(graph).outputs["3"]["text"][0]
    dialect, *lines = report.split("\n")
    assert dialect.startswith("dialect: tags")
    counts = [int(line.rsplit(", ", 1)[1].split()[0]) for line in lines[1::2]]
    assert counts and max(counts) <= 9


def test_style_keep_and_block_are_heeded(host):
    asked = {"text": "a cat", "seed": 5, "length": 60, "style": "watercolor"}
    plain = host.run({"1": beautify(**asked), "2": show("1", 3)}).outputs
    assert plain["1"]["text"][0].startswith("a cat, watercolor")
    first = plain["1"]["text"][0].split(", ")[2]
    blocked = host.run({"1": beautify(**asked, block=f"neon, /{first}/"), "2": show("1", 1)})
    assert first not in blocked.outputs["2"]["text"][0]
    asked = {"text": "qrx style portrait of a cat", "mode": "rewrite", "keep": "qrx style"}
    assert "qrx style" in host.run({"1": beautify(**asked)}).outputs["1"]["text"][0]


def test_a_reward_model_of_the_user_s_scores_prompts(host):
    starter, folder = ROOT / "bp_core" / "starter", host.base / "models" / "beautifulprompt"
    shutil.copytree(starter / "reward", folder / "judge")
    texts = {"text": "a cat", "rewrite": "a cat, soft light"}
    said = []
    for more in ({}, {"reward_model": "judge"}):  # the same weights: once bundled, once the user's
        node = {"class_type": "BeautifulPromptScore", "inputs": {**texts, **more}}
        said.append(host.run({"1": node}).outputs["1"]["text"])
    assert said[0] == said[1] and "score" in said[0][0]
    node["inputs"]["reward_model"] = "gone"
    with pytest.raises(Refused, match="put its folder there"):
        host.run({"1": node})


def test_a_scorer_that_lacks_something_says_how_to_get_it(host):
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {
            "width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "BeautifulPromptScoreImage", "inputs": {
            "images": ["1", 0], "text": "a cat", "scorer": "HPS v2", "download": False}},
        "3": show("2", 1),
    }  # fmt: skip
    with pytest.raises(Refused, match=r"pip install open_clip_torch|HPS_v2.* put it there"):
        host.run(graph)


def test_pictures_are_scored_and_the_best_is_picked(host, pickscore):
    path = ROOT / "example_workflows" / "Four versions and the best picture.json"
    graph = shrunk(path, host.get("/object_info"))
    kinds = {node["class_type"]: i for i, node in graph.items()}
    pick, ours = kinds["BeautifulPromptPickBest"], kinds["BeautifulPromptBeautify"]
    judge = kinds["BeautifulPromptScoreImage"]
    graph[ours]["inputs"]["seed"] = 91
    # Beautify Prompt alone can run without the weights: the rest is refused before rendering.
    gone = pickscore.rename(pickscore.with_name("gone"))
    refused = host.run({i: n for i, n in graph.items() if n["class_type"] != "SaveImage"})
    gone.rename(pickscore)
    assert "PickScore_v1 is not in" in json.dumps(refused.refused[judge])
    assert refused.executed <= {ours, kinds["CheckpointLoaderSimple"]}
    for _ in range(2):  # what it shows comes from the cache, too
        run = host.run({**graph, "kept": show(pick, 1)})
        assert run.error is None
        lines = [line.split("\t") for line in run.outputs[judge]["text"][0].split("\n")]
        assert len(lines) == 4
        best = max(lines, key=lambda line: float(line[0]))
        assert run.outputs["kept"]["text"] == [best[1]]
    # It is no output: where nobody asks for the scores, nothing is scored.
    alone = [i for i, n in graph.items() if n["class_type"] in ("PreviewAny", "SaveImage")]
    rest = {i: n for i, n in graph.items() if i not in (*alone, pick)}
    rest[ours]["inputs"]["seed"] = 92
    assert judge not in host.run(rest).executed


def test_cancel_stops_within_a_token(host):
    sent = []

    def cancel(run):
        if run.texts and not sent:
            sent.append(True)
            host.post("/interrupt", {})

    slow = beautify(seed=31, candidates=16, length=512, rewriter=["2", 0])
    run = host.run({"1": slow, "2": load(model=SMALL_WRITER.name)}, cancel)
    assert run.of("execution_interrupted")
    steps = [
        node["value"] for event in run.of("progress_state") for node in event["nodes"].values()
    ]
    assert max(steps) < 200
    assert host.run({"1": beautify(seed=31)}).error is None


def test_the_text_survives_free_memory(host):
    graph = {"1": load(), "2": beautify(rewriter=["1", 0], seed=41)}
    first = host.run(graph)
    host.free()
    second = host.run({**graph, "3": show("2", 1)})
    assert "2" in second.executed  # the cache is gone, too
    assert first.outputs["2"] == second.outputs["2"]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (beautify(candidates=0), "candidates"),
        (beautify(temperature=99.0), "temperature"),
        (beautify(mode="sing"), "expand"),
        (beautify(block="/(/"), "no regular expression"),
        (load(model="gone"), "put its folder there"),
        (load(model="alibaba-pai/pai-bloom-1b1-text2prompt-sd"), "turn on 'download'"),
    ],
)
def test_bad_values_are_refused_in_words(host, node, said):
    graph = {"1": node}
    if node["class_type"] == "BeautifulPromptLoad":
        graph["2"] = beautify(rewriter=["1", 0])
    with pytest.raises(Refused) as caught:
        host.run(graph)
    assert said in json.dumps(caught.value.body["node_errors"]["1"])


def test_models_in_a_folder_of_extra_model_paths_are_found(host):
    shutil.copytree(ROOT / "bp_core" / "starter", host.elsewhere / "shared")
    options = host.get("/object_info/BeautifulPromptLoad")["BeautifulPromptLoad"]
    assert "shared" in json.dumps(options["input"]["required"]["model"])
    texts = [
        host.run({"1": load(model=model), "2": beautify(rewriter=["1", 0], seed=45)}).outputs["2"]
        for model in ("starter", "shared")
    ]
    assert texts[0] == texts[1]


def test_two_prompts_queued_at_once_both_get_their_own(host):
    alone = {seed: host.run({"1": beautify(seed=seed)}).outputs for seed in (51, 52)}
    host.free()
    together = {}

    def queue(seed):
        together[seed] = host.run({"1": beautify(seed=seed)}).outputs

    threads = [threading.Thread(target=queue, args=(seed,)) for seed in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_a_broken_model_fails_at_our_node_and_nothing_else(host):
    folder = host.base / "models" / "beautifulprompt"
    shutil.copytree(SMALL_WRITER, folder / "cut")
    weights = folder / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    (folder / "empty").mkdir()
    offline = "alibaba-pai/pai-bloom-1b1-text2prompt-sd"
    for model, said in (("cut", "model.safetensors"), (offline, "could not be downloaded")):
        graph = {
            "1": load(model=model, download=model == offline),
            "2": beautify(rewriter=["1", 0]),
        }
        error = host.run(graph).error
        assert error["node_id"] == "1" and error["exception_type"].endswith("ModelError")
        assert said in error["exception_message"]
        assert host.run({"1": beautify(seed=61)}).error is None
    with pytest.raises(Refused, match="no model 'empty'"):
        host.run({"1": load(model="empty"), "2": beautify(rewriter=["1", 0])})


def joined(parts: list) -> dict:
    """At most ten texts, or links to lists, as one list."""
    inputs = {f"inputs.input{i}": part for i, part in enumerate(parts)}
    return {"class_type": "CreateList", "inputs": inputs}


def long_list(seed: int) -> dict:
    """A graph by which a small model beautifies 200 prompts, a little."""
    graph = {f"t{i}": joined([f"a cat number {10 * i + k}" for k in range(10)]) for i in range(20)}
    graph["a"] = joined([[f"t{i}", 0] for i in range(10)])
    graph["b"] = joined([[f"t{i}", 0] for i in range(10, 20)])
    graph["all"] = joined([["a", 0], ["b", 0]])
    asked = {"text": ["all", 0], "candidates": 1, "length": 4, "seed": seed}
    return {**graph, "0": load(model="small"), "1": beautify(rewriter=["0", 0], **asked)}


def test_a_long_list_of_prompts_does_not_grow(host):
    shutil.copytree(SMALL_WRITER, host.base / "models" / "beautifulprompt" / "small")
    sizes = []
    for seed in range(71, 76):
        assert len(host.run(long_list(seed)).outputs["1"]["text"]) == 200
        sizes.append(host.memory())
    # The first list warms up allocators and caches; in one of the others numba may be loaded.
    grown = [after - before for before, after in pairwise(sizes[1:])]
    assert sum(mebibytes >= 10 for mebibytes in grown) <= 1, f"MiB after each list: {sizes}"
