"""The settings may name a server as writer: a job's prompts then come from there, or stay."""

from __future__ import annotations

import pytest

from a1111_extension import hook
from a1111_extension import writer as writer_module
from a1111_extension.records import ORIGINAL
from bp_core.errors import InputError
from bp_core.writers.writer import Answer


class Parrot:
    name = "qwen3:8b"

    def __init__(self, answer):
        self.answer, self.requests = answer, []

    def write(self, requests, check):
        check(0)
        self.requests += requests
        return [self.answer] * len(requests)


@pytest.fixture
def parrot(app, host, writer, monkeypatch):
    """Has the settings name a server that gives one answer."""

    def name(answer, **options):
        made = Parrot(answer if isinstance(answer, Answer) else Answer(answer))
        monkeypatch.setattr(writer_module, "_endpoint", lambda setting: made)
        monkeypatch.setattr(writer, "reward", None)
        monkeypatch.setattr(writer, "taste", None, raising=False)
        host.opts.beautifulprompt_writer = "http://127.0.0.1:11434/v1 qwen3:8b"
        for key, value in options.items():
            setattr(host.opts, f"beautifulprompt_{key}", value)
        return made

    return name


def test_the_server_writes_in_place_of_our_model(app, job, writer, parrot):
    made = parrot("soft light, deep shadows")
    p = job(images=1)
    hook.process(app, p, ["Always"])
    assert p.all_prompts == ["a cat, soft light, deep shadows"]
    assert made.requests and not writer.calls
    told = {k: v(prompt_text=p.all_prompts[0]) for k, v in p.extra_generation_params.items()}
    assert told[ORIGINAL] == "a cat" and told["Beautify model"] == "qwen3:8b"


def test_a_dead_server_leaves_the_prompt_and_says_so(app, job, parrot):
    parrot(Answer(fault="no server answers: start it"))
    p = job(images=2)
    hook.process(app, p, ["Always"])
    assert p.all_prompts == ["a cat", "a cat"]
    assert any("start it" in line for line in p.comments)


def test_into_english_keeps_the_original_in_the_infotext(app, job, parrot):
    parrot("a fox in the snow, soft moonlight", into_english=True)
    p = job(images=1)
    p.all_prompts = ["雪中的狐狸 <lora:moody:0.8>"]
    hook.process(app, p, [{"when": "Always", "mode": "rewrite"}])
    assert p.all_prompts[0].startswith("a fox in the snow, ")
    assert "<lora:moody:0.8>" in p.all_prompts[0] and "雪" not in p.all_prompts[0]
    told = p.extra_generation_params[ORIGINAL](prompt_text=p.all_prompts[0])
    assert told == "雪中的狐狸 <lora:moody:0.8>"


def test_a_setting_that_is_no_address_is_told():
    with pytest.raises(InputError, match="http"):
        writer_module._endpoint("ftp://x qwen3")
    assert writer_module._endpoint("http://127.0.0.1:1/v1 qwen3:8b").name == "qwen3:8b"
