"""The page of a real WebUI as the browser tests use it: boxes, cards, panel, accordion."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, PATIENCE, launched
from tests.hosts.webui import MODERN, SDNEXT, USER, started

NEEDED = [
    pytest.mark.skipif("WEBUI_DIR" not in os.environ, reason="WEBUI_DIR names no WebUI"),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium"),
]
playwright = pytest.importorskip("playwright.sync_api")
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
