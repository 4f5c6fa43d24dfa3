"""Reading blind: packets of additions without names, and what readers made of them.

    python benchmarks/blind.py packet --prompts prompts.jsonl --version new=new.jsonl \\
        --version old=old.jsonl --out blind
    python benchmarks/blind.py count --key blind/key.json reader1.tsv reader2.tsv

A prompt file has `prompt` and `dialect` a line; a version file has `text`, the whole prompt with
its addition, in the same order (`bp beautify --json` writes that). A packet holds each prompt with
its additions in random order as A, B, C …; who wrote which is in `key.json`, which readers do not
see. A reader writes a line an item: number, ranking, marks and the letters with something wrong,
with tabs between them: `34    CABD    A2 B1 C5 D1    BD`. Equal additions stand once, for all
their writers.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from statistics import mean

from scipy.stats import binomtest

import benchmarks  # noqa: F401  # the root on sys.path
from train.data.json_lines import read_json_lines

LETTERS = "ABCDEFGH"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packet = commands.add_parser("packet")
    packet.add_argument("--prompts", type=Path, required=True)
    packet.add_argument("--version", action="append", required=True, metavar="NAME=FILE")
    packet.add_argument("--seed", type=int, default=0)
    packet.add_argument("--out", type=Path, required=True, help="folder")
    counted = commands.add_parser("count")
    counted.add_argument("--key", type=Path, required=True)
    counted.add_argument("readers", type=Path, nargs="+")
    args = parser.parse_args(argv)
    if args.command == "packet":
        versions = dict(version.split("=", 1) for version in args.version)
        rows = {name: list(read_json_lines(Path(file), dict)) for name, file in versions.items()}
        write_packet(list(read_json_lines(args.prompts, dict)), rows, args.seed, args.out)
    else:
        key = json.loads(args.key.read_text(encoding="utf-8"))
        print(json.dumps(count(key, [read_reader(file) for file in args.readers]), indent=2))


def write_packet(prompts: list[dict], versions: dict, seed: int, out: Path) -> None:
    """`packet.txt` and `key.json`: by number the dialect, and who wrote each letter's addition."""
    if any(len(rows) != len(prompts) for rows in versions.values()):
        sys.exit("a version has not as many lines as there are prompts")
    rng, key, items = random.Random(seed), {}, []
    for number in rng.sample(range(len(prompts)), len(prompts)):
        prompt = prompts[number]
        written: dict[str, list[str]] = defaultdict(list)
        for name, rows in versions.items():
            text = rows[number]["text"]
            known = text.startswith(prompt["prompt"])
            written[text[len(prompt["prompt"]) :] if known else text].append(name)
        additions = rng.sample(sorted(written), len(written))
        key[number] = {
            "dialect": prompt["dialect"],
            "writers": {LETTERS[i]: written[text] for i, text in enumerate(additions)},
        }
        lines = [
            f"  {LETTERS[i]}{text if text.startswith((',', '.')) else f' … {text.strip()}'}"
            for i, text in enumerate(additions)
        ]
        items.append("\n".join([f"#{number} [{prompt['dialect']}] {prompt['prompt']}", *lines]))
    out.mkdir(parents=True, exist_ok=True)
    (out / "packet.txt").write_text("\n\n".join(items) + "\n", encoding="utf-8")
    (out / "key.json").write_text(json.dumps(key) + "\n", encoding="utf-8")


def read_reader(path: Path) -> dict[str, tuple[str, dict[str, int], set[str]]]:
    """By number: ranking, marks by letter, letters with something wrong."""
    judged = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        number, ranking, marks, wrong = (*line.split("\t"), "", "", "")[:4]
        if number.strip("# ").isdigit():
            by_letter = {mark[0]: int(mark[1:]) for mark in marks.split()}
            judged[number.strip("# ")] = (ranking.strip(), by_letter, set(wrong) & set(LETTERS))
    return judged


def count(key: dict, readers: list[dict]) -> dict:
    """Marks, shares with something wrong and preferences of all readers, by dialect and in all."""
    report = {}
    for dialect in (*sorted({item["dialect"] for item in key.values()}), "all"):
        marks, flaws, wins = defaultdict(list), defaultdict(list), defaultdict(list)
        for judged in readers:
            for number, (ranking, by_letter, wrong) in judged.items():
                item = key[number]
                if dialect not in (item["dialect"], "all"):
                    continue
                for letter, names in item["writers"].items():
                    for name in names:
                        marks[name].append(by_letter[letter])
                        flaws[name].append(letter in wrong)
                for a, b in combinations(ranking, 2):
                    for one in item["writers"][a]:
                        for other in item["writers"][b]:
                            wins[one, other].append(True)
                            wins[other, one].append(False)
        report[dialect] = {
            "mark": {name: round(mean(values), 2) for name, values in marks.items()},
            "wrong": {name: round(mean(values), 3) for name, values in flaws.items()},
            "preferred": {
                f"{one} to {other}": [round(mean(won), 3), *interval(sum(won), len(won))]
                for (one, other), won in sorted(wins.items())
            },
        }
    return report | {"agreement": round(agreement(readers), 3)}


def interval(wins: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    low, high = binomtest(wins, of).proportion_ci(0.95, method="wilson")
    return round(float(low), 3), round(float(high), 3)


def agreement(readers: list[dict]) -> float:
    """Share of pairs of additions that two readers put in one order; nan with one reader."""
    same = [
        (first[0].index(a) < first[0].index(b)) == (second[0].index(a) < second[0].index(b))
        for one, other in combinations(readers, 2)
        for first, second in ((one[n], other[n]) for n in one.keys() & other.keys())
        for a, b in combinations(sorted(set(first[0]) & set(second[0])), 2)
    ]
    return mean(same) if same else float("nan")


if __name__ == "__main__":
    main()
