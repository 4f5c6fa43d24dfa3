"""Dynamic prompts, as ComfyUI's page resolves them in its own text boxes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_nodes.dynamic import resolve


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("a cat", {"a cat"}),
        ("a {red|blue} cat", {"a red cat", "a blue cat"}),
        ("a {red} cat", {"a red cat"}),
        ("{a|b {c|d}}!", {"a!", "b c!", "b d!"}),
        ("{|very }old", {"old", "very old"}),
        ("a cat // {not|this}\non a mat", {"a cat \non a mat"}),
        ("a /* {red\n|blue} */ cat", {"a  cat"}),
        (r"a \{red\|blue\} cat", {"a {red|blue} cat"}),
        (r"a \(red\) cat", {r"a \(red\) cat"}),
        (r"{a\|b|c}", {"a|b", "c"}),
        ("a {red|blue", {"a red", "a blue"}),
        ("a } cat | dog", {"a } cat | dog"}),
        ("<lora:x:1> __animal__ (old:1.2)", {"<lora:x:1> __animal__ (old:1.2)"}),
    ],
)
def test_choices_and_comments(text, ways):
    assert {resolve(text, seed) for seed in range(40)} == ways


@given(st.text(r"ab{}|\/*" + "\n"), st.integers(0, 2**64 - 1))
def test_one_seed_one_choice(text, seed):
    assert resolve(text, seed) == resolve(text, seed)


def test_what_is_written_behind_changes_no_choice():
    asked = "a {red|green|blue} cat in {snow|rain|fog}"
    for seed in range(40):
        assert resolve(f"{asked}, soft light", seed) == f"{resolve(asked, seed)}, soft light"


def test_any_depth_is_read():
    assert resolve("{" * 5000 + "cat" + "}" * 5000, 7) == "cat"
