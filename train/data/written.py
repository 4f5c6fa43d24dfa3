"""Additions written for the project, `train/starter/pairs/*.jsonl`: read, checked, told as figures.

A row has `prompt`, `dialect` (tags, prose, booru), `mode` (expand: `text` goes behind the prompt;
rewrite: `text` is the prompt written anew) and `text`; `notes` where it was written from some (see
`bp_core/text/concepts.py`). How they were written: `RULES.md` there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bp_core.errors import InputError
from bp_core.settings import DIALECTS, MODES
from bp_core.text.words import clauses, words
from train.data.json_lines import read_json_lines

PAIRS = Path(__file__).resolve().parents[1] / "starter" / "pairs"
_MARKS = ",.;:!?"


class Written(NamedTuple):
    """One addition to a prompt, or one new wording of it."""

    prompt: str
    dialect: str
    mode: str
    text: str
    notes: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """What a model writes right behind the prompt's last character, its joint included."""
        if self.mode == "rewrite":
            return self.text
        last = self.prompt.rstrip()[-1:]
        if self.dialect == "prose":
            return self.text if self.text[0] in _MARKS else f" {self.text}"
        if last in ".!?":
            return f" {self.text[0].upper()}{self.text[1:]}"
        return f" {self.text}" if last in ",;:" else f", {self.text}"


def read_written(folder: Path = PAIRS) -> dict[str, list[Written]]:
    """The rows of each file, by its name; raises InputError for a row of another form."""
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise InputError(f"no pairs in {folder}: give a folder of .jsonl files")
    return {path.stem: list(read_json_lines(path, _row)) for path in files}


def _row(fields: dict) -> Written:
    row = Written(**{**fields, "notes": tuple(fields.get("notes", ()))})
    if row.dialect not in DIALECTS[1:] or row.mode not in MODES:
        raise ValueError(f"dialect {row.dialect!r}, mode {row.mode!r}")
    if not words(row.prompt) or not row.text.strip():
        raise ValueError("prompt or text has no words")
    return row


def variety(rows: Sequence[Written]) -> dict[str, tuple[str, float]]:
    """The commonest opening bigram and the commonest phrase of the additions, with their shares
    (0-1). Danbooru tags are a fixed vocabulary: their phrases are not counted."""
    additions = [row for row in rows if row.mode == "expand"]
    openings = Counter(" ".join(words(row.text)[:2]) for row in additions)
    phrases = Counter(
        phrase.lower()
        for row in additions
        if row.dialect != "booru"
        for phrase in set(clauses(row.text))
    )
    share = 1 / max(1, len(additions))
    return {
        name: (counter.most_common(1)[0][0], counter.most_common(1)[0][1] * share)
        for name, counter in (("opening", openings), ("phrase", phrases))
    }


def figures(rows: Sequence[Written]) -> dict[str, int]:
    """Counts: prompts, additions, additions by dialect, rewrites."""
    counts = {"prompts": len({row.prompt.lower() for row in rows})}
    counts["additions"] = sum(row.mode == "expand" for row in rows)
    for dialect in DIALECTS[1:]:
        counts[dialect] = sum(r.mode == "expand" and r.dialect == dialect for r in rows)
    return counts | {"rewrites": sum(row.mode == "rewrite" for row in rows)}


def praises(text: str) -> bool:
    """Whether a text has a word of praise, size or brand, which the rules rule out."""
    return bool(_PRAISE.search(text))


_PRAISE = re.compile(
    r"\b(?:masterpiece|best quality|high quality|stunning|beautiful|gorgeous|breathtaking|majestic"
    r"|award.winning|(?:highly|intricately|ultra|hyper).?detailed|intricate details?|hyper.?real\w*"
    r"|ultra.?real\w*|[48]k|hdr|uhd|trending|artstation|unreal engine|octane|canon|nikon|leica"
    r"|hasselblad|fujifilm|kodak|portra)\b",
    re.IGNORECASE,
)
