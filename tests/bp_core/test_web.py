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
    text, shown = call("a fox", "expand", 2, 1, "", "", "8k, /octane.*/")
    assert text.startswith("a fox") and shown.count("bp-candidate") >= 1


def test_the_page_builds_and_reports_bad_input(model_folder):
    gradio = pytest.importorskip("gradio")
    rewriter = Rewriter(load(model_folder))
    assert "beautify" in str(page(rewriter).get_api_info())
    with pytest.raises(gradio.Error, match=r"\("):
        beautifier(rewriter)("a fox", "expand", 2, 1, "", "", "/(/")
