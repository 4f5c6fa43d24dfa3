"""Answers as language models give them, and the text in them."""

import pytest

from bp_core.writers.reading import EMPTY, REFUSED, THOUGHTS, read, without_echo

TAGS = "soft morning light, deep shadows"
PROSE = "Soft light falls on the snow. Deep shadows lie behind it."


@pytest.mark.parametrize(
    "answer",
    [
        TAGS,
        f'"{TAGS}"',
        f"“{TAGS}.”".replace(".", ""),
        f"Sure, here is your prompt:\n\n{TAGS}",
        f"Sure! Here's the continuation:\n**{TAGS}**",
        f"Here are a few phrases:\n\n```\n{TAGS}\n```\nLet me know if you want more!",
        f"**Prompt:** {TAGS}",
        f"Of course.\n\n{TAGS}\n\nNegative prompt: blurry, low quality",
        f"<think>\nThe user wants light, shadows.\n</think>\n\n{TAGS}",
        f"They want light, I think.\n</think>\n{TAGS}",
        f"<|channel|>analysis<|message|>Hm, light.<|channel|>final<|message|>{TAGS}",
        f"[THINK]light?[/THINK]{TAGS}<|im_end|>\n<|im_start|>user\nmore",
        "- soft morning light\n- deep shadows",
        "1. Soft morning light\n2. deep shadows".replace("S", "s"),
        "* **soft morning light**\n* *deep shadows*\n\nI hope this helps!",
        f"# Prompt\n\n{TAGS}",
        f'{{"prompt": "{TAGS}"}}',
        f"{TAGS}\n\nExplanation: these phrases add light.",
        f"{TAGS}</s>",
    ],
)
def test_the_phrases_remain(answer):
    assert read(answer) == (TAGS, "")


@pytest.mark.parametrize(
    "answer",
    [
        PROSE,
        f"Certainly! Here is a continuation:\n\n{PROSE}",
        "Soft light falls on the snow\nDeep shadows lie behind it",
        f"{PROSE} I hope you like it!",
        f"{PROSE} This prompt adds a quiet mood.",
    ],
)
def test_the_sentences_remain(answer):
    assert read(answer, sentences_wanted=True) == (PROSE, "")


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot create prompts of that kind.",
        "As an AI language model, I do not draw.",
        "<think>Hm.</think>I am unable to assist with this request.",
        "Sorry, I can't assist with that.",
    ],
)
def test_a_refusal_is_told_apart(answer):
    assert read(answer) == ("", REFUSED)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", EMPTY),
        (" \n", EMPTY),
        ("```\n```", EMPTY),
        ("...", EMPTY),
        ("<think>The user wants", THOUGHTS),
        ("<|im_end|>", THOUGHTS),
    ],
)
def test_an_answer_without_text_says_so(answer, why):
    assert read(answer)[1] == why


def test_of_several_whole_prompts_the_first_is_taken():
    one = "a fox sits in the snow under old trees, soft morning light"
    two = "a fox runs over the ice below the mountains, golden evening light"
    assert read(f"1. {one}\n2. {two}") == (one, "")


def test_words_of_a_prompt_are_no_refusal_and_no_chatter():
    text = "a man who cannot swim stands at the shore, sorry look, note on the wall"
    assert read(text) == (text, "")


def test_the_artists_own_words_are_not_said_twice():
    assert without_echo('"A cat, in fog", soft light', "a cat in fog") == ", soft light"
    assert without_echo("a cat in rain, soft light", "a cat in fog") == "a cat in rain, soft light"
