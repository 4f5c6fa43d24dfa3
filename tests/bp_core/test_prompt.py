"""Prose and syntax: any string survives parsing, every syntax item survives a rewrite."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bp_core.prompt import inert, parse

DATA = Path(os.environ.get("BP_DATA", Path(__file__).parents[3] / "shared" / "data"))

SYNTAX = """
( ) (( )) [ ] { } ${ | : :1.2 :1.2) :0.5] , ; . ! ? \\ \\( \\) \\[ \\] \\{ < > <lora:moody:0.8>
<lyco:a_b:1> <hypernet:x:1> <sks> embedding:bad_hands embedding: BREAK AND AND_SALT ADDCOMM ADDROW
ADDCOL ADDBASE __colour__ __animals/cats__ __ {a|b} {2$$a|b|c} ${hat=red} (red:1.2) ((hat))
[day:night:0.5] [cat|dog] [fe|] # #1 #tag // /* */ https://x.y 16:9 5:30 --ar --no hat, cat 5 1.2
""".split()
WORDS = ["red", "hat", "a", "cat's", "well-lit", "三", "红色帽子", "🐱", "é", "，", "8k", "\u200d"]
tokens = st.sampled_from([*SYNTAX, *WORDS, "\n", "\r\n", " ", "  ", "\t", "\0", "\u2028"])
messy = st.lists(st.tuples(tokens, st.sampled_from(["", "", " "])), max_size=25).map(
    lambda parts: "".join(token + gap for token, gap in parts)
)
prompts = st.one_of(messy, messy, st.text(max_size=60))


@given(prompts)
@settings(max_examples=400)
def test_pieces_join_to_the_prompt(prompt):
    parsed = parse(prompt)
    assert "".join(piece.text for piece in parsed.pieces) == prompt
    assert all(piece.text for piece in parsed.pieces)


@given(prompts, prompts)
@settings(max_examples=600)
def test_a_rewrite_keeps_every_item_once_in_order(prompt, text):
    parsed = parse(prompt)
    assert parse(parsed.rewrite(text)).items == parsed.items
    assert parse(parsed.rewrite(parsed.prose)).items == parsed.items


@given(prompts, prompts)
@settings(max_examples=600)
def test_a_tail_changes_neither_the_items_nor_the_artists_text(prompt, tail):
    parsed = parse(prompt)
    longer = parsed.expand(tail)
    assert parse(longer).items == parsed.items
    added = len(longer) - len(prompt)
    assert any(
        longer[:i] == prompt[:i] and longer[i + added :] == prompt[i:]
        for i in range(len(prompt) + 1)
    )


@given(prompts)
@settings(max_examples=400)
def test_inert_text_is_all_prose_on_one_line(text):
    safe = inert(text)
    assert parse(safe).items == ()
    assert inert(safe) == safe
    assert not set(safe) & set("()[]{}<>|\\#:*`$\n\r\0")
    assert all(word not in safe for word in ("__", "//", "--", "BREAK", "ADDCOL"))
