"""An artist at a real WebUI: click, choose, restore, generate. Needs WEBUI_DIR and a Chromium.

WEBUI_SHOTS names a folder for the screenshots that the documentation shows.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser import PATIENCE
from tests.hosts import webui_page
from tests.hosts.webui import MODERN, SDNEXT
from tests.hosts.webui_page import (
    ACCORDION,
    BUTTON,
    LORA,
    PANEL,
    PROMPT,
    TAB,
    append,
    beautified,
    box,
    cards,
    infotext,
    opened,
    playwright,
    show,
    switched_on,
    taken,
    until,
)  # fmt: skip
from tests.hosts.webui_skips import sends

pytestmark = webui_page.NEEDED

browser, page, shot = webui_page.browser, webui_page.page, webui_page.shot  # fixtures


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


def test_a_download_that_fails_says_why(page):
    """The host was started with the hub switched off."""
    show(page, "scripts")
    models = page.locator(f"#script_{TAB}_beautify_get_model > .label-wrap")
    if not models.is_visible():
        page.locator(f"{ACCORDION} .label-wrap").first.click()
    models.click()
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
