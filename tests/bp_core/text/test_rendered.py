"""How each host's own grammar reads a prompt, and what is added and reworded held to it."""

from __future__ import annotations

import time

import pytest

from bp_core.draft import Shaper
from bp_core.settings import Settings
from bp_core.text import grammars
from bp_core.text.prompt import LONGEST, parse
from bp_core.text.rendered import PROBE, added, reworded, syntax_of


def _weighted(read, prompt):
    """The stretches that are rendered, those with a weight in asterisks."""
    rows = [(row.text.strip(" ,\n"), row.weight) for row in read(prompt).rows]
    return [f"*{text}*" if weight else text for text, weight in rows if text]


@pytest.mark.parametrize(
    "read, prompt, rows",
    [
        (grammars.webui, "a (red hat:1.2), cat", ["a", "*red hat*", "cat"]),
        (grammars.webui, "a (b:1), c", ["a", "b", "c"]),
        (grammars.webui, r"a \(b\), (c", ["a", "(", "b", ")", "*c*"]),
        (grammars.webui, "a ]b [c", ["a", "]", "b", "*c*"]),
        (grammars.webui, "a, <lora:b:1> c # (d\nAND e :0.5", ["a,  c", "e"]),
        (grammars.sdnext, "a, {b} (c:1.2) {d", ["a, {b}", "*c*", "d"]),
        (grammars.sdnext, "a :3) b", ["a 3)b"]),
        (grammars.sdnext, r"a (b) \) c", ["a", "*b*", ")c"]),
        (grammars.comfyui, "a (b:1.2) ((c)", 2 * ["a", "*b*", "*(c*"]),
        (grammars.comfyui, "a /* b */ // c\nd", ["a /* b */ // c\nd", "a  \nd"]),
        (grammars.comfyui, "a) (b), c", 2 * ["a) (b), c"]),
        (grammars.wildcards, "a {b|{c}} __d__ // e", ["a", "*{b|{c}}*", "*__d__*"]),
        (grammars.wildcards, "// a\nb /* c */ #d\ne", ["b /* c */", "e"]),
        (grammars.invoke, "a (b)1.2 (c", ["a", "*b*", "1.2 (c"]),
    ],
)
def test_what_a_host_renders(read, prompt, rows):
    assert _weighted(read, prompt) == rows


@pytest.mark.parametrize("read", [grammars.webui, grammars.sdnext])
@pytest.mark.parametrize(
    "prompt, changed",
    [
        ("[a:b:0.5], c", "[a:b:0.6], c"),
        ("[a|b] c", "[a|b] c|"),
        ("[a|b] c", "[a|b] c\\"),
        ("[a:b:0.5]((", "[a:b:0.5], c (("),
        ("[a|b]:) c", "[a|b]:, ) c"),
    ],
)
def test_what_changes_the_steps(read, prompt, changed):
    assert read(prompt).shape != read(changed).shape
    assert read(prompt).shape == read(prompt.replace("c", "other words")).shape


@pytest.mark.parametrize(
    "syntax, prompt, expanded",
    [
        # A bracket in a comment of one extension is open to the host itself.
        ("webui", "a cat /* (red */ hat", "a cat, haze, /* (red */ hat"),
        ("webui", "a cat /* [ */ hat, 8k", "a cat, haze, /* [ */ hat, 8k"),
        # What begins like a comment is none in the middle of the text.
        ("webui", "// a cat", "// a cat\nhaze"),
        # The end of a section that is read as its weight.
        ("webui", "a cat :3.", "a cat, haze, :3."),
        # Two signs that touch a schedule make it none.
        ("webui", "a cat, [day:night:0.5]((", "a cat, haze, [day:night:0.5](("),
        ("sdnext", "a cat, [day:night:0.5]((", "a cat, haze, [day:night:0.5](("),
        # BREAK that touches a word of a schedule is a part of it.
        ("webui", "[cat|dog]BREAK, a hat", "haze, [cat|dog]BREAK, a hat"),
        ("sdnext", "[cat|dog]BREAK, a hat", "haze, [cat|dog]BREAK, a hat"),
        ("sdnext", "dog<lora:a:1>BREAK, 2.39:1", "haze, dog<lora:a:1>BREAK, 2.39:1"),
        # A last backslash ends all schedules, and must stay the last.
        ("sdnext", "[fe|]male 9\\", "[fe|]male 9\\\nhaze"),
        # SD.Next reads a sign or drops it, by what stands before.
        ("sdnext", "a cat| :3))((a hat", "a cat|, haze, :3))((a hat"),
        ("sdnext", "a hat ( \\ )) ", "a hat ( \\ )), haze "),
        # What begins with < runs on to the next >.
        ("sdnext", "a hat <3:) <lora:a:1>", "a hat <3:) <lora:a:1>, haze"),
        # compel weights by signs that touch.
        ("invoke", "((hat))--ar a dog", "((hat))--ar a dog, haze"),
        ("invoke", "[, --no cat, :0.5] 8k", "haze, [, --no cat, :0.5] 8k"),
        # SD.Next takes networks out before compel reads.
        ("invoke", "a hat <3:) <lora:a:1>", "a hat <3:) <lora:a:1>, haze"),
        # ComfyUI's page leaves out a comment that its node reads.
        ("comfyui", "a cat // ( hat", "a cat, haze // ( hat"),
    ],
)
def test_an_addition_goes_where_all_else_is_read_as_before(syntax, prompt, expanded):
    parsed = parse(prompt, syntax)
    assert parsed.expand("haze") == expanded
    assert added(prompt, parsed.expand(PROBE), syntax)
    assert not parsed.closed


