"""A person at the web page, in a real browser. Needs gradio 6, Playwright and a Chromium.

WEB_SHOTS names a folder for screenshots.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from bp_core.errors import Cancelled
from bp_core.rewriter import Rewriter
from tests.browser import CHROMIUM, PATIENCE, launched

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("gradio", minversion="6")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
START = "a lighthouse at dusk"
PROMPT = f"{START} <lora:moody:0.8>"


class Gate:
    """The bundled rewriter, with a gate before each token that a test can shut."""

    def __init__(self) -> None:
        self.rewriter, self.open = Rewriter.load(), threading.Event()
        self.calls = self.stopped = 0
        self.open.set()

    def __call__(self, prompt, *, on_progress, **settings):
        self.calls += 1

        def told(progress):
            while not self.open.wait(0.05):
                on_progress(progress)
            on_progress(progress)

        try:
            return self.rewriter(prompt, on_progress=told, **settings)
        except Cancelled:
            self.stopped += 1
            raise


@pytest.fixture(scope="module")
def site():
    """The served page, its gate, and a browser."""
    from bp_core.web import serve

    gate = Gate()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    blocks = serve(gate, "127.0.0.1", port, wait=False)
    with launched() as browser:
        yield SimpleNamespace(gate=gate, browser=browser, url=f"http://127.0.0.1:{port}")
    blocks.close()


@contextmanager
def visit(site, theme="light", width=1280):
    """A fresh tab of a fresh visitor."""
    context = site.browser.new_context(
        viewport={"width": width, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.asked = []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(f"{site.url}/?__theme={theme}")
    button(tab).wait_for()
    yield tab
    context.close()


def shoot(tab, name):
    if folder := os.environ.get("WEB_SHOTS"):
        tab.screenshot(path=Path(folder) / f"web-{name}.png", full_page=True)


def button(tab, name="Beautify"):
    return tab.get_by_role("button", name=name, exact=True)


def field(tab, label="Prompt"):
    return tab.get_by_label(label, exact=True)


def toast(tab):
    return tab.locator(".toast-body")


def result(tab):
    return tab.locator("#bp-best textarea")


def until(tab, text):
    playwright.expect(result(tab)).to_have_value(text, timeout=PATIENCE)


def best(tab, start):
    """The best text, once it begins with `start`."""
    until(tab, re.compile("^" + re.escape(start)))
    return result(tab).input_value()


def waits(condition):
    for _ in range(PATIENCE // 50):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("nothing happened")


@pytest.mark.parametrize(
    "theme, width", [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]
)
def test_write_click_copy(site, theme, width):
    with visit(site, theme, width) as tab:
        field(tab).fill(PROMPT)
        button(tab).click()
        text = best(tab, START)
        cards = tab.locator(".bp-candidate")
        assert text != PROMPT and cards.count() > 1 and cards.locator("mark").count() > 1
        second = cards.nth(1).get_by_role("button")
        second.click()
        playwright.expect(second).to_have_text("Copied")
        copied = tab.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(START) and copied != text
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # What the page loads is its own: nobody else learns of a prompt.
        assert all(url.startswith((site.url, "data:", "blob:")) for url in tab.asked)
        assert toast(tab).count() == 0
        shoot(tab, f"{theme}-{width}")


def test_other_settings_and_cleared_number_boxes(site):
    with visit(site) as tab:
        field(tab).fill("a fox in the snow")
        tab.get_by_text("Sentences (Flux", exact=False).click()
        for box in ("Candidates (1 to 16)", "Seed"):
            field(tab, box).fill("")
        button(tab).click()
        best(tab, "a fox in the snow")
        assert tab.locator(".bp-candidate").count() > 1 and toast(tab).count() == 0


@pytest.mark.parametrize(
    "name, prompt, told",
    [
        ("empty", "", "no words"),
        ("long", "a fox, " * 1500, "the prompt has 10500 characters: use 8000"),
        ("near-the-bound", "a fox, " * 1100, ""),
        ("script", "雪中的狐狸", "reads English only"),
    ],
)
def test_odd_prompts_end_in_a_line_or_a_result(site, name, prompt, told):
    with visit(site) as tab:
        field(tab).fill(prompt)
        button(tab).click()
        answer = tab.locator(".toast-body, .bp-answer")
        answer.first.wait_for()
        assert told in answer.first.inner_text()
        assert field(tab).input_value() == prompt
        shoot(tab, name)


def test_what_cannot_be_done_is_told_over_the_results_that_stay(site):
    with visit(site) as tab:
        field(tab).fill("a fox")
        button(tab).click()
        text = best(tab, "a fox")
        field(tab, "Candidates (1 to 16)").fill("99")
        button(tab).click()
        toast(tab).wait_for()
        assert "ask for 1 to 16" in toast(tab).inner_text()
        shoot(tab, "told")
        assert result(tab).is_visible() and result(tab).input_value() == text
        assert tab.get_by_text("Error", exact=True).count() == 0


def test_cancel_and_a_second_click_while_it_runs(site):
    with visit(site) as tab:
        field(tab).fill("a fox")
        button(tab).click()
        text = best(tab, "a fox")
        site.gate.open.clear()
        calls, stopped = site.gate.calls, site.gate.stopped
        try:
            field(tab).fill("a cat")
            button(tab).click()
            waits(lambda: site.gate.calls == calls + 1)
            button(tab).click()
            shoot(tab, "running")
            button(tab, "Cancel").click()
            waits(lambda: site.gate.stopped == stopped + 1)
        finally:
            site.gate.open.set()
        tab.wait_for_timeout(1000)
        shoot(tab, "cancelled")
        assert site.gate.calls == calls + 1
        assert result(tab).input_value() == text and toast(tab).count() == 0
        button(tab).click()
        best(tab, "a cat")


def test_two_tabs_each_get_their_own_and_cancel_only_it(site):
    with visit(site) as one, visit(site) as two:
        site.gate.open.clear()
        calls = site.gate.calls
        try:
            field(one).fill("a fox")
            button(one).click()
            waits(lambda: site.gate.calls == calls + 1)
            field(two).fill("a cat")
            button(two).click()
            two.wait_for_timeout(1000)  # it waits in the queue
            shoot(two, "queue")
            button(two, "Cancel").click()
            two.wait_for_timeout(1000)
            button(two).click()
        finally:
            site.gate.open.set()
        best(one, "a fox")
        best(two, "a cat")
        assert toast(one).count() == toast(two).count() == 0
