"""An artist at a real WebUI: click, choose, restore, generate. Needs WEBUI_DIR and a Chromium.

WEBUI_SHOTS names a folder for the screenshots that the documentation shows.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, PATIENCE, launched
from tests.hosts.webui import MODERN, ROOT, SDNEXT, USER, started
from tests.hosts.webui_skips import LOOKS, sends, translates

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.skipif("WEBUI_DIR" not in os.environ, reason="WEBUI_DIR names no WebUI"),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium"),
]
PROMPT = "a lighthouse at dusk, (storm clouds:1.2)"
TAB = "control" if MODERN else "txt2img"
BUTTON, PANEL = f"#{TAB}_beautify", f"#{TAB}_beautify_panel"
ACCORDION = f"#script_{TAB}_beautify_accordion"
LORA = r"<lora:tiny:1(\.0)?>"
SLOW = 5 * PATIENCE  # SD.Next's page has ten thousand elements


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser):
    return opened(browser)


def opened(browser, theme="dark", width=1280, before=lambda page: None):
    """The host's page once it is ready; `before` may prepare it."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(SLOW if SDNEXT else PATIENCE)
    before(page)
    running = started()
    if SDNEXT:
        user, _, password = USER.partition(":")
        page.request.post(f"{running.url}/login", form={"username": user, "password": password})
    page.goto(f"{running.url}/?__theme={theme}")
    page.wait_for_selector(f"#{TAB}_prompt textarea")
    page.wait_for_selector(BUTTON)
    page.wait_for_timeout(2000)  # the host's own scripts prepare the page behind that
    return page


def beautified(page, prompt=PROMPT):
    """The box's text after a click on the button, with new cards under it."""
    if cards(page).count():
        page.click(f"{PANEL} .bp-close")
    box(page).fill(prompt)
    page.click(BUTTON)
    cards(page).first.wait_for()
    best = cards(page).first.get_attribute("data-text")
    until(page, best)
    return best


def show(page, part):
    """Turn to a part of ModernUI's column: "prompts" or "scripts"; other pages show both."""
    if MODERN:
        page.click(f"#{TAB}_{part}")


def switched_on(page):
    """The accordion's checkbox, checked."""
    switch = page.locator(f"{ACCORDION}-visible-checkbox")
    show(page, "scripts")
    if SDNEXT:  # hides it: who opens an accordion switches it on
        page.locator(f"{ACCORDION} .label-wrap").first.click()
        playwright.expect(switch).to_be_checked()
    else:
        switch.check()
    show(page, "prompts")
    return switch


def append(page, text):
    """Type `text` behind all that is in the box."""
    box(page).press("Control+End")
    box(page).press_sequentially(text)


def taken(page):
    """Numbers of the cards that are marked as taken."""
    marked = [card.get_attribute("class") for card in cards(page).all()]
    return [i for i, name in enumerate(marked) if "bp-taken" in name]


@pytest.fixture
def shot(page, tmp_path):
    """Function that keeps a screenshot of an element, or of the page."""
    folder = Path(os.environ.get("WEBUI_SHOTS", tmp_path))

    def shoot(name, selector=None):
        page.wait_for_timeout(2000)  # the host's own token counter follows late
        path = folder / f"webui-{name}.png"
        if selector:
            page.locator(selector).screenshot(path=path)
        else:
            page.screenshot(path=path, clip={"x": 0, "y": 90, "width": 1280, "height": 580})

    return shoot


def box(page, tab=TAB):
    return page.locator(f"#{tab}_prompt textarea")


def cards(page, tab=TAB):
    return page.locator(f"#{tab}_beautify_panel .bp-candidate")


def infotext(page, needed):
    """What the page, or the file of the picture that it shows, tells once it holds `needed`."""
    if MODERN:  # shows a picture's text nowhere
        picture = page.locator(f"#{TAB}_gallery img").first
        text = page.request.get(picture.get_attribute("src")).body().decode(errors="replace")
        assert needed in text
        return text
    told = page.locator(f"#html_info_{TAB}").first  # hidden in SD.Next, which shows its parts
    playwright.expect(told).to_contain_text(needed, timeout=PATIENCE)
    return told.inner_text()


