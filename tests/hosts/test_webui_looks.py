"""How button, panel and accordion look in a real WebUI: nothing cut off, unreadable, untranslated.

Needs WEBUI_DIR and a Chromium. WEBUI_SHOTS names a folder for the screenshots.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from a1111_extension.arguments import HELP
from tests.browser import PATIENCE
from tests.conftest import SMALL_WRITER
from tests.hosts import webui_page
from tests.hosts.webui import MODERN, ROOT, SDNEXT, started
from tests.hosts.webui_page import (
    ACCORDION,
    BUTTON,
    PANEL,
    TAB,
    beautified,
    box,
    cards,
    opened,
    playwright,
    show,
)  # fmt: skip
from tests.hosts.webui_skips import LOOKS, translates

pytestmark = webui_page.NEEDED

browser, page, shot = webui_page.browser, webui_page.page, webui_page.shot  # fixtures

# Whether an element is written in red.
RED = """(element) => { const [r, g, b] = getComputedStyle(element).color.match(/[\\d.]+/g);
  return r > 1.5 * g && r > 1.5 * b; }"""
CONTRAST = """(element) => {
  const parts = (text) => {
    const found = text.match(/[\\d.]+/g).map(Number);
    const [r, g, b] = text.startsWith("color(") ? found : found.map((n) => n / 255);
    return [r, g, b].map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); };
  const light = (text) => { const [r, g, b] = parts(text); return 0.2126*r + 0.7152*g + 0.0722*b; };
  const style = (e) => getComputedStyle(e);
  let ground = element;
  while (/, 0\\)$/.test(style(ground).backgroundColor)) ground = ground.parentElement;
  const both = [style(element).color, style(ground).backgroundColor].map(light);
  both.sort((a, b) => a - b);
  return (both[1] + 0.05) / (both[0] + 0.05);
}"""


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_errors_and_refusals_can_be_read(browser, theme):
    page = opened(browser, theme)
    for text, told in (("x" * 8001, "8,001"), ("<lora:tiny:1>", "no words")):
        box(page).fill(text)
        page.click(BUTTON)
        note = page.locator(f"{PANEL} .bp-note:not(.bp-no-script)")
        playwright.expect(note).to_contain_text(told, timeout=PATIENCE)
        assert note.evaluate(CONTRAST) >= 4.5  # WCAG's bar for text
        red = note.locator("span").first.evaluate(RED)
        assert red == (text != "<lora:tiny:1>"), "an error is red, a remark is not"
        assert box(page).input_value() == text
        restore = page.locator(f"{PANEL} .bp-restore")
        assert not restore.is_visible(), "nothing was written that could be taken back"
    page.close()


def test_what_is_written_is_shown_meanwhile(page):
    """With a model that writes word by word: the bundled one is done at once."""
    running = started()
    shutil.copytree(SMALL_WRITER, running.models / SMALL_WRITER.name)
    beautified(page)
    show(page, "scripts")
    model = page.locator(f"#script_{TAB}_beautify_model input").first
    try:
        if not model.is_visible():
            page.locator(f"{ACCORDION} .label-wrap").first.click()
        more = page.locator(f"#script_{TAB}_beautify_get_model > .label-wrap")
        more.click()
        page.click(f"#script_{TAB}_beautify_refresh")
        more.click()
        page.wait_for_timeout(2000)
        choose(page, model, SMALL_WRITER.name)
        show(page, "prompts")
        box(page).fill("a quiet harbour")
        # Each stage lasts a moment.
        page.evaluate(
            """(panel) => { window.seen = []; new MutationObserver(() => {
              const title = document.querySelector(`${panel} .bp-title`)?.innerText ?? "";
              if (/token/.test(title)) seen.push(document.querySelector(panel).innerText);
            }).observe(document.querySelector(panel), { childList: true, subtree: true }); }""",
            PANEL,
        )
        page.click(BUTTON)
        title = page.locator(f"{PANEL} .bp-title")
        playwright.expect(title).to_contain_text(SMALL_WRITER.name, timeout=PATIENCE)
        assert any("… " in text for text in page.evaluate("() => seen"))
        assert not page.locator(".bp-busy").count()
    finally:
        show(page, "scripts")
        choose(page, model, "starter")
        show(page, "prompts")


def choose(page, dropdown, name):
    """Take an entry of one of the host's dropdowns."""
    dropdown.click()
    dropdown.fill(name)
    dropdown.press("Enter")
    playwright.expect(dropdown).to_have_value(name)


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
    # The help of a box that is ticked stands beneath its name, as everywhere else.
    for name in ("each", "auto"):
        around = page.locator(f"#script_{TAB}_beautify_{name}")
        label, info = around.locator("label"), around.get_by_text(HELP[name])
        assert label.bounding_box()["y"] < info.bounding_box()["y"]
    more = page.locator(f"#script_{TAB}_beautify_get_model > .label-wrap")
    more.click()
    model = page.locator(f"#script_{TAB}_beautify_download_name input").first
    model.wait_for()
    shot("get-model", ACCORDION)
    # ModernUI's column is narrower than a model's name.
    if not MODERN and not model.evaluate("input => input.scrollWidth <= input.clientWidth"):
        clipped.append(model.input_value())
    more.click()
    show(page, "prompts")
    assert clipped == []


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
        box(page).fill("雪中的狐狸")
        page.click(BUTTON)
        playwright.expect(panel).to_contain_text(
            "提示词似乎是中文，而此模型只读英文", timeout=PATIENCE
        )
    page.close()


@translates
def test_the_host_offers_our_chinese(page):
    offered = page.evaluate(
        "() => gradio_config.components.find("
        "c => c.props.elem_id === 'setting_localization').props.choices.flat()"
    )
    assert "zh_CN" in offered


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
