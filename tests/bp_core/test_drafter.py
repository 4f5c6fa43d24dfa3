"""Drafts of a writer that writes phrases only, and judges them."""

import json

import pytest

from bp_core.decode.generate import Generation
from bp_core.decode.sampling import Draw
from bp_core.drafter import Drafter, sampling_params, write
from bp_core.errors import ModelError
from bp_core.models.load import load
from bp_core.models.suitability import Suitability, Verdict
from bp_core.rewriter import Rewriter
from bp_core.settings import Settings
from bp_core.text.concepts import Concepts


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
    # Without the full stop, behind which a phrase would begin with a capital.
    asked = model.encode(drafter.raw.rstrip("."), "expand", drafter.lead, "tags", drafter.notes)
    assert drafter.ids == asked
    assert drafter.shape("oak shelves, a lamp").text == text


def test_a_dialect_that_does_not_exist_is_told(writer):
    about = writer / "beautifulprompt.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"dialects": ["verse"]}))
    with pytest.raises(ModelError, match="'dialects' must list some of tags, prose, booru"):
        load(writer)


class Told:
    """Judges phrases as it is told to."""

    limit = 0.4

    def of(self, model, raw, dialect, phrases):
        texts = [getattr(phrase, "text", phrase) for phrase in phrases]
        return {text: Verdict(4.0 if text in self.wrong else -4.0, 0.0) for text in texts}

    def __init__(self, *wrong):
        self.wrong = wrong

    choose = Suitability.choose

    def score(self, logprob, wrong):
        return logprob - sum(wrong)


class Ordered(Told):
    """Judges those notes better that stand earlier in some lines."""

    def __init__(self, *wrong, order):
        super().__init__(*wrong)
        self.order = " ".join(order)

    def of(self, model, raw, dialect, phrases):
        verdicts = super().of(model, raw, dialect, phrases)
        return {
            text: Verdict(verdict.wrong + self.order.find(text) / 1000, 0.0)
            for text, verdict in verdicts.items()
        }


def generation(model, *phrases):
    ids = model.tokenizer.encode("".join(f", {phrase}" for phrase in phrases)).ids
    return Generation(ids, [-0.5] * len(ids), True)


def test_phrases_that_do_not_suit_go_but_for_the_best_three(writer):
    model = load(writer)
    five = generation(model, "oak", "lamp", "rug", "sky", "dew")
    model.suitability = Told("lamp", "sky")
    drafter = Drafter(model, "a fox", Settings(dialect="tags"))
    draft = drafter.draft(five)
    assert draft.added == ("oak", "rug", "dew") and draft.appeal == -0.5 + 12
    model.suitability = Told("oak", "lamp", "rug", "sky", "dew")
    assert Drafter(model, "a fox", Settings(dialect="tags")).draft(five).added == (
        "oak", "lamp", "rug",
    )  # fmt: skip
    model.suitability = None
    draft = Drafter(model, "a fox", Settings(dialect="tags")).draft(five)
    assert len(draft.added) == 5 and draft.appeal is None


def test_candidates_take_turns_with_two_choices_of_notes(writer):
    model = load(writer)
    looks = "; ".join(
        f"{word} fur" for word in "red wet long soft torn thin pale dark rough".split()
    )
    model.concepts = Concepts([f"fox | creature | look: {looks}"])
    model.suitability = Told("wet fur")
    settings = Settings(dialect="tags", seed=5)
    drafter = Drafter(model, "a fox", settings)
    assert len(drafter.readings) == 2 and "wet fur" not in drafter.notes
    params = sampling_params(settings)
    draws = [Draw(5, i) for i in range(3)]
    (three,) = write(model, [drafter], [draws], params)
    for reading, draw, together in zip((0, 1, 0), draws, three, strict=True):
        alone = Drafter(model, "a fox", settings)
        alone.readings = [alone.readings[reading]]
        ((one,),) = write(model, [alone], [[draw]], params)
        assert one.tokens == together.tokens
    assert len(Drafter(model, "a fox", Settings(mode="rewrite")).readings) == 1