def until(page, text, tab=TAB):
    """Wait until the prompt box holds `text`."""
    playwright.expect(box(page, tab)).to_have_value(text, timeout=PATIENCE)


def test_click_choose_restore_generate(page, shot):
    box(page).fill(PROMPT)
    page.click(BUTTON)
    cards(page).first.wait_for()
    best = cards(page).first.get_attribute("data-text")
    until(page, best)
    assert best.startswith(PROMPT) and best != PROMPT
    assert cards(page).count() == 4
    assert cards(page).first.locator("mark").count() > 0
    shot("candidates")

    second = cards(page).nth(1).get_attribute("data-text")
    cards(page).nth(1).click()
    until(page, second)
    assert "bp-taken" in cards(page).nth(1).get_attribute("class")

    box(page).press("Control+z")
    until(page, best)
    page.click(f"{PANEL} .bp-restore")
    until(page, PROMPT)
    cards(page).nth(1).click()
    until(page, second)

    size = f"#{TAB}_before_resize" if MODERN else f"#{TAB}"
    page.locator(f"{size}_width input[type=number]").fill("64")
    page.locator(f"{size}_height input[type=number]").fill("64")
    show(page, "params_sampler")
    page.locator(f"#{TAB}_steps input[type=number]").fill("2")
    show(page, "prompts")
    page.click(f"#{TAB}_generate")
    assert second in infotext(page, "Beautify original")


def test_a_second_click_offers_others(page):
    if cards(page).count():
        page.click(f"{PANEL} .bp-close")
    box(page).fill(PROMPT)
    found = set()
    for _ in range(2):
        page.click(BUTTON)
        page.wait_for_function(
            "([known, panel]) => { const c = document.querySelector(`${panel} .bp-candidate`);"
            " return c && !known.includes(c.dataset.text); }",
            arg=[list(found), PANEL],
        )
        found.add(cards(page).first.get_attribute("data-text"))
        until(page, cards(page).first.get_attribute("data-text"))
    assert len(found) == 2 and all(text.startswith(PROMPT) for text in found)


def test_pasting_a_picture_back_offers_its_original_and_switches_us_off(page):
    taken_from = (
        f"{PROMPT}, oil painting\nSteps: 2, Sampler: Euler, CFG scale: 5, Seed: 4, Size: 64x64, "
        f'Beautify original: "{PROMPT}", Beautify model: starter, Beautify mode: expand, '
        "Beautify seed: 4, Version: 1"
    )
    page.locator(f"{PANEL} .bp-close").click()
    switch = switched_on(page)
    box(page).fill(taken_from)
    page.locator(f"#{TAB}_paste" if SDNEXT else "#txt2img_tools #paste").click()
    until(page, f"{PROMPT}, oil painting")
    playwright.expect(switch).not_to_be_checked()
    page.click(f"{PANEL} .bp-restore")
    until(page, PROMPT)


def test_what_was_typed_since_is_never_thrown_away(page):
    best = beautified(page)
    append(page, ", red hat")
    assert taken(page) == [0], "an edited candidate is still the one taken"
    cards(page).nth(1).click()
    until(page, cards(page).nth(1).get_attribute("data-text") + ", red hat")
    assert taken(page) == [1]
    box(page).press("Control+z")
    until(page, f"{best}, red hat")
    assert taken(page) == [0], "the mark follows what is undone"
    page.click(f"{PANEL} .bp-restore")
    until(page, f"{PROMPT}, red hat")
    assert taken(page) == []


