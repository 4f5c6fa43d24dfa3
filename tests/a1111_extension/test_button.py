"""A click fills panel and box; a second one asks for others; an error is told in the panel."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from a1111_extension import hook
from a1111_extension.button import GLYPH, Button
from a1111_extension.streaming import handler, stream
from bp_core.errors import ModelError


@pytest.fixture
def button(app):
    gr = SimpleNamespace(update=lambda **fields: fields, __version__="3.41.2")
    return Button(app, gr, None, None, queued=True)


def click(button, prompt, *values):
    return list(button.click("txt2img", prompt, values))[-1]


def test_a_click_rewrites_the_box(button, writer):
    panel, text = click(button, "a cat", "Off", "expand", "starter", 3, 7)
    assert text == "a cat, tail 7 0"
    assert panel["visible"] and panel["value"].count("bp-candidate") == 3
    assert writer.calls[0][2]["accept"] == "always"


def test_a_second_click_starts_from_the_original(button, writer):
    _, text = click(button, "a cat")
    click(button, text)
    assert [prompts for prompts, _, _ in writer.calls] == [["a cat"], ["a cat"]]
    assert writer.calls[0][1] != writer.calls[1][1], "another seed"


def test_what_the_button_wrote_is_told_in_the_picture_and_not_rewritten(button, app, job, writer):
    _, text = click(button, "a cat", "Off", "expand", "starter", 3, 7)
    other = "a cat, tail 7 2"
    for prompt in (text, other):
        p = job(prompt=prompt)
        hook.process(app, p, ["Always"])
        assert p.all_prompts == [prompt]
        assert p.infotext(0)["Beautify original"] == "a cat"
    assert len(writer.calls) == 1


@pytest.mark.parametrize("error", [ModelError("truncated <file>"), RuntimeError("boom")])
def test_an_error_is_told_and_the_box_stays(button, writer, error):
    writer.error = error
    panel, text = click(button, "a cat")
    assert text == "" and "bp-error" in panel["value"] and "<file>" not in panel["value"]


def test_endless_prompts_are_refused(button, writer):
    panel, text = click(button, "a" * 9000)
    assert text == "" and not writer.calls
    assert "has 9,000 characters" in re.sub("<[^>]+>", "", panel["value"])


def test_a_pasted_infotext_offers_its_original(button, app, job):
    parameters = {"Prompt": "a cat, soft", "Beautify original": "a cat", "Beautify seed": "7"}
    assert 'data-original="a cat"' in button.pasted("txt2img", parameters)["value"]
    assert button.pasted("txt2img", {"Prompt": "a dog"}) == {"value": "", "visible": False}
    p = job(prompt="a cat, soft")
    hook.process(app, p, ["Always"])
    assert p.all_prompts == ["a cat, soft"], "it was rewritten once already"


def test_streams_end_with_the_result():
    def work(tell):
        tell("a")
        return "end"

    assert list(stream(work, str))[-1] == "end"

    def fails(tell):
        raise ValueError("why")

    assert list(stream(fails, str)) == ["why"]


def test_without_a_queue_only_the_end_is_shown():
    def generator(x):
        yield "some"
        yield x

    assert handler(generator, True) is generator
    assert handler(generator, False)("all") == "all"


def test_a_pasted_panel_tells_what_the_box_holds(button):
    parameters = {"Prompt": "a cat, soft", "Beautify original": "a cat"}
    assert 'data-written="a cat, soft"' in button.pasted("txt2img", parameters)["value"]


def test_the_sign_is_not_the_upscalers():
    assert GLYPH != "✨"
