"""Each host's syntax by its own table, and what a rewrite leaves as it is."""

from __future__ import annotations

import pytest

from bp_core.settings import SYNTAXES
from bp_core.text.prompt import LONGEST, parse
from bp_core.text.syntax_tables import SYNTAXES as TABLES

TAIL = "TAIL"


def test_every_setting_has_its_table():
    assert set(TABLES) == set(SYNTAXES)
    assert all(table.source for table in TABLES.values())


FACES = ":3 :D :P :o ;) ^_^ >_< <3 @_@ +_+ =_= :/ :( >:( :) >:) ;p :| :x :c :>".split()
RATIOS = "16:9 2.39:1 1.85:1 4:3 1:1 21:9 3:2 2:1 9:16 5:4".split()
TAGS = "rating:general score:9 source:anime rating:safe year:2024 copyright:original".split()
NAMES = [".hack//sign", "AC/DC", "C#", "#FF5733", "#1 dad", "Fate//Zero", "and/or", "24//7"]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("item", [*FACES, *RATIOS, *TAGS, *NAMES])
def test_an_item_is_never_torn(item, syntax):
    for prompt in (f"1girl, {item}", f"1girl, {item}, night", f"{item}, a cat", f"a cat {item} x"):
        parsed = parse(prompt, syntax)
        assert str(parsed) == prompt
        if not (syntax == "webui" and "#" in item):  # there it is a comment
            assert item in parsed.expand(TAIL), parsed.expand(TAIL)


@pytest.mark.parametrize("item", [*RATIOS, *TAGS, ":3", ":D", "^_^", "<3"])
def test_the_command_line_adds_behind_an_item(item):
    assert parse(f"a still of a diner, {item}").expand(TAIL) == f"a still of a diner, {item}, TAIL"


@pytest.mark.parametrize(
    ("syntax", "prompt", "expanded"),
    [
        ("webui", "1girl, cat ears, :3", "1girl, cat ears, TAIL :3"),
        ("webui", "1girl, score:9", "1girl, TAIL, score:9"),
        ("webui", "a diner, 2.39:1", "a diner, TAIL, 2.39:1"),
        ("webui", "a cat:1.2 AND a dog", "a cat, TAIL :1.2 AND a dog"),
        ("webui", "portrait of #1 dad, sunset", "portrait of, TAIL #1 dad, sunset"),
        # A comment of sd-dynamic-prompts, and read by the host: in front of it is right in both.
        ("webui", "a fox // a comment?", "a fox, TAIL // a comment?"),
        ("invoke", "((hat))--ar", "((hat))--ar, TAIL"),
        ("webui", "a fox (red", "a fox, TAIL, (red"),
        ("comfyui", "knights AND dragons", "knights AND dragons, TAIL"),
        ("comfyui", "a fox BREAK a hen", "a fox BREAK a hen, TAIL"),
        ("comfyui", "a fox [red", "a fox [red, TAIL"),
        ("comfyui", "a fox # red", "a fox # red, TAIL"),
        ("comfyui", "a fox // note", "a fox, TAIL // note"),
        ("comfyui", "1girl, :3", "1girl, :3, TAIL"),
        ("sdnext", "a fox TE2: a style", "a fox, TAIL TE2: a style"),
        # A backslash alone is an empty text there, and an escape belongs to the text before it.
        ("sdnext", "(red:1.2) \\ ) ", "(red:1.2), TAIL, \\ ) "),
        ("sdnext", "[\\(a fox", "[\\(a fox"),
        ("sdnext", "a cat :0.5] }((dog", "a cat :0.5] }, TAIL, ((dog"),
        ("sdnext", "(red:1.2) :1.2)((dog", "(red:1.2), TAIL, :1.2)((dog"),
        ("invoke", "a fox AND a hen", "a fox AND a hen, TAIL"),
        ("invoke", "(a fox)1.3, snow++", "(a fox)1.3, snow++, TAIL"),
        ("swarm", "a cat <segment:face> a dog", "a cat, TAIL <segment:face> a dog"),
        ("swarm", "a cat <break> a dog", "a cat, TAIL <break> a dog"),
        ("swarm", "a <random:cat|dog>", "a <random:cat|dog>, TAIL"),
        ("swarm", "a cat <lora:x:1>", "a cat, TAIL <lora:x:1>"),
        ("novelai", "1.5::a dog::, snow", "1.5::a dog::, snow, TAIL"),
        ("novelai", "snow, 1.5::a dog", "snow, TAIL, 1.5::a dog"),
        ("novelai", "a room | 1girl", "a room, TAIL | 1girl"),
        ("midjourney", "street::1.5 rain::-0.5", "street::1.5 rain::-0.5, TAIL"),
        ("midjourney", "a fox --ar 16:9 --no hens", "a fox, TAIL --ar 16:9 --no hens"),
        ("midjourney", "https://i.png a fox", "https://i.png a fox, TAIL"),
        ("plain", "a [fox AND (hen", "a [fox AND (hen, TAIL"),
        ("auto", "a cat <segment:face> a happy dog", "a cat, TAIL <segment:face> a happy dog"),
        ("auto", "a fox --no people, boats --ar 16:9", "a fox, TAIL --no people, boats --ar 16:9"),
        ("auto", "a car in #FF5733 on a road", "a car in #FF5733 on a road, TAIL"),
        ("auto", ".hack//sign, a girl", ".hack//sign, a girl, TAIL"),
        ("auto", "1girl, >:(, angry", "1girl, TAIL, >:(, angry"),
        (
            "auto",
            "1girl, solo Steps: 20, Sampler: Euler",
            "1girl, solo, TAIL Steps: 20, Sampler: Euler",
        ),
        ("auto", "1girl\nNegative prompt: bad", "1girl, TAIL\nNegative prompt: bad"),
        ("auto", "best quality BREAK 1girl, library", "best quality BREAK 1girl, library, TAIL"),
        (
            "auto",
            "masterpiece, score_9 AND a cat AND a dog",
            "masterpiece, score_9 AND a cat, TAIL AND a dog",
        ),
        ("auto", "best quality BREAK highres", "best quality, TAIL BREAK highres"),
        ("auto", "street::1.5 rain::-0.5", "street::1.5 rain::-0.5, TAIL"),
    ],
)
def test_where_a_tail_goes_by_host(syntax, prompt, expanded):
    assert parse(prompt, syntax).expand(TAIL) == expanded


