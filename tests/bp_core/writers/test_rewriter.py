"""Whatever a writer answers, the rules of our own drafts hold."""

from __future__ import annotations

import pytest

from bp_core.errors import Cancelled
from bp_core.rules.blocklist import Blocklist
from bp_core.score.text_reward import Score
from bp_core.text.fidelity import fidelity
from bp_core.text.language import foreign_words
from bp_core.text.prompt import parse
from bp_core.writers.rewriter import WriterRewriter
from bp_core.writers.shaper import BLOCKED, NOT_ENGLISH
from bp_core.writers.writer import Answer


class Says:
    """A writer that gives the same answers again and again, and remembers what it was asked."""

    name = "parrot"

    def __init__(self, *answers):
        self.answers, self.requests = answers, []

    def write(self, requests, check):
        check(0)
        start = len(self.requests)
        self.requests += requests
        answers = [self.answers[(start + i) % len(self.answers)] for i in range(len(requests))]
        return [a if isinstance(a, Answer) else Answer(a) for a in answers]


def stop(progress):
    raise Cancelled("stop")


def test_an_answer_goes_behind_the_artists_text_and_the_syntax_stays():
    prompt = "a (red:1.2) fox, __place__ <lora:moody:0.8>"
    rewriter = WriterRewriter(Says("soft morning light, deep shadows, muted colours"))
    result = rewriter(prompt, n=1, dialect="tags")
    assert result.text.startswith("a (red:1.2) fox, __place__")
    assert "soft morning light, deep shadows, muted colours" in result.text
    assert parse(result.text).items == parse(prompt).items


PROMPTS = [
    "a (red:1.2) fox, __place__ <lora:moody:0.8>",
    "[cat|dog] on a sofa BREAK (dark workshop:0.9), {warm|cold} light",
    "1girl, solo, blue_hair, embedding:pretty, sitting <hypernet:x:1>",
    "three old BMW 2002 cars without drivers AND rain :0.5",
    'a sign that says "open at 8", (((night)))',
]
ANSWERS = [
    "soft light, <lora:evil:1>, (masterpiece:1.5), __other__ BREAK deep shadows",
    "nude, by Greg Rutkowski, soft light, in the style of Van Gogh",
    "Sure! Here is your prompt: A woman stands there. Soft light falls. Soft light falls.",
    "completely other words about nothing at all, golden evening light",
    "a, a, a, the the, ,,, 24, very",
    "雪中, soft light, мягкий свет, deep shadows",
]


@pytest.mark.parametrize("mode", ["expand", "rewrite"])
@pytest.mark.parametrize("dialect", ["tags", "prose", "booru"])
def test_syntax_once_words_kept_nothing_blocked(mode, dialect):
    rewriter = WriterRewriter(Says(*ANSWERS))
    for prompt in PROMPTS:
        blocklist = Blocklist(allow=prompt)
        for candidate in rewriter(prompt, mode=mode, dialect=dialect, n=6).candidates:
            assert parse(candidate.text).items == parse(prompt).items
            assert fidelity(parse(prompt).prose, parse(candidate.text).prose).kept == 1
            assert not blocklist.find(candidate.text)
            assert not foreign_words(candidate.text) and "Sure" not in candidate.text
            if mode == "expand":
                at = 0
                for letter in prompt:
                    at = candidate.text.index(letter, at) + 1


def test_a_mended_draft_says_so_and_dropped_ones_are_counted():
    says = Says("golden evening light on a den", "I can't help with that.", "", "golden evening")
    result = WriterRewriter(says)("two red foxes", mode="rewrite", dialect="tags", n=4)
    assert all(candidate.mended for candidate in result.candidates)
    assert {"refused", "empty"} <= set(result.dropped)
    assert "two red foxes" in result.text


def test_the_budget_and_the_length_hold():
    long = ", ".join(f"soft {word} light" for word in "red blue green grey pink gold".split())
    rewriter = WriterRewriter(Says(long))
    assert len(rewriter("a fox", n=1, max_new_tokens=7, dialect="tags").text.split()) < 10
    result = rewriter("a fox", n=1, token_budget=10, dialect="tags")
    assert result.candidates[0].tokens <= 10 and result.text.startswith("a fox, ")


def test_cancel_passes_through():
    with pytest.raises(Cancelled):
        WriterRewriter(Says("soft light"))("a fox", on_progress=stop)


def test_a_reward_ranks_the_drafts_and_leaves_a_good_prompt_alone():
    class Longer:
        def score(self, prompts, raw):
            return [Score(len(p) / 10, 0.0, 0.0) for p in prompts]

    says = Says("soft light", "soft light, deep shadows, golden evening")
    result = WriterRewriter(says, Longer())("a fox", n=2, dialect="tags")
    assert [c.index for c in result.candidates] == [1, 0]
    left = WriterRewriter(Says("soft light"), Longer())("a fox", n=1, accept="auto", margin=9)
    assert left.text == "a fox" and left.note


CHINESE = "雪中的狐狸 <lora:moody:0.8>, (夜晚:1.2), 8k"


def test_into_english_turns_the_prose_and_keeps_syntax_and_numbers():
    says = Says("a fox in the snow at night, soft moonlight")
    result = WriterRewriter(says)(CHINESE, mode="rewrite", into_english=True, n=1, dialect="tags")
    assert result.prompt == CHINESE
    assert result.text.startswith("a fox in the snow at night, ")
    assert "soft moonlight" in result.text and "8k" in result.text and "雪" not in result.text
    assert parse(result.text).items == parse(CHINESE).items
    assert "Translate" in says.requests[0].messages[0][1]


def test_a_translation_that_is_none_or_names_what_is_blocked_is_dropped():
    for answer, why in [
        ("雪中的狐狸,柔和的光", NOT_ENGLISH),
        ("eine Katze mit einem Hut", NOT_ENGLISH),
        ("a nude woman in the snow, by Greg Rutkowski", BLOCKED),
    ]:
        result = WriterRewriter(Says(answer))(CHINESE, mode="rewrite", into_english=True, n=1)
        assert result.text == CHINESE and why in result.note


def test_a_foreign_prompt_is_extended_word_for_word_and_never_reworded_unasked():
    for mode in ("expand", "rewrite"):
        result = WriterRewriter(Says("soft moonlight"))(CHINESE, mode=mode, n=1, dialect="tags")
        assert result.text.startswith("雪中的狐狸 <lora:moody:0.8>, (夜晚:1.2), 8k, soft moonlight")


def test_english_stays_english():
    says = Says("a fox sits in deep snow, soft light")
    WriterRewriter(says)("a fox in the snow", mode="rewrite", into_english=True, n=1)
    assert "Translate" not in says.requests[0].messages[0][1]


def test_no_words_no_request():
    says = Says("soft light")
    result = WriterRewriter(says)("<lora:moody:0.8>")
    assert result.text == "<lora:moody:0.8>" and result.note and not says.requests


def test_a_long_prompt_is_translated_whole():
    long = "雪中的狐狸，" * 300
    says = Says("a fox in the snow")
    result = WriterRewriter(says)(long, mode="rewrite", into_english=True, n=1)
    assert "Translate" in says.requests[0].messages[0][1] and "雪" not in result.text
