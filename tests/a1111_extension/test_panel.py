"""The panel marks what was added and never lets a prompt's text become markup."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from a1111_extension.panel import candidates_panel, facts, marked, message_panel, original_panel
from a1111_extension.records import Record
from bp_core.rewriter import Candidate, Result

RECORD = Record("a cat", "starter", "expand", 7)


def _plain(markup: str) -> str:
    return html.unescape(re.sub(r"</?mark>", "", markup))


def test_added_words_are_marked():
    assert marked("a cat", "a cat, soft light") == "a cat<mark>, soft light</mark>"
    assert marked("a cat", "a cat") == "a cat"


@given(st.text(max_size=60), st.text(max_size=60))
def test_marked_shows_the_whole_text_and_no_markup_of_its_own(old, new):
    shown = marked(old, new)
    assert _plain(shown) == new
    assert "<" not in re.sub(r"</?mark>", "", shown)


def test_long_texts_are_shown_unmarked():
    text = "word " * 2000
    assert marked("a", text) == text


def test_facts_of_a_candidate():
    candidate = Candidate("t", 0, (), 0.5, ("cat",), 80, -1.0, 0.42, 0.1)
    told = [("score", "+0.42"), ("keeps", "50%"), ("lost", "cat"), ("tokens", "80/150")]
    assert facts(candidate, "tags") == told
    plain = Candidate("t", 0, (), 1.0, (), 3, -1.0)
    assert facts(plain, "booru") == [("keeps", "100%"), ("tokens", "3/75")]
    low = Candidate("t", 0, (), 1.0, (), 3, -1.0, -0.004)
    assert facts(low, "tags")[0] == ("score", "+0.00")


def test_sentences_are_not_counted_in_clips_chunks():
    long = Candidate("t", 0, (), 1.0, (), 80, -1.0)
    assert facts(long, "prose")[-1] == ("tokens", "80")


def test_candidates_carry_their_text():
    text = 'a "cat"\nline <b>, soft'
    result = Result("a cat", text, (Candidate(text, 0, ("soft",), 1.0, (), 9, -1.0, 0.1, 0.2),))
    shown = candidates_panel("txt2img", result, RECORD)
    found = re.search(r'bp-candidate" data-text="([^"]*)"', shown)[1]
    assert html.unescape(found) == text
    assert "line &lt;b&gt;" in shown
    assert 'data-original="a cat"' in shown
    assert "starter · expand · tags · seed 7" in re.sub("<[^>]*>", "", shown)
    assert 'class="bp-save"' in shown and 'class="bp-own"' in shown


def test_messages_offer_nothing_to_restore():
    assert "bp-restore" not in message_panel("txt2img", "<no model>")
    assert "&lt;no model&gt;" in message_panel("txt2img", "<no model>")
    assert "bp-restore" in original_panel("img2img", RECORD, "a cat, fog")
