"""An artist at a real WebUI: click, choose, restore, generate. Needs WEBUI_DIR and a Chromium.

WEBUI_SHOTS names a folder for the screenshots that the documentation shows.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.hosts.webui import started

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif("WEBUI_DIR" not in os.environ, reason="WEBUI_DIR names no WebUI"),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium"),
]
PROMPT = "a lighthouse at dusk, (storm clouds:1.2)"
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A loaded machine takes its time.
_PATIENCE = 120_000  # milliseconds


@pytest.fixture(scope="module")
def page():
    running = started()
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(_PATIENCE)
        page.goto(f"{running.url}/?__theme=dark")
        page.wait_for_selector("#txt2img_prompt textarea")
        page.wait_for_selector("#txt2img_beautify")
        yield page
        browser.close()


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


def box(page, tab="txt2img"):
    return page.locator(f"#{tab}_prompt textarea")


def cards(page, tab="txt2img"):
    return page.locator(f"#{tab}_beautify_panel .bp-candidate")


def until(page, text, tab="txt2img"):
    """Wait until the prompt box holds `text`."""
    playwright.expect(box(page, tab)).to_have_value(text, timeout=_PATIENCE)


def test_click_choose_restore_generate(page, shot):
    box(page).fill(PROMPT)
    page.click("#txt2img_beautify")
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
    page.click("#txt2img_beautify_panel .bp-restore")
    until(page, PROMPT)
    cards(page).nth(1).click()
    until(page, second)

    page.locator("#txt2img_width input[type=number]").fill("64")
    page.locator("#txt2img_height input[type=number]").fill("64")
    page.locator("#txt2img_steps input[type=number]").fill("2")
    page.click("#txt2img_generate")
    told = page.locator("#html_info_txt2img").first
    told.get_by_text("Beautify original").wait_for()
    assert second in told.inner_text()


def test_a_second_click_offers_others(page):
    if cards(page).count():
        page.click("#txt2img_beautify_panel .bp-close")
    box(page).fill(PROMPT)
    found = set()
    for _ in range(2):
        page.click("#txt2img_beautify")
        page.wait_for_function(
            "known => { const c = document.querySelector('#txt2img_beautify_panel .bp-candidate');"
            " return c && !known.includes(c.dataset.text); }",
            arg=list(found),
        )
        found.add(cards(page).first.get_attribute("data-text"))
        until(page, cards(page).first.get_attribute("data-text"))
    assert len(found) == 2 and all(text.startswith(PROMPT) for text in found)


def test_pasting_a_picture_back_offers_its_original_and_switches_us_off(page):
    infotext = (
        f"{PROMPT}, oil painting\nSteps: 2, Sampler: Euler, CFG scale: 5, Seed: 4, Size: 64x64, "
        f'Beautify original: "{PROMPT}", Beautify model: starter, Beautify mode: expand, '
        "Beautify seed: 4, Version: 1"
    )
    page.locator("#txt2img_beautify_panel .bp-close").click()
    when = page.locator("#script_txt2img_beautify_when")
    page.locator("#script_txt2img_beautify_accordion").click()
    when.get_by_text("Always").click()
    box(page).fill(infotext)
    page.locator("#txt2img_tools #paste").click()
    until(page, f"{PROMPT}, oil painting")
    assert when.locator("input[value=Off]").is_checked()
    page.click("#txt2img_beautify_panel .bp-restore")
    until(page, PROMPT)


def test_the_accordion(page, shot):
    accordion = page.locator("#script_txt2img_beautify_accordion")
    accordion.scroll_into_view_if_needed()
    assert accordion.get_by_text("Beautify before sampling").is_visible()
    shot("accordion", "#script_txt2img_beautify_accordion")


def test_a_download_that_fails_says_why(page):
    """The host was started with the hub switched off."""
    page.click("#script_txt2img_beautify_download")
    told = page.locator("#script_txt2img_beautify_download_progress")
    told.get_by_text("HF_HUB_OFFLINE").wait_for()


def test_img2img_has_its_own_button(page):
    # In Forge its name begins with a capital: not `exact`.
    page.locator("#tabs > .tab-nav > button").get_by_text("img2img").first.click()
    box(page, "img2img").fill("a red door")
    page.click("#img2img_beautify")
    cards(page, "img2img").first.wait_for()
    until(page, cards(page, "img2img").first.get_attribute("data-text"), "img2img")
    page.click("#img2img_beautify_panel .bp-restore")
    until(page, "a red door", "img2img")
