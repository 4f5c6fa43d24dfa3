"""A reader at the voting page, in a real browser. Needs Playwright and a Chromium.

VOTE_SHOTS names a folder for screenshots.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from bp_core.score.preference import FILE
from bp_core.score.text_reward import TextReward
from tests.browser import CHROMIUM, PATIENCE, launched
from train import evaluate, preference, reward
from train.compare.votes import count, read_votes

pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
PROMPTS = [
    "a cat in the garden", "a lighthouse at dusk", "two cats <on> a sofa & a lamp", "oil painting",
    "a moody sea", "portrait of a sailor", "a red bicycle", "a snowy village", "girl, silver hair",
    "a bowl of soup",
]  # fmt: skip
TAILS = {
    "ours": ", rust-red roof, tall shelves, scattered open books, a green lamp, low viewpoint",
    "theirs": ", 8k, trending, highly detailed",
    "big": ", dust in the last sun from a high window, and a green lamp over the open atlas",
}
KEYS = {"left": "ArrowLeft", "right": "ArrowRight", "equal": "ArrowUp"}


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


def ballot(folder, *more, tails=TAILS):
    for name, tail in tails.items():
        rows = [{"prompt": p, "text": p + tail, "dialect": "tags"} for p in PROMPTS]
        lines = "\n".join(map(json.dumps, rows))
        (folder / f"{name}.jsonl").write_text(lines + "\n", encoding="utf-8")
    files = [f"{name}={folder / name}.jsonl" for name in tails]
    evaluate.main(["--blind", *files, "--out", str(folder / "blind"), *more])
    return folder / "blind/vote.html"


def visit(browser, path, scheme="light", width=1100):
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, accept_downloads=True
    )
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.told = []
    tab.on("pageerror", lambda error: tab.told.append(str(error)))
    tab.on("console", lambda line: tab.told.append(line.text) if line.type == "error" else None)
    tab.on("request", lambda request: tab.told.append(request.url) if "file:" not in
           request.url and not request.url.startswith(("data:", "blob:")) else None)  # fmt: skip
    tab.goto(path.resolve().as_uri())
    return tab


def shoot(tab, name):
    if folder := os.environ.get("VOTE_SHOTS"):
        tab.screenshot(path=Path(folder) / f"vote-{name}.png")


def done(tab):
    return int(tab.locator("#done").inner_text().split()[0])


def better(tab):
    """The side whose text a lover of concrete nouns keeps."""
    left, right = tab.locator(".shown").all_inner_texts()
    score = [("8k" not in text) + ("rust-red" in text) for text in (left, right)]
    return "left" if score[0] > score[1] else "right"


def test_thirty_votes_by_clicks_and_keys_exported_and_learned_from(
    browser, tmp_path, dialect_writer, capsys
):
    path = ballot(tmp_path)
    # Nothing in the page says who wrote what.
    assert not re.search(r"ours|theirs", path.read_text(encoding="utf-8"))
    tab = visit(browser, path)
    assert tab.locator("#done").inner_text() == "0 of 30"
    assert tab.locator("#undo").is_disabled() and tab.locator("#export").is_disabled()
    tab.locator("#reader").fill("Ann ab1")  # its keys are no votes
    assert done(tab) == 0
    shoot(tab, "first")
    tab.locator("h1").click()
    for number in range(30):
        side = better(tab)
        if number == 3:  # taken back, and voted anew
            tab.keyboard.press("ArrowUp")
            tab.keyboard.press("Backspace")
            assert done(tab) == 3
        if number == 12:  # the browser was closed
            tab.reload()
            assert done(tab) == 12 and tab.locator("#reader").input_value() == "Ann ab1"
            assert better(tab) == side
        good, bad = ("4", "7") if side == "left" else ("9", "2")
        if number % 2:
            for key in (good, bad, "b" if side == "left" else "a"):
                tab.keyboard.press(key)
            tab.keyboard.press("ArrowUp" if number == 29 else KEYS[side])
        else:
            card = {"left": 0, "right": 1}
            cards = tab.locator(".card")
            other = cards.nth(1 - card[side])
            if not other.locator("[aria-pressed=true]").count():
                cards.nth(card[side]).get_by_text("4", exact=True).click()
                other.get_by_text("2", exact=True).click()
                other.get_by_text("something is wrong").click()
                assert other.locator("[aria-pressed=true]").count() == 2
            tab.locator(f"#{side}").click()
        if number == 20:
            shoot(tab, "middle")
    assert tab.locator("#ready").is_visible() and tab.locator("#vote").is_hidden()
    assert "ours" not in tab.locator("body").inner_text()
    tab.keyboard.press("Backspace")  # the last one, while names are unknown
    assert done(tab) == 29
    tab.keyboard.press("ArrowUp")
    tab.locator("#show").click()
    shown = tab.locator("#preferred").inner_text()
    shoot(tab, "results")
    tab.keyboard.press("Backspace")
    assert done(tab) == 30
    with tab.expect_download() as saved:
        tab.locator("#export").click()
    assert saved.value.suggested_filename.startswith("votes-Ann-ab1-")
    saved.value.save_as(tmp_path / "ann.json")
    assert tab.told == []

    reading = read_votes(tmp_path / "ann.json")
    assert reading.reader == "Ann ab1" and len(reading.votes) == 30
    figures = count([reading])["all"]
    ours = figures["preferred"]["ours to theirs"]
    assert ours["share"] == 1 and ours["decided"] + ours["equal"] == 10
    assert sum(row["equal"] for row in figures["preferred"].values()) == 2  # one, seen twice
    preferred = {n: row for n, row in figures["preferred"].items() if row["share"] > 0.5}
    assert len(preferred) == 3
    for name, row in preferred.items():
        low, high = (f"{100 * x:.0f} %" for x in row["interval"])
        assert re.search(rf"{name}\s+{100 * row['share']:.0f} %\s+{low} to {high}", shown)

    # Counted, and learned from.
    out = tmp_path / "votes"
    evaluate.main(["--votes", str(tmp_path / "ann.json"), "--out", str(out)])
    assert "| ours to theirs | 100.0% |" in capsys.readouterr().out
    rankings = out / "preferences.jsonl"
    preference.main(["--model", str(dialect_writer), "--rankings", str(rankings), "--depths", "1"])
    about = json.loads((dialect_writer / "preference.json").read_text())
    assert about["judgements"] == 29 and (dialect_writer / FILE).is_file()
    reward.main(
        f"--train_file {out}/scores.parquet --base {dialect_writer} --held_out 0.3 --max_steps 2 "
        f"--output_dir {tmp_path}/reward --use_cpu true --bf16 false --report_to none "
        "--save_strategy no".split()
    )
    learned = TextReward.load(tmp_path / "reward/model")
    assert learned.score(["a cat, fog", "a cat"]).isfinite().all()


def test_marks_may_be_asked_for_before_a_vote(browser, tmp_path):
    tab = visit(browser, ballot(tmp_path, "--marks"))
    tab.keyboard.press("ArrowLeft")
    assert done(tab) == 0 and "Mark both" in tab.locator("#told").inner_text()
    for key in ("5", "6", "ArrowLeft"):
        tab.keyboard.press(key)
    assert done(tab) == 1 and tab.locator("#told").is_hidden()


def test_stopping_early_and_beginning_anew_ask_first(browser, tmp_path):
    tab = visit(browser, ballot(tmp_path))
    tab.keyboard.press("ArrowLeft")
    tab.once("dialog", lambda dialog: dialog.dismiss())
    tab.locator("#stop").click()
    assert tab.locator("#end").is_hidden()
    tab.once("dialog", lambda dialog: dialog.accept())
    tab.locator("#stop").click()
    assert "Results of 1 votes" in tab.locator("#end").inner_text()
    tab.once("dialog", lambda dialog: dialog.accept())
    tab.locator("#again").click()
    assert done(tab) == 0 and tab.locator("#vote").is_visible()


@pytest.mark.parametrize("scheme, width", [("light", 390), ("dark", 390), ("dark", 1100)])
def test_it_fits_whatever_shows_it(browser, tmp_path, scheme, width):
    tab = visit(browser, ballot(tmp_path), scheme, width)
    tab.keyboard.press("3")
    shoot(tab, f"{scheme}-{width}")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.locator("#right").is_visible() and tab.told == []


@pytest.mark.parametrize("width", [1100, 390])
def test_pictures_show_no_text_and_lose_their_metadata(browser, tmp_path, width):
    image = pytest.importorskip("PIL.Image")
    from PIL.PngImagePlugin import PngInfo

    for name, colour in (("ours", "teal"), ("theirs", "orange")):
        rows = []
        for i, prompt in enumerate(PROMPTS):
            info = PngInfo()
            info.add_text("parameters", prompt + TAILS[name])
            picture = image.linear_gradient("L").resize((640, 640)).convert("RGB")
            picture.paste(colour, (40 * i, 100, 40 * i + 160, 420))
            picture.save(tmp_path / f"{name}{i}.png", pnginfo=info)
            rows.append({"prompt": prompt, "picture": f"{name}{i}.png", "seed": 7})
        lines = "\n".join(map(json.dumps, rows))
        (tmp_path / f"{name}.jsonl").write_text(lines + "\n", encoding="utf-8")
    files = [f"{name}={tmp_path / name}.jsonl" for name in ("ours", "theirs")]
    evaluate.main(["--blind", *files, "--out", str(tmp_path / "blind")])
    page = (tmp_path / "blind/vote.html").read_text(encoding="utf-8")
    assert not re.search(r"ours|theirs|rust-red|trending", page)
    tab = visit(browser, tmp_path / "blind/vote.html", width=width)
    picture = tab.locator(".shown img").first
    assert picture.evaluate("async e => { await e.decode(); return e.naturalWidth }") == 640
    shoot(tab, f"pictures-{width}")
    for _ in PROMPTS:
        tab.keyboard.press("ArrowRight")
    tab.locator("#show").click()
    assert "ours to theirs" in tab.locator("#preferred").inner_text()
    assert tab.told == []
