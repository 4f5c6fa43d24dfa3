"""What readers made of versions without names: votes counted, with intervals and agreement."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import sqrt
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from bp_core.errors import InputError
from train.compare.secret import uncover
from train.compare.versions import Item

FORMAT = "votes of Beautiful Prompt"


class Vote(NamedTuple):
    """Of two versions of an item the one kept and the one left, by their places."""

    item: int
    kept: int
    left: int
    equal: bool = False


@dataclass(frozen=True)
class Reading:
    """One reader's votes.

    Attributes:
        marks: 1 to 5, by item and version.
        wrong: versions with something wrong.
    """

    reader: str
    items: Sequence[Item]
    votes: Sequence[Vote]
    marks: dict[tuple[int, int], int] = field(default_factory=dict)
    wrong: set[tuple[int, int]] = field(default_factory=set)

    def judged(self) -> set[tuple[int, int]]:
        """Versions that were marked, or called wrong."""
        return self.marks.keys() | self.wrong


def read_votes(path: Path) -> Reading:
    """The file that the voting page exports; raises InputError for anything else."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["format"] != FORMAT:
            raise ValueError(f"its format is {said['format']!r}")
        secret = json.loads(uncover(said["key"], said["id"]))
        items = tuple(
            Item(
                item["prompt"],
                item["dialect"],
                tuple(texts),
                tuple(tuple(secret["names"][i] for i in of_version) for of_version in writers),
                seed=item["seed"],
            )
            for item, texts, writers in zip(
                said["items"], secret["texts"], secret["writers"], strict=True
            )
        )
        votes = []
        for vote in said["votes"]:
            sides = vote["left"], vote["right"]
            kept, left = sides if vote["choice"] != "right" else sides[::-1]
            votes.append(Vote(vote["item"], kept, left, vote["choice"] == "equal"))
        marks = {(m["item"], m["version"]): m["mark"] for m in said["marks"] if m["mark"]}
        wrong = {(m["item"], m["version"]) for m in said["marks"] if m["wrong"]}
        reading = Reading(said["reader"] or path.stem, items, votes, marks, wrong)
        # What the counts will look up: a row that points nowhere is told here.
        for place, version in [*reading.judged(), *((v.item, v.kept) for v in votes)]:
            items[place].writers[version]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"{path} holds no votes ({error}): export them from the page") from error
    return reading


def count(readings: Sequence[Reading]) -> dict:
    """Preferences, marks and shares with something wrong, by dialect and of all; agreement.

    A preference is the share (0-1) of the decided votes, with Wilson's 95 % interval.
    """
    dialects = sorted({r.items[v.item].dialect for r in readings for v in r.votes})
    kinds = [*(dialects if len(dialects) > 1 else []), "all"]
    figures = {kind: _figures(readings, kind) for kind in kinds}
    same, of = agreement(readings)
    return figures | {
        "readers": [reading.reader for reading in readings],
        "votes": sum(len(reading.votes) for reading in readings),
        "agreement": same / of if of else None,
        "agreement_of": of,
    }


def _figures(readings: Sequence[Reading], dialect: str) -> dict:
    marks, flaws = defaultdict(list), defaultdict(list)
    wins, ties = defaultdict(list), defaultdict(int)
    for reading in readings:
        wanted = [dialect in (item.dialect, "all") for item in reading.items]
        for place, version in reading.judged():
            for name in reading.items[place].writers[version] if wanted[place] else ():
                flaws[name].append((place, version) in reading.wrong)
                if (place, version) in reading.marks:
                    marks[name].append(reading.marks[place, version])
        for vote in reading.votes:
            for one, other in _writers(reading, vote) if wanted[vote.item] else ():
                if vote.equal:
                    ties[one, other] += 1
                    ties[other, one] += 1
                else:
                    wins[one, other].append(True)
                    wins[other, one].append(False)
    return {
        "mark": {name: mean(values) for name, values in sorted(marks.items())},
        "wrong": {name: mean(values) for name, values in sorted(flaws.items())},
        "preferred": {
            f"{one} to {other}": {
                "share": mean(wins[one, other]) if wins[one, other] else None,
                "interval": wilson(sum(wins[one, other]), len(wins[one, other])),
                "decided": len(wins[one, other]),
                "equal": ties[one, other],
            }
            for one, other in sorted(wins.keys() | ties.keys())
        },
    }


def _writers(reading: Reading, vote: Vote) -> Iterator[tuple[str, str]]:
    """(writer of what was kept, writer of what was left), for each who wrote them."""
    writers = reading.items[vote.item].writers
    return ((a, b) for a in writers[vote.kept] for b in writers[vote.left])


def wilson(wins: int, of: int, z: float = 1.959964) -> list[float]:
    """Wilson's interval (95 %) of a share; 0 to 1 where there is no vote."""
    if not of:
        return [0.0, 1.0]
    share, square = wins / of, z * z / of
    half = z * sqrt(share * (1 - share) / of + square / (4 * of)) / (1 + square)
    middle = (share + square / 2) / (1 + square)
    return [max(0.0, middle - half), min(1.0, middle + half)]


def agreement(readings: Sequence[Reading]) -> tuple[int, int]:
    """(pairs that two readers decided alike, pairs that both decided), over all two readers."""
    choices = []
    for reading in readings:
        choice = {}
        for vote in reading.votes:
            item = reading.items[vote.item]
            kept, left = ((item.texts[v], item.writers[v]) for v in (vote.kept, vote.left))
            if not vote.equal:
                choice[item.prompt, item.seed, frozenset((kept, left))] = kept
        choices.append(choice)
    same = [
        one[pair] == other[pair]
        for one, other in combinations(choices, 2)
        for pair in one.keys() & other.keys()
    ]
    return sum(same), len(same)


def table(figures: dict) -> str:
    """What `count` found, as Markdown."""
    lines = ["| preferred | share | 95 % | decided | equal |", "|---|---|---|---|---|"]
    for name, row in figures["all"]["preferred"].items():
        low, high = row["interval"]
        share = "" if row["share"] is None else f"{row['share']:.1%}"
        counts = f"{row['decided']} | {row['equal']}"
        lines.append(f"| {name} | {share} | {low:.1%} to {high:.1%} | {counts} |")
    if figures["all"]["wrong"]:
        lines += ["", "| | mean mark | something wrong |", "|---|---|---|"]
        for name, share in figures["all"]["wrong"].items():
            mark = figures["all"]["mark"].get(name)
            lines.append(f"| {name} | {'' if mark is None else f'{mark:.2f}'} | {share:.1%} |")
    lines += ["", f"{figures['votes']} votes of {', '.join(figures['readers'])}."]
    if figures["agreement_of"]:
        same, of = figures["agreement"], figures["agreement_of"]
        lines.append(f"Readers agree on {same:.1%} of the {of} pairs that two of them decided.")
    return "\n".join(lines)
