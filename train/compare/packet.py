"""A packet to read blind without a browser: versions as A, B, C …, and who wrote which in a key.

A reader writes a line an item: number, ranking, marks, and the letters with something wrong, with
tabs between them: `34    CABD    A2 B1 C5 D1    BD`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from bp_core.errors import InputError
from train.compare.versions import Item
from train.compare.votes import Reading, Vote
from train.report.page import write_whole

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def write_packet(out: Path, items: Sequence[Item]) -> None:
    """`packet.txt` for the readers, and `key.json`, which they must not see."""
    lines, key = [], {}
    for number, item in enumerate(items, 1):
        rows = [
            f"  {LETTERS[i]}{_addition(item.prompt, text)}" for i, text in enumerate(item.texts)
        ]
        lines.append("\n".join([f"#{number} [{item.dialect}] {item.prompt}", *rows]))
        key[number] = {
            "prompt": item.prompt,
            "dialect": item.dialect,
            "texts": dict(zip(LETTERS, item.texts, strict=False)),
            "writers": dict(zip(LETTERS, item.writers, strict=False)),
        }
    write_whole(out / "packet.txt", "\n\n".join(lines) + "\n")
    write_whole(out / "key.json", json.dumps(key, ensure_ascii=False) + "\n")


def _addition(prompt: str, text: str) -> str:
    if text.startswith(prompt):
        text = text[len(prompt) :]
    return text if text.startswith((",", ".")) else f" … {text.strip()}"


def read_packet_votes(path: Path, key: Path) -> Reading:
    """A reader's lines; raises InputError for an item or a letter that the key lacks."""
    items = _read_key(key)
    votes, marks, wrong = [], {}, set()
    places = {number: place for place, number in enumerate(items)}
    for count, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        number, ranking, marked, flawed = (*line.split("\t"), "", "", "")[:4]
        number = number.strip("# ")
        if not number.isdigit():
            continue
        try:
            place = places[number]
            size = len(items[number].texts)
            order = [_letter(c, size) for c in ranking.strip()]
            votes += [Vote(place, kept, left) for kept, left in combinations(order, 2)]
            marks |= {(place, _letter(m[0], size)): int(m[1:]) for m in marked.split()}
            wrong |= {(place, _letter(c, size)) for c in flawed if c.isalpha()}
        except (KeyError, ValueError) as error:
            raise InputError(f"{path}, line {count}: {error} is not in {key}") from None
    if not votes:
        raise InputError(f"{path} has no votes: a line is number, ranking, marks, wrong ones")
    return Reading(path.stem, tuple(items.values()), votes, marks, wrong)


def _letter(letter: str, size: int) -> int:
    return LETTERS[:size].index(letter)


def _read_key(path: Path) -> dict[str, Item]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {
            number: Item(
                # A key without texts counts, but nothing can be learned from it.
                row.get("prompt", ""),
                row["dialect"],
                tuple(row.get("texts", {c: f"#{number}{c}" for c in row["writers"]}).values()),
                tuple(map(tuple, row["writers"].values())),
            )
            for number, row in rows.items()
        }
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is no key of a packet ({error}): give its key.json") from error