def test_phrases_are_judged_also_where_nothing_is_known(writer):
    model = load(writer)
    model.concepts, model.suitability = None, Told("lamp")
    draft = Drafter(model, "a fox", Settings(dialect="tags")).draft(
        generation(model, "oak", "lamp", "rug", "dew")
    )
    assert draft.added == ("oak", "rug", "dew")


def test_words_that_are_none_are_cut_however_sure_the_model_is(writer):
    (writer / "words.txt").write_text("oak shelves lamp lit a")
    drafter = Drafter(load(writer), "a zorb fox", Settings(dialect="tags"))
    draft = drafter.shape("oak shelvess, foccus lamp, a lit zorb, oak")
    assert draft.added == ("a lit zorb", "oak")
    rewriting = Drafter(load(writer), "a zorb fox", Settings(dialect="tags", mode="rewrite"))
    assert "theways" not in rewriting.shape("a zorb fox, theways lamp, lit oak").text


FOX = [
    "fox | creature | look: red fur; bushy tail; torn ear | view: low viewpoint | tags: fox, tail",
    "library | place | look: oak shelves | light: lamplight | tags: bookshelf, indoors",
]


@pytest.mark.parametrize(
    ("sure", "told"),
    [(12, 12), (8, 8), (6, 8), (0, 8)],  # of 12: those surely right, and as many as make eight
)
def test_where_many_notes_are_sure_less_sure_ones_are_not_taken(dialect_writer, sure, told):
    model = load(dialect_writer)
    looks = [f"{chr(97 + i) * 4} fur" for i in range(12)]
    model.concepts, model.composes = Concepts([f"fox | creature | look: {'; '.join(looks)}"]), True

    class Sure(Told):
        limit = 0.08

        def of(self, model, raw, dialect, phrases):
            texts = [phrase.text for phrase in phrases]
            # A doubt of 0.02, or of 0.06 and a little more each.
            return {
                t: Verdict(-4.0 if looks.index(t) < sure else -2.75 + looks.index(t) / 100, 0.0)
                for t in texts
            }

    model.suitability = Sure()
    drafter = Drafter(model, "a fox", Settings(dialect="tags"))
    assert {note.text for note in drafter._suiting(first=True)} == set(looks[:told])


@pytest.fixture
def composer(dialect_writer):
    """Chooses its additions from the notes; "torn ear" does not suit."""
    model = load(dialect_writer)
    model.concepts, model.composes = Concepts(FOX), True
    model.suitability = Told("torn ear")
    return model


@pytest.mark.parametrize(
    ("prompt", "dialect", "added"),
    [
        (
            "a fox in a library",
            "tags",
            ("bushy tail", "low viewpoint", "lamplight", "oak shelves", "red fur"),
        ),
        ("1girl, fox, library", "booru", ("bookshelf", "indoors", "tail")),
        ("A fox sleeps.", "prose", ("bushy tail", "low viewpoint", "red fur")),
    ],
)
def test_an_addition_is_composed_of_the_notes_that_suit(composer, prompt, dialect, added):
    result = Rewriter(composer)(prompt, n=1, dialect=dialect, max_new_tokens=99)
    assert tuple(sorted(result.candidates[0].added)) == tuple(sorted(added))
    assert result.text.startswith(prompt)


def test_what_is_composed_is_the_same_for_every_n_and_stays_within_the_limits(composer):
    rewriter = Rewriter(composer)
    one, four = (rewriter("a fox in a library", n=n, seed=4).candidates for n in (1, 4))
    assert one[0].text == {c.index: c for c in four}[0].text
    short = rewriter("a fox in a library", n=1, max_new_tokens=6).candidates[0]
    assert len(short.added) < len(one[0].added)
    blocked = rewriter("a fox in a library", n=1, block=["shelves", "fur"]).candidates[0]
    assert not {"oak shelves", "red fur"} & set(blocked.added)
    seen = []
    rewriter("a fox in a library", n=2, on_progress=seen.append)
    assert {(told.step, told.total) for told in seen} == {(1, 1)} and len(seen[0].texts()) == 2


