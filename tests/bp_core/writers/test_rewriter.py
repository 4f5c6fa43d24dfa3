"""Whatever a writer answers, the rules of our own drafts hold."""

from __future__ import annotations

import pytest

from bp_core.errors import Cancelled
from bp_core.text.prompt import parse
from bp_core.writers.rewriter import WriterRewriter
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


def test_an_answer_goes_behind_the_artists_text_and_the_syntax_stays():
    prompt = "a (red:1.2) fox, __place__ <lora:moody:0.8>"
    rewriter = WriterRewriter(Says("soft morning light, deep shadows, muted colours"))
    result = rewriter(prompt, n=1, dialect="tags")
    assert result.text.startswith("a (red:1.2) fox, __place__")
    assert "soft morning light, deep shadows, muted colours" in result.text
    assert parse(result.text).items == parse(prompt).items
