"""Instruction templates as data: how a model was taught to read a prompt and where it writes."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from ..errors import ModelError


@dataclass(frozen=True)
class Template:
    """Text around the artist's prose. `{raw}` stands for that prose, once or more, `{dialect}` for
    the kind of prompt that is wanted, `{notes}` for what is known of the things that it names.

    Attributes:
        name: key in TEMPLATES, or a name of the model's own.
        rewrite: the model continues this with a whole new prompt.
        expand: the model continues this with phrases that follow the artist's own words.
        lead: written between the template and the target when the model was trained; kept out of
            the template because a space there would split the target's first token.
        judge: behind this the model reads phrases and tells which suit (see `suitability`); ""
            for one that was not taught to.
    """

    name: str
    rewrite: str
    expand: str
    lead: str = ""
    judge: str = ""

    def __post_init__(self) -> None:
        for field in ("rewrite", "expand"):
            if "{raw}" not in getattr(self, field):
                raise ModelError(
                    f"template '{self.name}' has no {{raw}} in its '{field}' text: "
                    "mend beautifulprompt.json"
                )

    @property
    def dialects(self) -> bool:
        """Whether the model was taught to write several kinds of prompt."""
        return "{dialect}" in self.expand

    @property
    def notes(self) -> bool:
        """Whether the model was taught to read notes (see `text.concepts`)."""
        return "{notes}" in self.expand

    def pieces(self, mode: str, dialect: str = "tags") -> tuple[str, ...]:
        """The template of `mode` ("expand", "rewrite" or "judge") cut at each `{raw}` and
        `{notes}`, which stand between the pieces.

        Encoding the pieces apart from the prose keeps a prompt that imitates the template from
        being read as one.
        """
        whole = getattr(self, mode).replace("{dialect}", dialect)
        return tuple(re.split(r"(\{raw\}|\{notes\})", whole))

    def to_dict(self) -> dict[str, str]:
        fields = asdict(self)
        return fields if self.judge else {k: v for k, v in fields.items() if k != "judge"}


_V1 = (
    "Instruction: Give a simple description of the image to generate a drawing prompt.\n"
    "Input: {raw}\nOutput:"
)
_V2 = (
    "Converts a simple image description into a prompt. Prompts are formatted as multiple related "
    "tags separated by commas, plus you can use () to increase the weight, [] to decrease the "
    "weight, or use a number to specify the weight. You should add appropriate words to make the "
    "images described in the prompt more aesthetically pleasing, but make sure there is a "
    "correlation between the input and output.\n### Input: {raw}\n### Output:"
)

# v1 and v2 were trained to rewrite only; beginning their output with the artist's own words
# turns them into expanders.
TEMPLATES: dict[str, Template] = {
    t.name: t
    for t in (
        Template("v1", rewrite=_V1, expand=_V1 + " {raw},", lead=" "),
        Template("v2", rewrite=_V2, expand=_V2 + " {raw},", lead=" "),
        Template("starter", rewrite="{raw}<|rewrite|>", expand="{raw}<|expand|>"),
        # The output goes on from the artist's last word, with the comma or full stop before it.
        Template(
            "dialects",
            rewrite="<|notes|>{notes}<|{dialect}|>{raw}<|rewrite|>",
            expand="<|notes|>{notes}<|{dialect}|>{raw}",
            judge="<|{dialect}|>{raw}<|notes|>",
        ),
    )
}

# Published weights that carry no beautifulprompt.json of ours.
KNOWN_MODELS: dict[str, str] = {
    "alibaba-pai/pai-bloom-1b1-text2prompt-sd": "v1",
    "alibaba-pai/pai-bloom-1b1-text2prompt-sd-v2": "v2",
}
