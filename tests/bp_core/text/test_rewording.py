"""What is known of a thing is said where the prompt names it, and only where that is English."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bp_core.text.concepts import Concepts
from bp_core.text.fidelity import fidelity
from bp_core.text.looks import look_of
from bp_core.text.notes import Note
from bp_core.text.prompt import parse
from bp_core.text.rewording import Rewording

LINES = """\
fox | creature | look: rust-red fur; white-tipped tail | tags: fox tail, animal
fox in the snow | creature | look: thick winter coat
snow | nature | look: blue drifts
old sailor | person | look: grey beard; dark knit cap
oil painting | style | look: thick impasto ridges
cubist | style | look: split planes
bicycle | vehicle | look: two large spoked wheels; leather saddle
stone wall | thing | look: mossy joints
crow | creature | look: glossy black feathers
octopus | creature | look: rows of suckers; eight curling arms
market | place | look: steam from woks; tarpaulin roofs
train | vehicle | look: light bars sliding over the bank
squid | creature | look: long tentacles
skirt | clothing | tags: pleated skirt
umbrella | thing | tags: shared umbrella
rust | nature | look: powdery edges
rain | nature | tags: wet, puddle
""".strip().splitlines()
CONCEPTS = Concepts(LINES)
LOOKS = [
    Note(look, "look", "main", 5, concept.name)
    for concept in CONCEPTS.named(" . ".join(line.split(" |")[0] for line in LINES))
    for look in concept.fields.get("look", ())
]
LIGHT = Note("low winter sun", "light", "main", 5, "fox")


def woven(prompt, dialect="tags", notes=LOOKS, keep=()):
    return str(Rewording(parse(prompt), CONCEPTS, dialect, keep).weave(notes)[0])


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("a fox in a field", "a fox with rust-red fur and a white-tipped tail in a field"),
        ("a fox in the snow", "a fox with a thick winter coat in the snow"),
        (
            "portrait of an old sailor, oil painting",
            "portrait of an old sailor with a grey beard and a dark knit cap, "
            "oil painting with thick impasto ridges",
        ),
        (
            "A bicycle leans against a stone wall covered with ivy.",
            "A bicycle with two large spoked wheels and a leather saddle leans against a stone "
            "wall with mossy joints, covered with ivy.",
        ),
        (
            "fox, snow, pixel art",
            "fox with rust-red fur and a white-tipped tail, snow with blue drifts, pixel art",
        ),
        # Of several things nothing is said that one has.
        ("two foxes on a hill", "two foxes with rust-red fur on a hill"),
        # A "with" that is there takes one more thing.
        (
            "crow with a silver key in its beak",
            "crow with glossy black feathers and a silver key in its beak",
        ),
        (
            "crow with a key and a ring",
            "crow with glossy black feathers, a key and a ring",
        ),
        # What hangs on a noun comes last.
        ("night market, crowded", "night market with tarpaulin roofs and steam from woks, crowded"),
        (
            "a fox chasing a butterfly",
            "a fox with rust-red fur and a white-tipped tail, chasing a butterfly",
        ),
        (
            "A fox sleeps while a crow with a key sits above it.",
            "A fox with rust-red fur and a white-tipped tail sleeps while a crow with a key sits "
            "above it.",
        ),
    ],
)
def test_a_look_is_woven_in_behind_its_thing(prompt, text):
    assert woven(prompt) == text


@pytest.mark.parametrize(
    "prompt",
    [
        "a fox statue",
        "bicycle repair shop",
        "fox-red scarf",
        "no fox in the field",
        "a field without a fox",
        "a fox of glass",
        "the fox's den",
        "the Fox in London",
        "Fox News",
        'a "fox" sign',
        "(a fox:1.2)",
        "a (red:1.2) fox, (fox",
        "[fox|crow] in a field",
        "__fox__",
        "fox:red",
        "a lamp made of fox, bone",
        "a fox on fire",
        "a man with a fox in a field",
        "a fox and a dog",
        "cubist",
        "stripes in maroon and rust, ink",
        "an oil painting in a temple of a saint",
        "a fox in a field, another fox",
        "A squid, a crab and a lobster lie on ice.",
        "a train crossing a bridge",
        "a fox & <crow>",
        "a lion in the style of a fox, ink",
    ],
)
def test_where_it_would_not_be_english_nothing_is_woven_in(prompt):
    assert woven(prompt) == prompt


def test_a_light_stands_before_the_full_stop_of_a_sentence():
    said = woven("A cat sleeps.", "prose", [LIGHT])
    assert said == "A cat sleeps, in low winter sun."
    for prompt in ("A cat sleeps in the sun.", "a cat sleeps", 'A cat says "hi".'):
        assert woven(prompt, "prose", [LIGHT]) == prompt
    glare = LIGHT._replace(text="sweeping beam through fog")
    assert woven("A cat sleeps.", "prose", [glare]) == "A cat sleeps."


def test_tags_stand_behind_those_they_belong_to():
    tags = [
        Note(tag, "tags", "main", 5, concept.name)
        for concept in CONCEPTS.named("skirt, umbrella, rain, fox")
        for tag in concept.fields["tags"]
    ]
    assert woven("1girl, skirt, umbrella, rain, sky", "booru", tags[:3]) == (
        "1girl, skirt, pleated skirt, umbrella, shared umbrella, rain, wet, sky"
    )
    # Not inside brackets, and what the prompt does not name stays for behind it.
    assert woven("1girl, (skirt, rain:1.2), sky", "booru", tags) == "1girl, (skirt, rain:1.2), sky"


def test_what_has_no_room_is_given_back():
    _, left = Rewording(parse("a fox in a field"), CONCEPTS, "tags").weave([*LOOKS, LIGHT])
    assert LIGHT in left and {note.concept for note in left} >= {"snow", "crow"}
    assert not {"rust-red fur", "white-tipped tail"} & {note.text for note in left}


def test_a_phrase_to_be_kept_stays_whole():
    prompt = "a fox in a field"
    assert woven(prompt, keep=["fox in"]) == prompt
    assert woven(prompt, keep=["a fox"]) != prompt


@pytest.mark.parametrize(
    ("note", "text"),
    [
        ("rust-red fur", "rust-red fur"),
        ("white-tipped tail", "a white-tipped tail"),
        ("amber eyes", "amber eyes"),
        ("old brass handle", "an old brass handle"),
        ("S-curved neck", "an S-curved neck"),
        ("row of small buttons", "a row of small buttons"),
        ("one bent ear", "one bent ear"),
        ("two large spoked wheels", "two large spoked wheels"),
        ("big round eyes", "big round eyes"),
        ("hair tied back in a bun", "hair tied back in a bun"),
        ("red and white bands", "red and white bands"),
        ("keeper's cottage at the base", None),  # no part, and no word of the lists
        ("rubber grips and bell", None),
        ("tilted on its side", None),
        ("fills the frame edge to edge", None),
        ("centred", None),
        ("straight down", None),
        ("smooth dense wedge", None),
        ("wheels with worn tyres", None),
        ("ridge line above", None),
        ("", None),
    ],
)
def test_looks_get_their_article_or_are_none(note, text):
    look = look_of(note)
    assert (look and look.text) == text


@given(
    st.lists(
        st.sampled_from(
            "a fox the snow crow with and in on of, . ( ) [ ] : 1.2 <lora:x:1> BREAK bicycle stone "
            'wall old sailor " \n, oil painting, made leans running no __x__ | {a|b} ﬁ'.split(" ")
        ),
        max_size=14,
    ).map(" ".join)
)
@example('fox " of, a "')  # nothing goes into a quotation
def test_nothing_of_the_prompt_is_moved_or_lost(prompt):
    for dialect in ("tags", "prose", "booru"):
        text = woven(prompt, dialect, [*LOOKS, LIGHT])
        assert parse(text).items == parse(prompt).items
        assert fidelity(prompt, text).kept == 1
        letters = iter(text)
        assert all(letter in letters for letter in prompt)
