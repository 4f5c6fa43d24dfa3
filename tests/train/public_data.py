"""Small made-up data in the layout of the public sets that docs/training.md names.

python -m tests.train.public_data FOLDER
"""

import csv
import json
import random
import sys
from pathlib import Path

THINGS = "fox lighthouse castle robot garden ship teapot owl".split()
PLACES = ["on a hill", "in the snow", "by the sea", "in a forest", "under a bridge"]
MOODS = "soft warm cold misty golden silver gentle ancient quiet bright stormy dusty".split()
NOUNS = "glow river meadow cloud shadow bridge tower valley mirror lantern garden rain".split()
SETS = (
    "imagereward aigiqa20k aigiqa20k_rest pickapic_sfw unigenbench coco30k podvodka partiprompts "
    "geneval agiqa3k clip_interrogator"
).split()


def write_data(folder: Path, seed: int = 0) -> Path:
    """Every file that training reads, a few hundred rows in all."""
    rng = random.Random(seed)
    for name in SETS:
        (folder / name).mkdir(parents=True)

    def phrase() -> str:
        return f"{rng.choice(MOODS)} {rng.choice(NOUNS)}"

    def prompt(i: int) -> str:
        tail = ", ".join(phrase() for _ in range(9))
        return f"a {rng.choice(THINGS)} {rng.choice(PLACES)} number {i}, {tail}"

    def table(name: str, rows: list, header: list[str] | None = None) -> None:
        with open(folder / name, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows] if header else rows)

    def text(name: str, lines: list[str]) -> None:
        (folder / name).write_text("\n".join(lines), encoding="utf-8")

    prompts = [*(prompt(i) for i in range(60)), "a secret owl, golden glow"]
    text("imagereward/prompts.json", [json.dumps([{"text": p} for p in prompts])])
    scored = [[f"Some_{i}.png", prompt(i), rng.uniform(1, 5)] for i in range(60, 90)]
    table("aigiqa20k/prompt_mos.csv", scored)
    for part, first in (("val", 200), ("test", 240)):
        rest = [[f"Other_{i}.png", prompt(i)] for i in range(first, first + 40)]
        table(f"aigiqa20k_rest/info_{part}.csv", rest)
        marks = [[f"all/{name}", rng.uniform(1, 5)] for name, _ in rest]
        table(f"aigiqa20k_rest/{part}.csv", marks, ["impath", "mos"])
    text("pickapic_sfw/prompts.txt", [prompt(i) for i in range(90, 120)])
    text(
        "unigenbench/prompts.txt",
        [f"a {t} with {m} {n}" for t in THINGS for m in MOODS for n in NOUNS],
    )
    captions = [[i, "coco", f"A {t} {p}.", 1] for i, t in enumerate(THINGS) for p in PLACES]
    table("coco30k/captions.csv", captions, ["id", "source", "caption", "seed"])
    pairs = [f"a {t}</s>a {t} {PLACES[0]}, {phrase()}, {phrase()}" for t in THINGS]
    pairs.append(f"a tiny purple {THINGS[0]}</s>a {THINGS[0]} {PLACES[1]}, {phrase()}, {phrase()}")
    table("podvodka/pairs.csv", [[pair + "<|endoftext|>"] for pair in pairs], ["text"])
    columns, row = "Prompt\tCategory\tChallenge\tNote", "a secret owl\tAnimals\tBasic\t"
    text("partiprompts/PartiPrompts.tsv", [columns, row, ""])
    text("geneval/generation_prompts.txt", ["a photo of a bench", ""])
    modified = [
        [f"G_{i}.png", f"statue {i} of a man, warm color", "warm color", "", "", i]
        for i in range(9)
    ]
    table("agiqa3k/data.csv", modified, ["name", "prompt", "adj1", "adj2", "style", "mos_quality"])
    text("clip_interrogator/artists.txt", ["Greg Rutkowski", ""])
    text("clip_interrogator/mediums.txt", ["an etching", ""])
    text("clip_interrogator/movements.txt", ["art nouveau", ""])
    return folder


if __name__ == "__main__":
    write_data(Path(sys.argv[1]))
