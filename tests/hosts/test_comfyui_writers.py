"""Writers in a real ComfyUI: a random Qwen3 of ComfyUI's own classes, and a server that is not.

As test_comfyui.py: COMFYUI_DIR is its folder, COMFYUI_PYTHON its Python.
"""

from __future__ import annotations

import json
import os
import re
import time

import pytest

from tests.hosts.comfyui import CHECKPOINT, KEY, TEXT, Refused, beautify, metadata, show

SERVER = os.environ.get("BEAUTIFULPROMPT_TEST_WRITER")
QWEN = {"class_type": "RandomQwen3", "inputs": {}}


def encoder(**changes) -> dict:
    return {
        "1": QWEN,
        "2": {
            "class_type": "BeautifulPromptEncoderWriter",
            "inputs": {"clip": ["1", 0], "reward": "starter"},
        },
        "3": beautify(
            **{"rewriter": ["2", 0], "clip": ["1", 0], "dialect": "tags", "candidates": 2} | changes
        ),
        "4": show("3", 3),
        "5": show("3", 1),
    }


def server(address: str, model: str = "", **changes) -> dict:
    inputs = {"address": address, "model": model, "reward": "none"}
    return {
        "2": {"class_type": "BeautifulPromptServerWriter", "inputs": inputs},
        "3": beautify(rewriter=["2", 0], dialect="tags", **changes),
        "4": show("3", 3),
    }


def test_the_encoder_writes_ranked_drafts_and_the_seed_gives_them_again(host):
    first = host.run(encoder(seed=3))
    assert first.error is None
    text = first.outputs["3"]["text"][0]
    report = first.outputs["4"]["text"][0]
    assert text.startswith("a lighthouse at dusk, ") and text.endswith("<lora:moody:0.8>")
    assert "score" in report and first.texts[-1][0] == "3"
    host.free()
    assert host.run(encoder(seed=3)).outputs["3"] == first.outputs["3"]
    assert host.run(encoder(seed=4)).outputs["3"] != first.outputs["3"]


def test_cancel_ends_the_encoder_s_writing(host):
    sent = []

    def cancel(run):
        steps = [n for e in run.of("progress_state") for n in e["nodes"].values()]
        if steps and any(n["value"] > 2 for n in steps) and not sent:
            sent.append(time.monotonic())
            host.post("/interrupt", {})

    run = host.run(encoder(seed=31, candidates=64, length=500), cancel)
    assert run.of("execution_interrupted") and time.monotonic() - sent[0] < 20
    assert host.run(encoder(seed=31)).error is None


def test_clip_alone_cannot_write_and_the_graph_goes_on(host):
    graph = encoder()
    graph["1"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}}
    graph["2"]["inputs"]["clip"] = graph["3"]["inputs"]["clip"] = ["1", 1]
    run = host.run(graph)
    assert run.error is None and run.outputs["3"]["text"] == [TEXT]
    assert "cannot write" in run.outputs["4"]["text"][0]


def test_an_encoder_that_fails_leaves_the_prompt_and_the_graph_goes_on(host):
    graph = encoder(seed=6)
    graph["1"] = {"class_type": "RandomQwen3", "inputs": {"broken": True}}
    run = host.run(graph)
    assert run.error is None and run.outputs["3"]["text"] == [TEXT]
    assert "choose another writer (TypeError" in run.outputs["4"]["text"][0]
    assert host.run(encoder(seed=6)).outputs["3"]["text"] != [TEXT]


def test_the_encoder_s_template_takes_nothing_of_the_budget(host):
    report = host.run(encoder(seed=7, token_budget=40)).outputs["4"]["text"][0]
    counts = [int(n) for n in re.findall(r"(\d+) tokens$", report, re.MULTILINE)]
    plain = len("a lighthouse at dusk".split())
    assert counts and plain < max(counts) <= 40, report


def test_a_translation_leaves_the_original_in_the_png(host):
    # The random network cannot translate; that it writes English is enough here.
    graph = encoder(text="雪中的狐狸 <lora:moody:0.8>", mode="rewrite", into_english=True, seed=5)
    # A picture that hangs on the prompt, or it might be saved before there is one.
    graph["8"] = {"class_type": "StringLength", "inputs": {"string": ["3", 0]}}
    graph["6"] = {
        "class_type": "EmptyImage",
        "inputs": {"width": ["8", 0], "height": 8, "batch_size": 1, "color": 0},
    }
    graph["7"] = {
        "class_type": "SaveImage",
        "inputs": {"images": ["6", 0], "filename_prefix": "translated"},
    }
    run = host.run(graph)
    assert run.error is None
    text = run.outputs["3"]["text"][0]
    assert "雪" not in text and "<lora:moody:0.8>" in text
    image = run.outputs["7"]["images"][0]
    png = host.get(f"/view?filename={image['filename']}&type=output")
    [entry] = json.loads(metadata(png)["beautifulprompt"])["3"]
    assert entry["text"].startswith("雪中的狐狸") and entry["prompt"] == text


def test_a_dead_server_leaves_the_prompt_and_no_key_anywhere(host):
    run = host.run(server("http://127.0.0.1:9/v1", "x"))
    assert run.error is None and run.outputs["3"]["text"] == [TEXT]
    assert "start it" in run.outputs["4"]["text"][0]
    assert KEY not in host.log.read_text() + json.dumps(run.events)


def test_another_machine_is_refused_before_it_runs(host):
    with pytest.raises(Refused) as refused:
        host.run(server("http://192.168.1.5:11434/v1", "x"))
    assert "BEAUTIFULPROMPT_WRITER_HOST" in json.dumps(refused.value.body)


@pytest.mark.skipif(not SERVER, reason="BEAUTIFULPROMPT_TEST_WRITER names no server")
def test_a_real_server_writes(host):
    run = host.run(server(SERVER, seed=2, candidates=2))
    assert run.error is None and run.outputs["3"]["text"][0].startswith("a lighthouse at dusk")
