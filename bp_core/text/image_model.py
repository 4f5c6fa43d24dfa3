"""Which dialect an image model reads, from the names of its text encoders, its class and its file.

Hosts differ in where they hold these names, not in what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..settings import DIALECTS
from .dialect import BOORU, PROSE, TAGS, dialect_of

_AUTO = DIALECTS[0]
CHUNK = 75  # tokens that CLIP reads at once

# What a model was trained to read, where its encoders do not tell: how its class's name begins.
_BY_CLASS = {
    "Anima(?!te)": BOORU,  # Qwen3 and T5, but Danbooru's tags
    "SD3|StableDiffusion3": PROSE,  # often without its T5
    "HiDream": PROSE,
}
# All SDXL, whose encoders are CLIP whatever it was trained further on.
_ANIME = re.compile(r"pony(?!tail)|illustrious|noob|animagine", re.IGNORECASE)
_SENTENCES = re.compile(
    r"flux|chroma|qwen.?image|z.?image|hidream|(?:sd|stable.?diffusion).?3(?:\.?5)?(?!\d)",
    re.IGNORECASE,
)
#: Entries of a safetensors file's metadata that name what the model was made from.
_NAMING = (
    "modelspec.title",
    "modelspec.architecture",
    "modelspec.merged_from",
    "modelspec.tags",
    "ss_sd_model_name",
    "ss_base_model_version",
)


@dataclass(frozen=True)
class ImageModel:
    """What a host knows of the image model that a prompt is for.

    Attributes:
        encoders: names or classes of its text encoders: "clip_l", "T5EncoderModel"; empty if the
            model is not loaded.
        kind: class of the model, or of its text encoders together.
        names: of its file, and in the file's metadata.
    """

    encoders: tuple[str, ...] = ()
    kind: str = ""
    names: tuple[str, ...] = ()

    @property
    def dialect(self) -> str | None:
        """TAGS, PROSE or BOORU; None for a model of which too little is known."""
        for beginning, dialect in _BY_CLASS.items():
            if re.match(beginning, self.kind):
                return dialect
        # Beside CLIP, which sees a heap of phrases, all text encoders are language models.
        if any("clip" not in name.lower() for name in self.encoders):
            return PROSE
        names = " ".join(self.names)
        if _ANIME.search(names):
            return BOORU
        if self.encoders:
            return TAGS
        return PROSE if _SENTENCES.search(names) else None

    @property
    def reason(self) -> str:
        """The names that tell the dialect."""
        by_file = (self.dialect == BOORU and self.names) or not self.encoders
        return ", ".join(self.names[:1] if by_file else self.encoders)


def room(budget: int, dialect: str) -> int | None:
    """A budget in the image model's tokens, 0 for none; one chunk is CLIP's limit, and none for
    sentences, whose encoders read more."""
    return None if not budget or (dialect == PROSE and budget == CHUNK) else budget


def naming(metadata: Mapping[str, object]) -> Iterable[str]:
    """The entries of a checkpoint's metadata that name what it is or was made from."""
    return [str(metadata[key]) for key in _NAMING if metadata.get(key)]


def dialect_for(prompt: str, model: ImageModel | None) -> str:
    """The dialect to write in for an image model; "auto" where too little is known of it.

    Who types Danbooru tags for a model of CLIP's kind has one that was taught them.
    """
    from .prompt import parse  # a host that only starts reads no prompts

    dialect = model.dialect if model else None
    if dialect == TAGS and dialect_of(parse(prompt).prose) == BOORU:
        return BOORU
    return dialect or _AUTO
