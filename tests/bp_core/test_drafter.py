"""Drafts of a writer that writes phrases only, and doubts some of them."""

import json

import pytest

from bp_core.decode.generate import Generation
from bp_core.drafter import Drafter
from bp_core.errors import ModelError
from bp_core.models.doubt import FEATURES, Doubt
from bp_core.models.load import load
from bp_core.settings import Settings


@pytest.fixture
def writer(dialect_writer):
    """Writes tags and booru, no sentences."""
    about = dialect_writer / "beautifulprompt.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"dialects": ["tags", "booru"]}))
    return dialect_writer


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("A fox sleeps.", "A fox sleeps. Oak shelves, a lamp."),
        ("a fox (asleep:1.2)", "a fox (asleep:1.2), oak shelves, a lamp."),
    ],
)
def test_a_sentence_is_put_together_from_phrases(writer, prompt, text):
    model = load(writer)
    drafter = Drafter(model, prompt, Settings(dialect="prose"))
    asked = model.encode(drafter.raw, "expand", drafter.lead, "tags", drafter.notes)
    assert drafter.ids == asked
    assert drafter.shape("oak shelves, a lamp").text == text


def test_a_dialect_that_does_not_exist_is_told(writer):
    about = writer / "beautifulprompt.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"dialects": ["verse"]}))
    with pytest.raises(ModelError, match="'dialects' must list some of tags, prose, booru"):
        load(writer)


def test_phrases_of_which_it_is_unsure_go_but_for_the_surest(writer):
    model = load(writer)
    weights = {name: 0.0 for name in FEATURES} | {"least logprob": -1.0}
    model.doubt = Doubt(tuple(weights.values()), bias=-3.0, limit=0.2)
    drafter = Drafter(model, "a fox", Settings(dialect="tags"))
    tokens, logprobs = [], []
    for phrase, logprob in (("oak", -1), ("lamp", -9), ("rug", -0.5), ("sky", -8), ("dew", -0.1)):
        ids = model.tokenizer.encode(f", {phrase}").ids
        tokens += ids
        logprobs += [-0.1, *[logprob] * (len(ids) - 1)]
    draft = drafter.draft(Generation(tokens, logprobs, True))
    assert draft.added == ("oak", "rug", "dew")
    model.doubt = Doubt(tuple(weights.values()), bias=30.0, limit=0.2)
    assert drafter.draft(Generation(tokens, logprobs, True)).added == ("oak", "rug", "dew")
    model.doubt = None
    assert len(drafter.draft(Generation(tokens, logprobs, True)).added) == 5
