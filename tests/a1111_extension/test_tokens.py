"""Tokens are counted as the host's own counter counts them, over small hosts of a few functions."""

from __future__ import annotations

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

from a1111_extension import tokens


def words(text):
    return re.findall(r"\w+|[^\w\s]", text)


@pytest.fixture
def modules(monkeypatch):
    """Function that gives the host a module of some attributes."""

    def put(name, **attributes):
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    put("modules").__path__ = []
    return put


@pytest.fixture
def a1111(modules):
    """AUTOMATIC1111's functions, for one schedule and for AND."""

    def schedules(texts, steps):
        found = re.search(r"\[(\w+):(\w+):0\.5\]", texts[0])
        if not found:
            return [[[steps, text]] for text in texts]
        swap = (texts[0].replace(found[0], found[i]) for i in (1, 2))
        return [[[steps // 2, next(swap)], [steps, next(swap)]]]

    def without_comments(seen):
        seen.prompt = re.sub(r"#[^\n]*", "", seen.prompt)

    modules(
        "modules.script_callbacks",
        BeforeTokenCounterParams=lambda prompt, *_, is_positive: SimpleNamespace(prompt=prompt),
        before_token_counter_callback=without_comments,
    )
    modules("modules.extra_networks", parse_prompt=lambda text: (re.sub("<[^>]*>", "", text), {}))
    modules(
        "modules.prompt_parser",
        get_multicond_prompt_list=lambda texts: ([], re.split(r"\bAND\b", texts[0]), {}),
        get_learned_conditioning_prompt_schedules=schedules,
    )
    return modules


@pytest.fixture
def loaded(a1111):
    """With a checkpoint, whose tokens are words."""

    class Hijack:
        def get_prompt_lengths(self, text):
            return len(words(text)), 75

    a1111("modules.sd_models", model_data=SimpleNamespace(sd_model=SimpleNamespace()))
    a1111("modules.sd_hijack", model_hijack=Hijack())


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("a red fox", 3),
        ("a [red:blue:0.5] fox", 3),
        ("a fox # a note of mine\n<lora:tiny:1>", 2),
        ("a fox AND a very old dog", 4),
        ("", 0),
    ],
)
def test_what_the_encoder_reads_at_once(loaded, prompt, count):
    assert tokens.count(prompt) == count


def test_the_same_without_a_checkpoint(a1111):
    a1111("modules.sd_models", model_data=SimpleNamespace(sd_model=None))
    assert tokens.count("a [red:blue:0.5] fox <lora:x:1> # note") == 3


def test_half_typed_syntax_is_counted_as_it_is(loaded, a1111):
    def fails(*_):
        raise ValueError

    a1111("modules.prompt_parser", get_multicond_prompt_list=fails)
    assert tokens.count("a [fox") == 3


def test_without_any_host():
    assert tokens.count("a fox <lora:x:1>") == 2


@pytest.mark.parametrize(("parser", "count"), [("native", 4), ("compel", 5)])
def test_sdnext_adds_up_what_lies_between_breaks(modules, parser, count):
    class Tokenizer:
        bos_token_id, eos_token_id = 1, 2

        def __call__(self, text):
            return SimpleNamespace(input_ids=[1, *words(text), 2])

    modules("modules.ui_common", tokens_summary=len)
    modules("modules.extra_networks", parse_prompt=lambda text: (text, {}))
    model = SimpleNamespace(tokenizer=Tokenizer())
    modules("modules.sd_models", model_data=SimpleNamespace(sd_model=model))
    modules("modules.shared", opts=SimpleNamespace(prompt_attention=parser))
    modules("modules.prompt_parser")
    assert tokens.count("a fox BREAK a dog") == count
