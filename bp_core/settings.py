"""Everything that an artist may choose about a rewrite, checked in one place for all skins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .errors import InputError

MODES = ("expand", "rewrite")
DIALECTS = ("auto", "tags", "prose", "booru")
ACCEPT = ("always", "auto")
# In `text/syntax_tables.py` each has its table.
SYNTAXES = tuple("auto webui comfyui sdnext invoke swarm novelai midjourney plain".split())
MOST_CANDIDATES = 64
LONGEST_STYLE = 1000  # characters: each candidate reads them


@dataclass(frozen=True)
class Settings:
    """How to rewrite; every field may be given to a call of `Rewriter` by name.

    Attributes:
        mode: "expand" keeps the artist's text and writes on; "rewrite" words the prose anew.
        dialect: what is added: "tags" (phrases, for SD and SDXL), "prose" (sentences, for Flux and
            its kin), "booru" (Danbooru tags, for anime models), or "auto", what the prompt itself
            is. A model that was taught one kind writes that.
        syntax: the host whose syntax the prompt is in: "webui", "comfyui", "sdnext", "invoke",
            "swarm", "novelai", "midjourney", "plain" (text is text), or "auto", a careful reading
            of all of them.
        n: candidates per prompt, 1 to 64.
        seed: same model, prompt, settings and seed give the same text; candidate i is the same
            for every n.
        temperature, top_k, top_p, repetition_penalty: sampling; temperature 0 is greedy and
            gives one candidate.
        max_new_tokens, min_new_tokens: longest and shortest addition that the model may write, in
            its tokens, before the guard tidies it.
        token_budget: longest whole prompt in the image model's tokens, as `count_tokens` counts
            them; what is added is cut at a phrase, the artist's own words never.
        count_tokens: counter of the image model's tokens; the model's own tokenizer if None.
        keep: phrases of the prompt that must survive as they are (trigger words).
        block: words, phrases or /regular expressions/ that must not be added.
        style: free text that leads what is added.
        min_kept: share (0-1) of the artist's content words that a candidate must keep, after
            lost ones have been put back; a candidate under it is dropped.
        min_taste: least probability (0-1) that an added phrase suits the prompt, as a reader would
            find; 0 lets everything pass. Only where there is a reward, which reads for it.
        accept: "always", or "auto" to leave a prompt alone when no candidate scores `margin`.
        margin: least score of a candidate under "auto"; see `Candidate.score`.
        into_english: in mode "rewrite", turn a prompt in another language into English. Only where
            a language model writes that reads it (see `writers`); our own models read English.

    Raises:
        InputError: a value out of range.
    """

    mode: str = "expand"
    dialect: str = "auto"
    n: int = 4
    seed: int = 0
    temperature: float = 0.6
    top_k: int = 50
    top_p: float = 0.9
    repetition_penalty: float = 1.0
    max_new_tokens: int = 48
    min_new_tokens: int = 8
    token_budget: int | None = None
    count_tokens: Callable[[str], int] | None = None
    keep: Sequence[str] = ()
    block: Sequence[str] = ()
    style: str = ""
    min_kept: float = 1.0
    min_taste: float = 0.5
    accept: str = "always"
    margin: float = 0.1
    into_english: bool = False
    syntax: str = "auto"

    def __post_init__(self) -> None:
        choices = {"mode": MODES, "dialect": DIALECTS, "accept": ACCEPT, "syntax": SYNTAXES}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}: use one of {', '.join(allowed)}"
                )
        if not 1 <= self.n <= MOST_CANDIDATES:
            raise InputError(f"n is {self.n}: ask for 1 to {MOST_CANDIDATES} candidates")
        for name in ("min_kept", "min_taste"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}: use a number from 0 to 1")
        for name, least, most in (
            ("temperature", 0.01, 100),
            ("repetition_penalty", 0.01, 100),
        ):
            value = getattr(self, name)
            if not (least <= value <= most or (name == "temperature" and value == 0)):
                raise InputError(f"{name} is {value}: use a number from {least} to {most}")
        if len(self.style) > LONGEST_STYLE:
            raise InputError(
                f"style has {len(self.style)} characters: shorten it to {LONGEST_STYLE}"
            )
        if self.token_budget is not None and self.token_budget < 1:
            raise InputError(f"token_budget is {self.token_budget}: use 1 or more, or None")
        for name in ("keep", "block"):
            if isinstance(getattr(self, name), str):
                raise InputError(f"{name} is one string: give a list of strings")