@pytest.mark.parametrize("end", ["--ar 3:4", "Steps: 20, Sampler: Euler", "--no hats"])
def test_no_addition_goes_behind_flags_or_parameters(end):
    for syntax in ("webui", "sdnext", "comfyui", "invoke"):
        for prompt in (f"a cat, ((hat)) {end}", f"a // cat ( {end}", f"[a|b]BREAK {end}"):
            parsed = parse(prompt, syntax)
            assert parsed.closed or parsed.expand("haze").endswith(end)


@pytest.mark.parametrize("prompt", ["/* ( */ a hat((", "/* (:0.5], [ ] */ 5:30(("])
def test_a_prompt_without_such_a_place_stays_as_it_is(prompt):
    parsed = parse(prompt, "webui")
    assert parsed.expand("haze") == prompt
    assert "close its brackets" in parsed.closed and "\n" not in parsed.closed
    assert parse(prompt, "plain").expand("haze") != prompt


@pytest.mark.parametrize(
    "syntax, prompt, text",
    [
        ("sdnext", "cat 16:9 :)8k and, [, :1.2 )), ", "8k, cat, haze"),
        ("sdnext", "cat, } a_tag 5:30, hat {", "hat, cat, haze"),
        ("sdnext", "hat, [day:night:0.5]:) cat, 5:30", "cat, hat, haze"),
        ("sdnext", "[day:night:0.5], | red, a hat", "a hat, red, haze"),
        ("webui", "cat | :1.2) <3 hat [fe|]male hat )", "hat, cat, haze"),
        ("webui", ". ,\\, cat\n| )) [day:night:0.5] !, dog", "dog, cat, haze"),
        ("comfyui", "5:30, //^_^ ((\n:1.2 :) a cat", "a cat, haze"),
        ("invoke", "a cat, ; (red:1.2)? dog", "dog, a cat, haze"),
        ("invoke", "cat--no hat, dog", "dog, hat, cat, haze"),
        ("invoke", "a hat, }>:(((red))5:30 cat", "cat, a hat, haze"),
    ],
)
def test_a_rewrite_that_would_be_read_otherwise_is_an_expansion(syntax, prompt, text):
    """The host's syntax is as it was, whatever became of the prompt."""
    parsed = parse(prompt, syntax)
    made = parsed.rewrite(text)
    assert made == prompt or reworded(prompt, made, text, set(), syntax)
    draft = Shaper(prompt, Settings(mode="rewrite", syntax=syntax, dialect="tags")).shape(text)
    assert "haze" in draft.text and draft.kept == 1
    assert reworded(prompt, draft.text, "haze", set(), syntax)


def test_what_is_lost_in_a_rewrite():
    before = "a (red hat:1.2), cat, dog"
    assert reworded(before, "dog, a (red hat:1.2), cat, haze", "dog, cat, haze", set(), "webui")
    assert not reworded(before, "dog, a (red hat:1.2), haze", "dog, haze", set(), "webui")
    assert reworded(before, "dog, a (red hat:1.2), haze", "dog, haze", {"cat"}, "webui")
    assert reworded("(a:1.2), cat, (b:1.2)", "cat, (a:1.2), (b:1.2)", "cat", set(), "webui")
    assert not reworded(before, "a (red hat:1.3), cat, dog", "cat, dog", set(), "webui")
    assert not reworded(before, "a (red hat, haze:1.2), cat, dog", "haze", set(), "webui")


@pytest.mark.parametrize("syntax", ["webui", "sdnext", "comfyui", "invoke", "plain", "auto"])
def test_words_alone_are_not_read_by_any_grammar(syntax):
    assert not syntax_of("a red-haired girl, 8k, 35mm; it's late. Two dogs!", syntax)


@pytest.mark.parametrize("syntax", ["webui", "sdnext", "comfyui", "invoke"])
@pytest.mark.parametrize(
    "unit",
    [
        "(",
        "[a:",
        "(a)",
        "((a:1.2) [b|c]",
        "/*",
        "a // */ /*",
        "\\(",
        ": ",
        "{a}",
        "__",
        "<a:",
        "\\",
    ],
)
def test_the_time_is_linear(syntax, unit):
    prompt = "a cat, " + unit * ((LONGEST - 10) // len(unit))
    start = time.perf_counter()
    parse(prompt, syntax).expand("haze")
    assert time.perf_counter() - start < 5  # seconds, on a machine that does much else