def test_a_lora_card_clicked_since_stays(page):
    beautified(page)
    tabs = page.locator(f"#{TAB}_extra_tabs > .tab-nav > button")
    tabs.get_by_text("Lora", exact=True).click()
    try:
        page.locator(f"#{TAB}_lora_cards .card[data-name=tiny]").first.click()
        playwright.expect(box(page)).to_have_value(re.compile(LORA))
        third = cards(page).nth(2).get_attribute("data-text")
        cards(page).nth(2).click()
        # A card may bring words of its own behind its tag.
        text = re.compile(re.escape(third) + " +" + LORA + ".*")
        playwright.expect(box(page)).to_have_value(text, timeout=PATIENCE)
    finally:
        tabs.first.click()


def test_an_edited_text_is_rewritten_from_the_artists_part(page):
    best = beautified(page)
    append(page, ", red hat")
    page.click(BUTTON)
    panel = page.locator(f"{PANEL} .bp-panel")
    own = f"{PROMPT}, red hat"
    playwright.expect(panel).to_have_attribute("data-original", own, timeout=PATIENCE)
    texts = [card.get_attribute("data-text") for card in cards(page).all()]
    until(page, texts[0])
    assert all(text.startswith(own) and best not in text for text in texts)
    page.click(f"{PANEL} .bp-own")
    until(page, own)
    page.click(f"{PANEL} .bp-restore")
    until(page, PROMPT)


def test_tokens_are_those_of_the_hosts_counter(page):
    beautified(page, "a [red:blue:0.5] fox AND a very long dog in the deep snow <lora:tiny:1>")
    told = cards(page).first.locator(".bp-facts b").last.text_content()
    counter = page.locator(f"#{TAB}_token_counter").first  # gradio may give its frame the same id
    # It follows late, and gradio 4 drops a count that is asked for while another one is made.
    page.wait_for_function(
        "([area, counter, told]) => area.dispatchEvent(new Event('input', { bubbles: true }))"
        " && counter.innerText.trim() === told",
        arg=[box(page).element_handle(), counter.element_handle(), told],
        polling=3000,
    )


def test_candidates_are_saved_as_prompts_from_file_reads_them(page):
    beautified(page)
    with page.expect_download() as download:
        page.click(f"{PANEL} .bp-save")
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines == [card.get_attribute("data-text") for card in cards(page).all()]


def test_cards_have_the_whole_width_and_the_button_a_sign_of_its_own(page):
    beautified(page)
    part = "interface" if SDNEXT else "toprow"  # SD.Next's networks cover a part of its page
    around = f"#{TAB}_prompts_tabitem .split" if MODERN else f"#{TAB}_{part}"
    row = page.locator(around).first.bounding_box()
    card, button = cards(page).first, page.locator(BUTTON)
    assert 0.95 * row["width"] < card.bounding_box()["width"] <= row["width"]
    assert card.evaluate("card => [...card.children].every(e => e.scrollHeight <= e.clientHeight)")
    if MODERN:  # a narrow column does not cut it off
        place = button.bounding_box()
        assert place["x"] + place["width"] <= row["x"] + row["width"]
    upscale = page.locator(f"#{TAB}_upscale")
    assert not upscale.count() or button.inner_text() != upscale.inner_text()


@sends
def test_a_picture_takes_its_own_prompt_to_img2img(page):
    switch = switched_on(page)
    box(page).fill("a quiet harbour")
    page.click(f"#{TAB}_generate")
    told = infotext(page, "a quiet harbour, ").strip()
    prompt = re.split(r"\n(?:Negative prompt|Steps): ", told)[0].strip()
    assert prompt.startswith("a quiet harbour, ")
    assert box(page).input_value() == "a quiet harbour", "the box keeps what was typed"
    page.click(f"#{TAB}_send_to_img2img")
    until(page, prompt, "img2img")
    page.locator("#tabs > .tab-nav > button").get_by_text("txt2img").first.click()
    switch.uncheck()


