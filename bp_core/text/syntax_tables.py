"""What each host reads as syntax, as tables; `syntax.py` reads prompts by them.

A table says which tokens there are, in order of precedence, what parts a prompt into sections,
which brackets run on when they are left open, and when a final ":1.2" is a weight.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from .words import CJK

_SPACE = r"(?<![^\s,()\[\]{}])"  # what an emoticon may stand behind
_KEYWORD = r"(?:BREAK|AND|ADD[BCR]|TE\d:|https?:|embedding:|Steps:[ ]*\d|Negative[ ]prompt:|__)"
_LINE = r"[^\n]*\n?"
_DECIMAL = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
_FACE = r"""
    [>~]?[:;=]['’]?[-o^]?[DdPpOo3|/<>cCSsXxqQtTiI*@]
  | [:;=]\\(?![()\[\]])
  | \^[_.~-]*\^;? | >[_.]*< | <3+ | [@+=*;][_.][@+=*;] | \\[mo]/ | \|[_]\|
"""
_INSIDE = r"(?:[^<>]|<[^<>]*>)*"

#: Tokens by name: kind, pattern. A name is its kind, or its kind and what tells it from others.
TOKENS = {
    # SwarmUI's tags that stand for words; NovelAI's choice.
    "wildcard tag": r"<(?:random|wildcard|wc|alternate|alt|fromto|repeat"
    r"|(?:set)?(?:var|macro)|preset|p|trigger|embed)"
    rf"(?:\[[^\[\]<>]*\])?(?::{_INSIDE})?>",
    "wildcard either": r"\|\|[^|\n]+(?:\|[^|\n]+)+\|\|",
    "network": rf"<[^<>:\s]+:{_INSIDE}>",
    # SwarmUI's parts of a prompt, each for another region or stage.
    "separator part": r"<(?:segment|clear|object|region|extend|base|refiner|video|videoswap|break)"
    r"\b[^<>]*>",
    "network tag": rf"<[a-z]+(?:\[[^\[\]<>]*\])?(?::{_INSIDE})?>",
    "embedding": r"<[^<>\s,]+> | (?<!\w)embedding:[ \t]*[^\s,:()\[\]{}<>|\\\#]+",
    "wildcard": r"__(?=\S)(?:[^\s_,(){}\[\]<>|:]|[ ]|_(?!_)|\$?\{[^{}\n]*\})+"
    r"(?:\([^()\n]*\))?(?<=\S)__",
    "comment": rf"\#{_LINE}",
    # "C#", "#1", "#FF5733" and "#tag" are read; "# a note" is not.
    "comment careful": rf"(?<![^\W{CJK}])(?<!['’])(?<!(?<!-)-)\#(?=[ \t\#]){_LINE}",
    "comment slash": rf"(?:(?<!\w)https?:|(?<!\S))//{_LINE}",
    "block": r"/\*",
    "newline": r"[\r\n]",
    # Parameters that were pasted with the prompt, to its end.
    "end": r"(?<!\w)(?:Negative[ ]prompt:|Steps:[ ]*\d+,[ ]*[A-Z])(?s:.*)",
    # Midjourney's parameters: the flags that it knows, to the end.
    "end flag": r"(?<![^\s,;.!?])(?:--|—)(?:ar|aspect|no|v|version|s|stylize|c|chaos|seed|q|quality"
    r"|sameseed|niji|iw|sref|cref|oref|sw|sv|cw|ow|style|tile|weird|w|stop|repeat|r|raw|p|profile|hd|uplight"
    r"|draft|fast|relax|turbo|stealth|public|video|motion|loop|end|bs|test|exp)(?!\w|-(?!-))(?s:.*)",
    "flag": r"(?<![^\s,;.!?])--[A-Za-z]\w*(?:[ =]\d+(?:[.:]\d+)*)?(?![\w\#]|-(?!-))",
    "number": r"(?<![\w.:])\d+(?:\.\d+)?(?::\d+)+(?![\d\#]|:(?!\d*\.\d)|\.\d)",
    "multi closed": rf"(?<![\w.:]){_DECIMAL}::(?:(?!::)[^\n])*::",
    "bracket multi": rf"(?<![\w.:]){_DECIMAL}::",
    "multi": rf"::\s?{_DECIMAL}(?![\w.])",
    "multi part": r"::",
    "tag": r"(?<=[A-Za-z_]):(?=[A-Za-z_]|[-+]?\d+(?![\w.]))"
    r"(?!BREAK|AND|ADD[BCR]|TE\d|embedding:|Steps:|Negative|https?:|__)",
    "plus": rf"(?<=[\w)\"])(?:\++|--+)(?![+\-])(?:(?!\w)|(?={_KEYWORD}))",
    "emoticon": rf"{_SPACE}(?:{_FACE})(?:(?!\w)|(?={_KEYWORD}))",
    "link": r"(?<!\w)https?://[^\s,]+",
    "escape": r"\\[()\[\]{}|\\]?",
    "escape round": r"\\[()]",
    "hash": r"\#\w*",
    "bracket": r"[$%]?\{ | [()\[\]}]",
}


@dataclass(frozen=True)
class Syntax:
    """How a host reads a prompt.

    Attributes:
        name: as `Settings.syntax` has it.
        source: what was read for it.
        tokens: names of `TOKENS`; of two that match, the first wins.
        separators: words that part sections, as a pattern; "" for none.
        borders: separators over which no open bracket reaches.
        runs_on: brackets that weight all that follows when they are left open.
        final_weight: "host" if a final ":1.2" is a weight in every section; "careful" if it needs
            a decimal point or an AND in the prompt; "" for never.
        suffix: a number or signs right behind a bracket weight it, "(forest)1.3".
        escapes_join: an escaped sign is read as part of the text before it, over brackets.
    """

    name: str
    source: str
    tokens: tuple[str, ...]
    separators: str = ""
    borders: tuple[str, ...] = ("AND",)
    runs_on: str = "(["
    final_weight: str = ""
    suffix: bool = False
    escapes_join: bool = False

    def is_border(self, separator: str) -> bool:
        """Whether brackets end at a separator; at SwarmUI's parts and NovelAI's bars all do."""
        return separator in self.borders or separator[0] in "<|T"

    @cached_property
    def token(self) -> re.Pattern:
        """A token of this host; its `lastgroup` is the kind, the name's first word, and a digit."""
        groups = [
            f"(?P<{name.split()[0]}{n}> {TOKENS[name]} )" for n, name in enumerate(self.tokens)
        ]
        if self.separators:
            groups.insert(0, f"(?P<separator> {self.separators} )")
        # The look-ahead passes over most characters quickly.
        start = r"(?= [^\w\s,.'’] | [_\dABNST\r\n] | embedding: | https?: )"
        return re.compile(f"{start} (?: {' | '.join(groups)} )", re.VERBOSE)


_REGIONS = r"ADD(?:BASE|COMM|ROW|COL)"
_ANYWHERE = ("end", "end flag")

_TABLES = (
    Syntax(
        "webui",
        "AUTOMATIC1111 1.10.1: prompt_parser.py, extra_networks.py, comments.py; "
        "dynamicprompts 0.31.0: parse.py; regional-prompter from memory",
        # Apart from words, // and /* */ are comments of sd-dynamic-prompts; the host reads them.
        ("comment", "comment slash", "block", *_ANYWHERE, "network", "embedding", "wildcard")
        + ("newline", "emoticon", "number", "tag", "multi", "escape", "bracket"),
        separators=rf"\b(?:BREAK|AND(?:_[A-Z]+)?|{_REGIONS})\b",
        final_weight="host",
    ),
    Syntax(
        "comfyui",
        "ComfyUI 0.33: sd1_clip.py; frontend 1.49.6: processDynamicPrompt",
        ("network", "embedding", "wildcard", "comment slash", "block", "newline", *_ANYWHERE)
        + ("emoticon", "number", "tag", "multi", "escape round", "hash", "bracket"),
        runs_on="(",
    ),
    Syntax(
        "sdnext",
        "SD.Next 058a7f0: prompt_parser.py (native), prompt_parser_diffusers.py",
        (*_ANYWHERE, "network", "embedding", "wildcard", "newline", "emoticon", "number", "tag")
        + ("multi", "escape", "hash", "bracket"),
        separators=r"\bBREAK\b|\#\#|\bTE[234]:",
        escapes_join=True,
    ),
    Syntax(
        "invoke",
        "compel 2.5.1: prompt_parser.py; InvokeAI's dynamic prompts: dynamicprompts 0.31.0",
        (*_ANYWHERE, "network", "embedding", "wildcard", "newline", "emoticon", "number", "tag")
        + ("multi", "plus", "escape", "hash", "bracket"),
        runs_on="",
        suffix=True,
    ),
    Syntax(
        "swarm",
        "SwarmUI 0372f41: docs/Features/Prompt Syntax.md",
        (*_ANYWHERE, "separator part", "wildcard tag", "network tag", "network", "embedding")
        + (
            "wildcard",
            "newline",
            "emoticon",
            "number",
            "tag",
            "multi",
            "escape",
            "hash",
            "bracket",
        ),
        runs_on="(",
    ),
    Syntax(
        "novelai",
        "NovelAI, read in November 2026: docs.novelai.net/image/tags for braces and brackets; "
        "1.5::…:: as prompts for V4.5 have it; bars from memory",
        (
            *_ANYWHERE,
            "wildcard either",
            "multi closed",
            "bracket multi",
            "wildcard",
            "newline",
            "emoticon",
            "number",
        )
        + ("tag", "hash", "bracket"),
        separators=r"(?<!\|)\|(?!\|)",
        runs_on="{[",
    ),
    Syntax(
        "midjourney",
        "Midjourney 7 and 8.1, read in November 2026: the parameters in docs.evolink.ai's guides, "
        "multi-prompts in learnprompting.org; its own documentation was out of reach",
        (*_ANYWHERE, "flag", "link", "newline", "emoticon", "number", "tag", "multi", "multi part")
        + ("hash", "bracket"),
        runs_on="",
    ),
    Syntax("plain", "none: text is text", (*_ANYWHERE, "newline"), runs_on=""),
    Syntax(
        "auto",
        "all of the above, the most careful reading of each",
        (*_ANYWHERE, "separator part", "wildcard tag", "network", "embedding", "wildcard")
        + (
            "comment careful",
            "comment slash",
            "block",
            "newline",
            "flag",
            "emoticon",
            "number",
            "multi closed",
        )
        + ("multi", "tag", "plus", "escape", "hash", "bracket"),
        separators=rf"(?<![^\W{CJK}])(?:BREAK|AND(?:_[A-Z]+)?|{_REGIONS})(?![^\W{CJK}])(?![#])",
        final_weight="careful",
        suffix=True,
    ),
)

SYNTAXES = {table.name: table for table in _TABLES}
