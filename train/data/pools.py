"""Public prompts, as published: pools to train on, and sets to measure on.

`docs/training.md` names each data set, its source and its licence, and the folders that are read.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path


def read_pools(data: Path) -> dict[str, list[str]]:
    """Prompts by pool name, as published."""
    imagereward = json.loads((data / "imagereward/prompts.json").read_text(encoding="utf-8"))
    with open(data / "aigiqa20k/prompt_mos.csv", newline="", encoding="utf-8") as file:
        aigiqa = [row[1] for row in csv.reader(file)]
    return {
        "imagereward": [row["text"] for row in imagereward],
        "aigiqa20k": sorted(set(aigiqa)),
        "pickapic": (data / "pickapic_sfw/prompts.txt").read_text(encoding="utf-8").splitlines(),
        "unigenbench": (data / "unigenbench/prompts.txt").read_text(encoding="utf-8").splitlines(),
    }


def read_podvodka(data: Path) -> list[tuple[str, str]]:
    """(GPT-3 description, Discord prompt) pairs, as published."""
    with open(data / "podvodka/pairs.csv", newline="", encoding="utf-8") as file:
        rows = [row[0].replace("<|endoftext|>", "") for row in csv.reader(file)][1:]
    return [tuple(row.split("</s>")) for row in rows if row.count("</s>") == 1]


def read_captions(data: Path) -> list[str]:
    with open(data / "coco30k/captions.csv", newline="", encoding="utf-8") as file:
        return [row[2].strip() for row in csv.reader(file)][1:]


def read_evaluation_sets(data: Path) -> dict[str, list[str]]:
    """Prompts to measure on, by set; no training pair may come near to one."""
    with open(data / "partiprompts/PartiPrompts.tsv", newline="", encoding="utf-8") as file:
        parti = [row["Prompt"] for row in csv.DictReader(file, delimiter="\t")]
    with open(data / "agiqa3k/data.csv", newline="", encoding="utf-8") as file:
        agiqa = sorted({row["prompt"] for row in csv.DictReader(file)})
    geneval = (data / "geneval/generation_prompts.txt").read_text(encoding="utf-8").splitlines()
    return {"partiprompts": parti, "geneval": geneval, "agiqa3k": agiqa}
