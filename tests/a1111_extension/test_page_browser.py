"""The panel and the page's scripts in a browser; needs no host, but Playwright and a Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest

from a1111_extension.panel import candidates_panel, message_panel, original_panel
from a1111_extension.records import Record
from bp_core.rewriter import Candidate, Result
from tests.browser import CHROMIUM, PATIENCE, launched

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
ROOT = Path(__file__).parents[2]
PROMPT = "a lighthouse, (storm:1.2)"
ADDED = ["oil painting, soft light", "in fog, cinematic", "low sun, calm sea"]
_PAGE = """<!doctype html><meta charset="utf-8"><title>A host's page</title>
<div id="txt2img_toprow"><div id="txt2img_prompt"><textarea></textarea></div>
<button id="txt2img_beautify">wand</button><div id="txt2img_beautify_panel"></div></div>
<div id="img2img_prompt"><textarea></textarea></div>
<div id="html_info_txt2img"></div><button id="txt2img_send_to_img2img">send</button>"""
# ModernUI's column beside the page that it hides; buttons hold one line there.
_MODERN = """<style>button > span {{ height: 1.5em; margin: 0.7em; }}</style>
<div id="tab_sdnext_uiux_core"><div class="xtabs-item" style="width: 240px">
<div class="layout-header"><h2>Prompt</h2><div class="flexbox" id="styles"></div></div>
<div class="split"><div class="portal"></div></div><p id="size">Size</p></div></div>
<div hidden>{page}</div>"""
# What SD.Next's classic page has under its prompts: networks over the right part.
_CLASSIC = """<div style="position: absolute; right: 0; width: 300px; height: 500px; z-index: 9">
networks</div><div id="txt2img_interface" style="width: 500px">settings</div>"""
# What the host does with a click's answer.
_ANSWER = """([html, text]) => {
    document.querySelector("#txt2img_beautify_panel").innerHTML = html;
    beautifulPrompt.finish("txt2img", text);
}"""


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser):
    page = opened(browser, _PAGE)
    yield page
    page.close()


def opened(browser, html):
    """A page of that content with our style and scripts, as once it is loaded."""
    page = browser.new_page(viewport={"width": 800, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.set_content(html)
    page.add_style_tag(content=(ROOT / "style.css").read_text(encoding="utf-8"))
    for name in ("beautifulprompt", "beautifulprompt_edits"):
        script = (ROOT / "javascript" / f"{name}.js").read_text(encoding="utf-8")
        if name == "beautifulprompt":  # the hosts load it before the page is complete
            script = f"window.run = () => {{ {script} }};"
        page.add_script_tag(content=script)
    page.evaluate("run()")
    return page


def box(page, tab="txt2img"):
    return page.locator(f"#{tab}_prompt textarea")


def ask(page):
    """Begin a click; the prompt that the extension is asked to rewrite."""
    value = box(page).input_value()
    return page.evaluate("value => beautifulPrompt.start('txt2img', [value])[0]", value)


def answer(page, original, added=tuple(ADDED)):
    """End a click: candidates for `original`; their texts."""
    texts = [f"{original}, {more}" for more in added]
    candidates = [
        Candidate(text, i, tuple(more.split(", ")), 1.0, (), 12, -1.0, 0.5 - i, 0.1)
        for i, (text, more) in enumerate(zip(texts, added, strict=True))
    ]
    result = Result(original, texts[0], tuple(candidates), dialect="tags")
    html = candidates_panel("txt2img", result, Record(original, "starter", "expand", 7))
    page.evaluate(_ANSWER, [html, texts[0]])
    return texts


def beautified(page, prompt=PROMPT):
    box(page).fill(prompt)
    assert ask(page) == prompt
    return answer(page, prompt)


def taken(page):
    cards = page.locator(".bp-candidate").all()
    return [i for i, card in enumerate(cards) if "bp-taken" in card.get_attribute("class")]


def take(page, number):
    page.locator(".bp-candidate").nth(number).click()


def holds(page, text, tab="txt2img"):
    playwright.expect(box(page, tab)).to_have_value(text, timeout=PATIENCE)
    return True


def test_take_undo_and_restore_with_the_mark_following(page):
    texts = beautified(page)
    assert holds(page, texts[0]) and taken(page) == [0]
    take(page, 2)
    assert holds(page, texts[2]) and taken(page) == [2]
    box(page).press("Control+z")
    assert holds(page, texts[0]) and taken(page) == [0]
    page.click(".bp-restore")
    assert holds(page, PROMPT) and taken(page) == []


def test_what_was_typed_or_clicked_goes_along(page):
    texts = beautified(page)
    box(page).press("Control+End")
    box(page).press_sequentially(", red hat <lora:tiny:1>")
    assert taken(page) == [0], "an edited candidate is still the one taken"
    take(page, 1)
    assert holds(page, f"{texts[1]}, red hat <lora:tiny:1>") and taken(page) == [1]
    page.click(".bp-restore")
    assert holds(page, f"{PROMPT}, red hat <lora:tiny:1>")


def test_an_edited_text_is_asked_for_by_the_artists_part(page):
    beautified(page)
    assert page.locator(".bp-own").is_hidden()
    box(page).press("Control+End")
    box(page).press_sequentially(", red hat")
    own = f"{PROMPT}, red hat"
    assert ask(page) == own, "not the pile"
    texts = answer(page, own)
    assert holds(page, texts[0])
    page.click(".bp-own")
    assert holds(page, own)
    page.click(".bp-restore")
    assert holds(page, PROMPT), "the first original"


def test_words_typed_while_the_model_writes_are_not_thrown_away(page):
    box(page).fill(PROMPT)
    ask(page)
    box(page).press_sequentially(" at night")
    texts = answer(page, PROMPT)
    assert holds(page, f"{PROMPT} at night")
    take(page, 1)
    assert holds(page, f"{texts[1]} at night")


def test_candidates_are_saved_one_a_line_for_prompts_from_file(page):
    beautified(page, "a cat # a comment\non a wall --steps 5")
    with page.expect_download() as download:
        page.click(".bp-save")
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    # With two dashes the host reads a line as options.
    assert lines == [f'--prompt "a cat on a wall --steps 5, {more}"' for more in ADDED]


def test_a_picture_takes_its_own_prompt_to_img2img(page):
    box(page).fill("a harbour")
    told = "a harbour, in fog\nNegative prompt: ugly\nSteps: 2, Beautify original: a harbour"
    page.evaluate("told => document.querySelector('#html_info_txt2img').innerText = told", told)
    page.click("#txt2img_send_to_img2img")
    page.wait_for_timeout(150)
    page.evaluate("document.querySelector('#img2img_prompt textarea').value = 'a harbour'")
    assert holds(page, "a harbour, in fog", "img2img")
    assert holds(page, "a harbour")


def test_an_error_and_a_pasted_picture(page):
    box(page).fill(PROMPT)
    ask(page)
    page.evaluate(_ANSWER, [message_panel("txt2img", "no model here"), ""])
    assert holds(page, PROMPT)
    assert page.locator(".bp-error:not(.bp-no-script)").inner_text() == "no model here"
    assert page.locator(".bp-no-script").is_hidden(), "the script is here"
    page.click(".bp-close")
    assert page.locator(".bp-panel").count() == 0

    text = f"{PROMPT}, {ADDED[0]}"
    box(page).fill(text)
    shown = original_panel("txt2img", Record(PROMPT, "starter", "expand", 7), text)
    page.evaluate("h => document.querySelector('#txt2img_beautify_panel').innerHTML = h", shown)
    page.click(".bp-restore")
    assert holds(page, PROMPT)


def test_in_modern_ui_button_and_panel_come_where_the_prompt_is_moved_to(browser):
    page = opened(browser, _MODERN.format(page=_PAGE))
    page.evaluate("document.querySelector('.portal').append(txt2img_prompt)")
    page.locator("#styles #txt2img_beautify").wait_for()
    ask(page)
    answer(page, PROMPT, ("a very long addition that needs more than one line, " * 3, "in fog"))
    card = page.locator(".xtabs-item > .split + div .bp-candidate").first
    assert card.evaluate("card => [...card.children].every(e => e.scrollHeight <= e.clientHeight)")
    assert card.bounding_box()["width"] <= 240
    below = page.locator(".bp-candidate").last.bounding_box()
    assert below["y"] + below["height"] <= page.locator("#size").bounding_box()["y"]
    page.close()


def test_no_button_of_the_panel_lies_under_sdnexts_networks(browser):
    page = opened(browser, _PAGE + _CLASSIC)
    box(page).fill(PROMPT)
    ask(page)
    answer(page, PROMPT)
    page.click(".bp-candidate >> nth=1")
    page.click(".bp-save")
    page.evaluate("txt2img_interface.style.width = ''")  # the networks were closed
    page.wait_for_function("txt2img_beautify_panel.getBoundingClientRect().width > 700")
    page.close()
