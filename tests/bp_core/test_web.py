"""The web page: what it shows, and that it is served."""

import pytest

from bp_core.models.load import load
from bp_core.rewriter import Candidate, Result, Rewriter
from bp_core.web import beautifier, candidates_html, marked, page


def candidate(text, *added, score=None):
    return Candidate(text, 0, added, 1.0, (), 9, -1.0, score)


def test_added_phrases_are_marked_and_all_text_is_escaped():
    shown = marked(candidate("a <b> cat, soft light & fog <lora:x:1>", "soft light & fog"))
    assert shown == "a &lt;b&gt; cat, <mark>soft light &amp; fog</mark> &lt;lora:x:1&gt;"


def test_every_candidate_is_shown_with_its_facts():
    result = Result("a cat", "a cat, fog", (candidate("a cat, fog", "fog", score=0.5),), "so <so>")
    shown = candidates_html(result)
    assert (
        "score +0.50" in shown and "100% of your words kept" in shown and "so &lt;so&gt;" in shown
    )


def test_the_button_beautifies(model_folder):
    call = beautifier(Rewriter(load(model_folder)))
    text, shown = call("a fox", "expand", "auto", 2, 1, "", "", "8k, /octane.*/")
    assert text.startswith("a fox") and shown.count("bp-candidate") >= 1
    assert "Added: Phrases" in shown


def test_fields_that_were_never_touched_are_none(model_folder):
    call = beautifier(Rewriter(load(model_folder)))
    usual = call("a fox", "expand", "auto", 4, 0, "", "", "")
    assert call("a fox", *[None] * 7) == usual
    assert call(None, *[None] * 7)[0] == ""


def test_the_page_builds_and_reports_bad_input(model_folder):
    gradio = pytest.importorskip("gradio")
    rewriter = Rewriter(load(model_folder))
    assert "beautify" in str(page(rewriter).get_api_info())
    for changes, told in (
        ({"block": "/(/"}, r"\("),
        ({"n": 0}, "1 to 64"),
        ({"dialect": "poems"}, "prose"),
        ({"prompt": "a" * 9000}, "8000"),
    ):
        fields = dict.fromkeys(("mode", "dialect", "n", "seed", "style", "keep", "block"))
        with pytest.raises(gradio.Error, match=told):
            beautifier(rewriter)(**{"prompt": "a fox", **fields, **changes})


def test_the_served_page_answers(model_folder):
    """As a browser does after opening it: untouched fields are sent as null."""
    pytest.importorskip("gradio")
    client = pytest.importorskip("gradio_client")
    blocks = page(Rewriter(load(model_folder)))
    _, url, _ = blocks.launch(prevent_thread_lock=True, quiet=True)
    try:
        call = client.Client(url, verbose=False)
        text, shown = call.predict("a fox", None, "prose", None, None, None, None, None,
                                   api_name="/beautify")  # fmt: skip
        assert text.startswith("a fox") and "bp-candidate" in shown
    finally:
        blocks.close()
