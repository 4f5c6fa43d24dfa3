"""What is said of a prompt that is left alone."""

from __future__ import annotations

import pytest

from bp_core.text import remarks
from bp_core.text.language import language_of
from bp_core.text.prompt import LONGEST, parse


@pytest.mark.parametrize("remark", remarks.FIXED)
def test_a_fixed_remark_is_one_piece(remark):
    assert remarks.parts(remark) == [remark]


@pytest.mark.parametrize(
    ("remark", "filled"),
    [
        (remarks.FOREIGN.format(language_of("雪中的狐狸")), ["Chinese"]),
        (parse("a " * LONGEST + "{").closed, [f"{2 * LONGEST + 1:,}", f"{LONGEST:,}"]),
    ],
)
def test_what_was_filled_in_stands_apart(remark, filled):
    pieces = remarks.parts(remark)
    assert pieces[1::2] == filled and "".join(pieces) == remark


def test_other_messages_stay_whole():
    for message in ("", "no server answers at x", "the prompt has no words", "the prompt has 3 {}"):
        assert remarks.parts(message) == [message]