def test_the_accordion(page, shot):
    accordion = page.locator(ACCORDION)
    mode = page.locator(f"#script_{TAB}_beautify_mode")
    show(page, "scripts")
    if not mode.is_visible():
        accordion.locator(".label-wrap").first.click()
    mode.wait_for()
    accordion.scroll_into_view_if_needed()
    shot("accordion", ACCORDION)
    assert accordion.get_by_text("expand writes on behind your text").is_visible()
    # An accordion's head is a button in gradio 4, whose turned arrow stands over its edge.
    names = "label > span, .label-wrap > span:not(.icon), button:not(.label-wrap)"
    clipped = accordion.locator(names).evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth)"
        ".map(e => e.innerText)"
    )
    show(page, "prompts")
    assert clipped == []


@pytest.mark.skipif(MODERN, reason="ModernUI hides what the page's script has not placed")
def test_without_our_script_the_button_still_works_and_says_what_is_missing(browser):
    page = opened(
        browser, before=lambda page: page.route("**/beautifulprompt*.js*", lambda r: r.abort())
    )
    box(page).fill(PROMPT)
    page.click(BUTTON)
    cards(page).first.wait_for()
    until(page, cards(page).first.get_attribute("data-text"))
    assert page.locator(f"{PANEL} .bp-no-script").is_visible()
    page.close()


@pytest.mark.parametrize("look", LOOKS)
def test_other_looks(browser, look, tmp_path):
    """Light, on a narrow page, and in Chinese, as the host's own localization shows it."""
    chinese = json.loads((ROOT / "localizations" / "zh_CN.json").read_text(encoding="utf-8"))

    def before(page):
        if look == "chinese":
            page.add_init_script(
                "Object.defineProperty(window, 'localization', "
                f"{{ get: () => ({json.dumps(chinese)}), set: () => {{}} }})"
            )

    folder = Path(os.environ.get("WEBUI_SHOTS", tmp_path))
    width = 480 if look == "narrow" else 1280
    page = opened(browser, "light" if look == "light" else "dark", width, before)
    beautified(page)
    panel = page.locator(PANEL).first
    panel.scroll_into_view_if_needed()
    page.screenshot(path=folder / f"webui-{look}.png")
    assert panel.bounding_box()["width"] <= width
    accordion = page.locator(ACCORDION)
    show(page, "scripts")
    accordion.locator(".label-wrap").first.click()
    page.locator(f"#script_{TAB}_beautify_mode").wait_for()
    accordion.screenshot(path=folder / f"webui-accordion-{look}.png")
    if look == "chinese":
        for where, text in ((panel, "恢复原文"), (panel, "词元"), (accordion, "扩写：在原文")):
            playwright.expect(where.get_by_text(text).first).to_be_visible()
    page.close()


@translates
def test_the_host_offers_our_chinese(page):
    offered = page.evaluate(
        "() => gradio_config.components.find("
        "c => c.props.elem_id === 'setting_localization').props.choices.flat()"
    )
    assert "zh_CN" in offered


def test_a_download_that_fails_says_why(page):
    """The host was started with the hub switched off."""
    show(page, "scripts")
    page.click(f"#script_{TAB}_beautify_get_model > .label-wrap")
    page.click(f"#script_{TAB}_beautify_download")
    told = page.locator(f"#script_{TAB}_beautify_download_progress")
    told.get_by_text("HF_HUB_OFFLINE").wait_for()
    show(page, "prompts")


@pytest.mark.skipif(MODERN, reason="ModernUI's one tab of both kinds is the Control tab")
def test_img2img_has_its_own_button(page):
    # In Forge its name begins with a capital: not `exact`.
    name = "Image" if SDNEXT else "img2img"
    page.locator("#tabs > .tab-nav > button").get_by_text(name).first.click()
    box(page, "img2img").fill("a red door")
    page.click("#img2img_beautify")
    cards(page, "img2img").first.wait_for()
    until(page, cards(page, "img2img").first.get_attribute("data-text"), "img2img")
    page.click("#img2img_beautify_panel .bp-restore")
    until(page, "a red door", "img2img")
