"""The web page: what it shows, and that it is served."""

import socket
from types import SimpleNamespace

import pytest

from bp_core.errors import InputError
from bp_core.models.load import load
from bp_core.rewriter import Candidate, Result, Rewriter
from bp_core.web import Visitors, beautifier, candidates_html, marked, page, ready


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


def test_a_candidate_can_be_copied_as_it_is():
    text = 'a "b" <lora:x:1>, fog'
    shown = candidates_html(Result("a", text, (candidate(text, "fog"),)))
    assert 'data-text="a &quot;b&quot; &lt;lora:x:1&gt;, fog"' in shown


def test_clicks_of_one_address_are_bounded_by_the_minute():
    now = [0.0]
    visitors = Visitors(clock=lambda: now[0])
    for _ in range(30):
        visitors.begin("10.0.0.1", "tab")
    visitors.begin("10.0.0.2", "other")
    now[0] = 15
    with pytest.raises(InputError, match="try again in 45 seconds"):
        visitors.begin("10.0.0.1", "tab")
    now[0] = 60
    visitors.begin("10.0.0.1", "tab")


def test_cancel_stops_the_rewrite_of_its_own_tab():
    visitors = Visitors()
    mine, other = visitors.begin("", "mine"), visitors.begin("", "other")
    assert visitors.stop("mine")
    assert mine.is_set() and not other.is_set()
    visitors.end("mine")
    assert not visitors.stop("mine")


def test_a_cancelled_rewrite_changes_nothing_and_a_fault_is_told_in_a_line(capsys):
    gradio = pytest.importorskip("gradio")
    visitors = Visitors()
    request = SimpleNamespace(client=SimpleNamespace(host="here"), session_hash="tab")
    fields = ["a fox", *[None] * 7]

    def stopped(prompt, *, on_progress, **_):
        assert visitors.stop("tab")
        on_progress(None)

    assert beautifier(stopped, visitors)(*fields, request) == (gradio.skip(), gradio.skip())

    def broken(prompt, **_):
        raise RuntimeError("out of luck")

    with pytest.warns(UserWarning, match="terminal"):
        answer = beautifier(broken, visitors)(*fields, request)
    assert answer == (gradio.skip(), gradio.skip())
    assert "out of luck" in capsys.readouterr().err
    assert not visitors.stop("tab")


def test_an_address_that_is_taken_is_told_before_a_model_loads():
    pytest.importorskip("gradio")
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(InputError, match="another --host or --port"):
        ready("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InputError, match="1 to 65535"):
        ready("127.0.0.1", 70000)


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
        ({"block": "/(<b>/"}, "&lt;b&gt;"),
        ({"n": 0}, "1 to 16"),
        ({"n": 17}, "1 to 16"),
        ({"dialect": "poems"}, "prose"),
        ({"prompt": "a" * 9000}, "the prompt has 9000 characters: use 8000"),
        ({"style": "a" * 9000}, "the style has 9000"),
    ):
        fields = dict.fromkeys(("mode", "dialect", "n", "seed", "style", "keep", "block"))
        with pytest.warns(UserWarning, match=told):
            answer = beautifier(rewriter)(**{"prompt": "a fox", **fields, **changes})
        assert answer == (gradio.skip(), gradio.skip())


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
