"""What a writer is asked: a task for each mode and dialect, with an example that small models need.

Everything stands in the user's turns: some chat templates know no system role.
"""

from __future__ import annotations

from ..text.dialect import BOORU, PROSE, TAGS

EXPAND, REWRITE, TRANSLATE = "expand", "rewrite", "translate"

_RULES = (
    "Answer in English with the text alone, on one line, at most {words} words. No explanation, no "
    "introduction, no list, no brackets, no names of artists, and nobody who is not in the "
    "description."
)
_FORMS = {
    TAGS: "short phrases parted by commas",
    PROSE: "plain sentences",
    BOORU: "Danbooru tags parted by commas",
}
_TASKS = {
    EXPAND: "You write prompts for an image generator. Continue the description with {form} that "
    "make it a more beautiful picture: light, colours, mood, surroundings, composition. Do not "
    "repeat the description. ",
    REWRITE: "You write prompts for an image generator. Put the description into better words, "
    "as {form}: keep every thing, name, number and colour of it, and add light, mood and "
    "composition. ",
    TRANSLATE: "You write prompts for an image generator. Translate the description into "
    "English, all of it, as {form}, and add a little about light and mood behind it. ",
}
_EXAMPLES = {
    (EXPAND, TAGS): (
        "a cat on a sofa",
        "warm lamplight, soft shadows, cosy living room, shallow depth of field, muted colours",
    ),
    (EXPAND, PROSE): (
        "a cat on a sofa",
        "Warm lamplight falls across its fur, and the cosy living room behind fades into soft "
        "shadow. Muted colours give the scene a quiet evening mood.",
    ),
    (EXPAND, BOORU): (
        "1girl, solo, sitting on bench",
        "autumn leaves, park, sunlight, looking away, scarf, blurry background",
    ),
    (REWRITE, TAGS): (
        "cat sofa 2 red pillows",
        "a cat curled up on a sofa between 2 red pillows, warm lamplight, soft shadows, cosy mood",
    ),
    (REWRITE, PROSE): (
        "cat sofa 2 red pillows",
        "A cat lies curled up on a sofa between 2 red pillows. Warm lamplight and soft shadows "
        "give the room a cosy mood.",
    ),
    (REWRITE, BOORU): (
        "girl on bench, autumn",
        "1girl, solo, sitting on bench, autumn, falling leaves, park, sunlight",
    ),
    (TRANSLATE, TAGS): (
        "un perro negro en la playa",
        "a black dog on the beach, golden evening light, gentle waves, calm mood",
    ),
    (TRANSLATE, PROSE): (
        "un perro negro en la playa",
        "A black dog stands on the beach. Golden evening light lies on gentle waves.",
    ),
    (TRANSLATE, BOORU): (
        "una chica en un banco",
        "1girl, solo, sitting on bench, park, sunlight, peaceful",
    ),
}


def messages(
    task: str,
    dialect: str,
    description: str,
    words: int,
    style: str = "",
    keep: tuple[str, ...] = (),
    avoid: tuple[str, ...] = (),
) -> tuple[tuple[str, str], ...]:
    """The chat that asks for one draft, as `Request.messages`.

    Args:
        task: EXPAND, REWRITE or TRANSLATE.
        dialect: TAGS, PROSE or BOORU.
        description: the artist's prose.
        words: that the answer may have.
        style: that the text is to suit.
        keep, avoid: phrases that the answer must, or must not, have.
    """
    example, answer = _EXAMPLES[task, dialect]
    wishes = _TASKS[task].format(form=_FORMS[dialect]) + _RULES.format(words=words)
    if style:
        wishes += f" The style is {style}."
    if keep:
        wishes += f" Use these words as they are: {', '.join(keep)}."
    if avoid:
        wishes += f" Do not write about: {', '.join(avoid)}."
    return (
        ("user", f"{wishes}\n\nDescription: {example}"),
        ("assistant", answer),
        ("user", f"Description: {description}"),
    )
