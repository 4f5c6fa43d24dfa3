"""Prose and syntax: any string survives parsing, every syntax item survives a rewrite."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bp_core.text.prompt import inert, parse

DATA = Path(os.environ.get("BP_DATA", Path(__file__).parents[3] / "shared" / "data"))

SYNTAX = """
( ) (( )) [ ] { } ${ | : :1.2 :1.2) :0.5] , ; . ! ? \\ \\( \\) \\[ \\] \\{ < > <lora:moody:0.8>
<lyco:a_b:1> <hypernet:x:1> <sks> embedding:bad_hands embedding: BREAK AND AND_SALT ADDCOMM ADDROW
ADDCOL ADDBASE :3 ^_^ <3 >:( :) 2.39:1 rating:general score:9 ::1.5 1.5:: C++ dog-- #FF5733
<segment:face> <random:a|b> source_anime "OPEN" $3 50% % %{a$$b} Steps: --ar .hack//sign
__colour__ __animals/cats__ __ {a|b} {2$$a|b|c} ${hat=red} (red:1.2) ((hat))
[day:night:0.5] [cat|dog] [fe|] # #1 #tag // /* */ https://x.y 16:9 5:30 --ar --no hat, cat 5 1.2
""".split()
WORDS = ["red", "hat", "a", "cat's", "well-lit", "三", "红色帽子", "🐱", "é", "，", "8k", "\u200d"]
TAIL = "sharp focus, 8k"
tokens = st.sampled_from([*SYNTAX, *WORDS, "\n", "\r\n", " ", "  ", "\t", "\0", "\u2028"])
messy = st.lists(st.tuples(tokens, st.sampled_from(["", "", " "])), max_size=25).map(
    lambda parts: "".join(token + gap for token, gap in parts)
)
prompts = st.one_of(messy, messy, st.text(max_size=60))


@given(prompts)
@settings(max_examples=250)
def test_pieces_join_to_the_prompt(prompt):
    parsed = parse(prompt)
    assert "".join(piece.text for piece in parsed.pieces) == prompt
    assert all(piece.text for piece in parsed.pieces)


@given(prompts, prompts)
@settings(max_examples=250)
def test_a_rewrite_keeps_every_item_once_in_order(prompt, text):
    parsed = parse(prompt)
    assert parse(parsed.rewrite(text)).items == parsed.items
    assert parse(parsed.rewrite(parsed.free)).items == parsed.items
    assert parse(parsed.rewrite(text, whole=True)).items == parsed.items


@pytest.mark.parametrize(
    "prompt", ["--arC++", "--g--", "C+Steps:5", "ADDCOL<3", "<x:><3", ";C+", "//,/ ,a//b, , "]
)
def test_glued_signs_that_would_be_read_otherwise_leave_the_prompt_as_it_is(prompt):
    parsed = parse(prompt)
    rewrites = [parsed.rewrite(t, w) for t in ("", "red hat", parsed.free) for w in (False, True)]
    assert all(parse(rewrite).items == parsed.items for rewrite in rewrites)
    assert prompt in rewrites


@given(prompts, prompts)
@example("^_^source_anime\\", ":1.2")  # a face only where something parts it from the tag
@settings(max_examples=250)
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
@settings(max_examples=250)
def test_inert_text_is_all_prose_on_one_line(text):
    safe = inert(text)
    assert parse(safe).items == ()
    assert inert(safe) == safe
    assert not set(safe) & set("()[]{}<>|\\#:*`$\n\r\0")
    assert all(word not in safe for word in ("__", "//", "--", "BREAK", "ADDCOL"))


@pytest.mark.parametrize(
    ("prompt", "items", "prose"),
    [
        ("a (red hat:1.2) man", ["(red hat:1.2)"], "a red hat man"),
        ("((best)) [worst] \\(x\\)", ["((best))", "[worst]", "\\(x\\)"], "best worst (x)"),
        ("a [day:night:0.5] sky", ["[day:night:0.5]"], "a day sky"),
        ("[cat:0.5] [dog::3]", ["[cat:0.5]", "[dog::3]"], "cat dog"),
        ("[a|b] [fe|]male", ["[a|b]", "[fe|]male"], "a female"),
        ("a {red|blue} cat, __w/x__", ["{red|blue}", "__w/x__"], "a cat"),
        ("{{fine}} ${v=x} {2$$a|b}", ["{{fine}}", "${v=x}", "{2$$a|b}"], "fine"),
        ("cat <lora:a b:0.8><x:1>", ["<lora:a b:0.8>", "<x:1>"], "cat"),
        ("embedding:bad-x, (embedding:y:1.2) cat", ["embedding:bad-x", "(embedding:y:1.2)"], "cat"),
        ("a cat :1.2 AND a dog", [":1.2", "AND"], "a cat"),
        ("BREAK a cat BREAK a dog", ["BREAK", "BREAK"], "a cat"),
        ("sky ADDCOMM cat ADDCOL dog", ["ADDCOMM", "ADDCOL"], "sky"),
        ("cat # (note\ndog /* x */ // y", ["# (note\n", "/* x */", "// y"], "cat dog"),
        ("a\r\nb", ["\r", "\n"], "a b"),
        ("a (cat, [dog", ["(", "["], "a cat, dog"),
        ("a (b [c) d] e", ["(b [c) d]"], "a b c d e"),
        ("#1 dad at 5:30, 16:9", ["#1", "5:30", "16:9"], "#1 dad at 5:30, 16:9"),
        ("BRAND ANDROID I <3 AC/DC, a_b", ["<3"], "BRAND ANDROID I <3 AC/DC, a_b"),
        ("一个(红色)帽子，猫", ["(红色)"], "一个红色帽子，猫"),
        ("a  cat ,, \0 dog, ", [], "a cat, dog"),
        ("", [], ""),
    ],
)
def test_how_the_hosts_read_it(prompt, items, prose):
    parsed = parse(prompt)
    assert list(parsed.items) == items
    assert parsed.prose == prose


@pytest.mark.parametrize(
    ("prompt", "expanded"),
    [
        ("a cat", "a cat, sharp focus, 8k"),
        ("a cat, ", "a cat, sharp focus, 8k "),
        ("A cat.", "A cat. Sharp focus, 8k"),
        ('A sign "OPEN!"', 'A sign "OPEN!" Sharp focus, 8k'),
        ("a cat <lora:x:1>", "a cat, sharp focus, 8k <lora:x:1>"),
        ("a cat,<lora:x:1>", "a cat, sharp focus, 8k <lora:x:1>"),
        ("a cat # note\n<lora:x:1>", "a cat, sharp focus, 8k # note\n<lora:x:1>"),
        ("(a cat:1.2), {a|b}\n", "(a cat:1.2), {a|b}, sharp focus, 8k\n"),
        ("a cat :1.2 AND a dog", "a cat, sharp focus, 8k :1.2 AND a dog"),
        ("a cat BREAK a dog", "a cat, sharp focus, 8k BREAK a dog"),
        ("a cat, (red hat, dog", "a cat, sharp focus, 8k, (red hat, dog"),
        ("(a cat", "sharp focus, 8k, (a cat"),
        ("(a BREAK b", "sharp focus, 8k, (a BREAK b"),
        ("photo, 16:9", "photo, 16:9, sharp focus, 8k"),
        ("红色的猫，", "红色的猫， sharp focus, 8k"),
        ("", "sharp focus, 8k"),
        ("<lora:x:1>", "sharp focus, 8k <lora:x:1>"),
        ("# note\n", "# note\nsharp focus, 8k"),
        ("# note", "sharp focus, 8k # note"),
    ],
)
def test_where_a_tail_goes(prompt, expanded):
    assert parse(prompt).expand(TAIL) == expanded


@pytest.mark.parametrize("tail", ["", " , ", "\n", "()", "::"])
def test_an_empty_tail_changes_nothing(tail):
    assert parse("a cat, <lora:x:1>").expand(tail) == "a cat, <lora:x:1>"


@pytest.mark.parametrize(
    ("prompt", "text", "rewritten"),
    [
        ("a (red hat:1.2)", "a man, Red Hat, snow", "a man, (red hat:1.2), snow"),
        ("a (red hat:1.2)", "a man in snow", "(red hat:1.2), a man in snow"),
        ("(a cat:1.2), tree", "red hats, oak", "(a cat:1.2), red hats, oak"),
        ("a cat <lora:x:1>", "one cat, snow", "one cat, snow <lora:x:1>"),
        ("<lora:x:1> a cat", "one cat, snow", "<lora:x:1> one cat, snow"),
        ("a [day:night:0.5] sky, __w__", "sky by day, blue", "sky by [day:night:0.5], blue, __w__"),
        ("miku \\(vocaloid\\), x", "miku vocaloid, x", "miku \\(vocaloid\\), x"),
        ("a cat :1.2 AND a dog", "one cat: 3", "one cat, 3 :1.2 AND a dog"),
        ("a cat, 16:9, tree", "cat and tree, 16:9", "cat and tree, 16:9,"),
        ("a cat\n\na dog", "one cat, one dog", "one cat,\n\none dog"),
        ("(a cat, dog", "one cat", "(one cat"),
        ("a (红色) b", "红色帽子", "(红色)帽子"),
        ("<lora:x:1>", "a cat", "a cat <lora:x:1>"),
        ("a cat BREAK (a dog)", "a bird", "a bird BREAK (a dog)"),
        ("a (cat:1.2)", "", "(cat:1.2)"),
    ],
)
def test_where_items_go_in_a_translation(prompt, text, rewritten):
    assert parse(prompt).rewrite(text, whole=True) == rewritten


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("(a cat:1.2), [b|c] <lora:x:1>", "a cat, 1.2, b, c lora, x, 1"),
        ("a cat BREAK AND dog, BRAND", "a cat break and dog, BRAND"),
        ("xBREAKx AND_PERP", "xbreakx and_perp"),
        ("16:9 __w__ // a /* b */ --ar 3", "16-9 w / a / b / -ar 3"),
        ("embedding:x {a} $1 #2 `c` \\(d\\)", "embedding, x a 1 2 c d"),
        (" , a,,b ,\n c\0d. ", "a,b, c d."),
    ],
)
def test_inert(text, safe):
    assert inert(text) == safe


@pytest.mark.parametrize(
    "prompt",
    [
        "(" * 100_000,
        "[{(" * 33_000,
        "(" * 50_000 + "a:1.2)" * 50_000,
        "a red cat, " * 90_000,
        "a (red cat:1.2) <lora:x:1> [a|b], " * 10_000 + "x " * 300_000,
        "#/*_<$\\" * 20_000,
        "1:" * 200_000,
        "__a " * 100_000,
        "\n " * 50_000,
        "猫" * 1_000_000,
        "a" * 1_000_000,
        " " * 1_000_000,
    ],
    ids=lambda prompt: f"{prompt[:12]!r} x {len(prompt)}",
)
def test_time_is_linear(prompt):
    """Well under a second each on a quiet core; quadratic time would take minutes."""
    start = time.process_time()
    parsed = parse(prompt)
    assert str(parsed) == prompt
    parsed.expand(TAIL)
    parsed.rewrite(prompt[:100_000])
    assert time.process_time() - start < 4


def test_real_prompts():
    if not DATA.is_dir():
        pytest.skip("the folder of real prompts is absent: set BP_DATA")
    prompts = [row["text"] for row in json.loads((DATA / "imagereward/prompts.json").read_text())]
    prompts += (DATA / "pickapic_sfw/prompts.txt").read_text().splitlines()
    sample = prompts[::2][:10_000]
    assert len(sample) == 10_000
    for prompt, other in zip(sample, [*sample[1:], sample[0]], strict=True):
        parsed = parse(prompt)
        assert str(parsed) == prompt
        assert parse(parsed.rewrite(other)).items == parsed.items
        assert parse(parsed.expand(other)).items == parsed.items


def test_no_two_marks_meet_where_a_tail_joins():
    assert parse("(a fox").expand(". Red fur.", continues=True) == "Red fur, (a fox"
    assert parse("a fox:").expand("red fur") == "a fox: red fur"
    assert parse("a fox,").expand("red fur") == "a fox, red fur"


@pytest.mark.parametrize("prompt", ["1.5::", "a cat:", "a cat, ::"])
def test_a_number_behind_a_colon_is_no_weight(prompt):
    for syntax in ("auto", "webui", "midjourney"):
        longer = parse(prompt, syntax).expand("3 hats")
        assert longer == f"{prompt}, 3 hats"
        assert parse(longer, syntax).items == parse(prompt, syntax).items


def test_a_word_behind_a_colon_is_no_name():
    assert parse("embedding:").expand("hats") == "embedding:, hats"
    assert parse("a cat:").expand("hats") == "a cat: hats"
