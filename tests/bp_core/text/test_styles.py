"""Named styles come from a text file that an artist may have edited in any way."""

from __future__ import annotations

import pytest

from bp_core.errors import InputError
from bp_core.text.styles import leading, styles


def test_the_file_that_comes_along():
    assert styles()["watercolor"] == "watercolor, soft washes"
    assert len(styles()) > 20


def test_whatever_is_in_the_file(tmp_path):
    file = tmp_path / "styles.txt"
    file.write_bytes(
        b"\xef\xbb\xbf# mine\r\nfog = fog, a = b\r\n\r\nempty =\n= x\nnone = x\n\xff\n"
    )
    assert styles([file]) == {"fog": "fog, a = b"}
    assert styles([tmp_path / "gone.txt"]) == {}


def test_an_artist_s_own_file_adds_and_replaces(tmp_path):
    shipped, mine = tmp_path / "styles.txt", tmp_path / "my_styles.txt"
    shipped.write_text("fog = fog\nink = ink wash\n")
    mine.write_text("ink = blue ink\nmine = my manner\n")
    assert styles([shipped, mine]) == {"fog": "fog", "ink": "blue ink", "mine": "my manner"}


def test_a_style_leads_the_artists_own():
    assert leading("watercolor", " blue ") == "watercolor, soft washes, blue"
    assert leading("none", "blue") == leading("", "blue") == "blue"
    with pytest.raises(InputError, match="watercolor"):
        leading("gone", "")