@pytest.mark.parametrize(
    ("prompt", "text", "rewritten"),
    [
        ("a cat, a {b|red} man, snow", "one cat, deep snow", "one cat, a {b|red} man, deep snow"),
        ("__sky/{a|b}__ over a lake, fog", "thick fog", "__sky/{a|b}__ over a lake, thick fog"),
        ("%{a photo of ... in$$a hen}, dusk", "at dusk", "%{a photo of ... in$$a hen}, at dusk"),
        ("a room, 1girl, ^_^, closed eyes", "a quiet room", "a quiet room, ^_^"),
        ("I <3 cats, a sofa", "an old sofa", "I <3 cats, an old sofa"),
        ("a clock at 5:30pm, an office", "a bare office", "a clock at 5:30pm, a bare office"),
        ('a sign "$3", a shop', "a small shop", 'a sign "$3", a small shop'),
        ("a bar 'Sol & Luna', rain", "heavy rain", "a bar 'Sol & Luna', heavy rain"),
        ("source_anime, a class", "a full class", "source_anime, a full class"),
        ("(forest)1.3, a path", "a narrow path", "(forest)1.3, a narrow path"),
        ("A cat naps. A sign says \"NO\", in red. It rains.", "A cat sleeps. Rain falls.",
         "A cat sleeps. A sign says \"NO\", in red. Rain falls."),
        ("a cat, <lora:x:1>, a hat", "one cat, one hat", "one cat, <lora:x:1> one hat"),
        ("a cat, (red hat, snow", "one cat", "one cat, (red hat, snow"),
        ("a cat, a//b, snow", "one cat", "one cat, a//b, snow"),
        ("f/1.8, a bride", "one bride", "f/1.8, one bride"),
        ("a cat :1.2, snow", "deep snow", "a cat :1.2, deep snow"),
    ],
)  # fmt: skip
def test_a_rewrite_leaves_what_it_cannot_reword(prompt, text, rewritten):
    assert parse(prompt).rewrite(text) == rewritten


def test_nothing_stands_behind_what_the_webui_takes_for_a_weight():
    assert parse("a cat, a diner 2.39:1", "webui").rewrite("one cat") == "one cat, a diner 2.39:1"


def test_plain_prose_is_free_and_nothing_else():
    assert (
        parse("a cat by the window. The mood is sad.").free
        == parse("a cat by the window. The mood is sad.").prose
    )
    assert parse("a cat, (red hat:1.2), snow").free == "a cat, snow"
    assert parse("a {red|blue} cat").free == ""


@pytest.mark.parametrize(
    "prompt",
    ['("horse", "heron").blend(0.5,0.5)', '("a cat","a dog").and()', '{"subject": "a cat"}'],
)
def test_a_prompt_that_is_one_expression_is_closed(prompt):
    assert "one expression" in parse(prompt).closed
    assert not parse("(horse), heron").closed


def test_a_prompt_longer_than_any_picture_needs_stays_as_it_is():
    prompt = "(" * (LONGEST + 1)
    assert "has 30,001 characters" in parse(prompt).closed and str(parse(prompt)) == prompt
    assert not parse(prompt[:-1]).closed


def test_sentences_of_a_rewrite_remain_sentences():
    from bp_core.draft import _as_sentences

    raw = "a cat by the window. The mood is sad."
    text = "a cat by the window, The mood is sad, one paw raised"
    assert _as_sentences(raw, text) == "a cat by the window. The mood is sad. One paw raised"
    assert _as_sentences("a cat.", "a cat, red") == "a cat, red"