@pytest.mark.parametrize(
    ("prompt", "dialect", "text"),
    [
        (
            "a fox in a library",
            "tags",
            "a fox with red fur and a bushy tail in a library, oak shelves, lamplight, "
            "low viewpoint",
        ),
        (
            "A fox sleeps in a library.",
            "prose",
            "A fox with red fur and a bushy tail sleeps in a library with oak shelves, in "
            "lamplight. Low viewpoint.",
        ),
        ("1girl, fox, library", "booru", "1girl, fox, tail, library, bookshelf, indoors"),
        ("a fox statue", "tags", "a fox statue, red fur, bushy tail, low viewpoint"),
        (
            "(a fox:1.2), in a library <lora:x:1>",
            "tags",
            "(a fox:1.2), in a library with oak shelves, red fur, bushy tail, lamplight, "
            "low viewpoint <lora:x:1>",
        ),
    ],
)
def test_a_composer_rewords_the_prompt_where_it_names_a_thing(composer, prompt, dialect, text):
    composer.suitability = Ordered("torn ear", order=FOX)
    asked = {"n": 1, "dialect": dialect, "max_new_tokens": 99, "temperature": 0}
    result = Rewriter(composer)(prompt, mode="rewrite", **asked)
    assert result.text == text and result.candidates[0].kept == 1
    expanded = Rewriter(composer)(prompt, **asked)
    assert set(result.candidates[0].added) == set(expanded.candidates[0].added)


def test_a_reworded_prompt_stays_within_the_limits(composer):
    rewriter = Rewriter(composer)
    asked = {"mode": "rewrite", "dialect": "tags", "seed": 4}
    one, four = (rewriter("a fox in a library", n=n, **asked).candidates for n in (1, 4))
    assert one[0].text == {c.index: c for c in four}[0].text
    assert len({c.text for c in four}) == len(four)
    assert rewriter("a fox in a library", n=4, **asked).candidates == four
    blocked = rewriter("a fox in a library", n=1, block=["fur", "tail"], **asked).text
    assert blocked.startswith("a fox in a library")
    kept = rewriter("a fox in a library", n=1, keep=["fox in a library"], **asked).text
    assert kept.startswith("a fox in a library")
    styled = rewriter("a fox", n=1, style="oil painting", **asked).text
    assert "with" in styled and ", oil painting, " in styled
    short = rewriter("a fox in a library", n=1, token_budget=9, count_tokens=spaced, **asked)
    assert spaced(short.text) <= 9 and "with" in short.text


def spaced(text):
    return len(text.split())


def test_what_trains_a_composer_has_it_write_word_by_word(composer):
    drafter = Drafter(composer, "a fox in a library", Settings(mode="rewrite"), composing=False)
    assert not drafter.composes and not drafter.rewords and drafter.settings.mode == "rewrite"


def test_whether_a_model_composes_is_true_or_false(writer):
    about = writer / "beautifulprompt.json"
    stated = json.loads(about.read_text())
    about.write_text(json.dumps(stated | {"composes": "yes"}))
    with pytest.raises(ModelError, match="'composes' must be true or false"):
        load(writer)
    about.write_text(json.dumps(stated | {"composes": True}))
    assert not load(writer).composes  # it judges nothing


def test_candidates_differ_in_more_than_their_order(composer):
    tags = ", ".join(f"tag{number}" for number in range(8))
    composer.concepts = Concepts([f"fox | creature | tags: {tags}"])
    candidates = Rewriter(composer)("1girl, fox", n=6, seed=3, dialect="booru").candidates
    sets = [frozenset(candidate.added) for candidate in candidates]
    assert len(set(sets)) == len(sets) >= 3


def test_a_style_that_the_prompt_says_is_not_said_twice(composer):
    rewriter = Rewriter(composer)
    twice = rewriter("a fox, oil painting", n=1, dialect="tags", style="Oil painting.").text
    assert twice.lower().count("oil painting") == 1
    styled = rewriter("a fox", n=1, dialect="tags", style="Oil painting.").text
    assert styled.startswith("a fox, Oil painting, ")


def test_what_is_true_of_anything_gains_nothing(composer):
    composer.concepts = Concepts(["* | thing | look: crisp edges; clean outline"])
    asked = {"n": 1, "dialect": "tags"}
    rewriter = Rewriter(composer)
    rewriter._knows_itself = True
    assert rewriter("asdf", **asked).text.startswith("asdf, ")
    assert rewriter("asdf", accept="auto", **asked).text == "asdf"
