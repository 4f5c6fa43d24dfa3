"""Pairs written for the starter, checked and made into the files that `train/sft.py` reads.

    python -m train.starter.pair_files --data DATA --copies 3 --out runs/written

Leaves out prompts near one of an evaluation set of DATA (see `train/data/pools.py`), prints counts
and variety, and writes `train.parquet` and `validation.parquet` (one prompt in 33, by its hash, so
that more pairs move none). Each pair comes with notes to read (`train/data/notes.py`), `--copies`
times with others. Judged notes (`--judgements`) make pairs of their own, the best of a prompt in
the order of an addition, and take what readers struck out from the notes of other pairs; their
prompts, one a line in `prompts.txt` and `held_out.txt`, are for `train/ppo.py`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import train
from bp_core.errors import InputError
from bp_core.models.folder import BUNDLED
from bp_core.text.concepts import Concepts
from bp_core.text.prompt import parse
from train.data.composed import composed, without_wrong
from train.data.dedup import near
from train.data.held_out import held_out
from train.data.judged import read_judged
from train.data.notes import with_notes
from train.data.pools import read_evaluation_sets
from train.data.written import PAIRS, Written, figures, praises, read_written, variety


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="folder of .jsonl files")
    parser.add_argument(
        "--data", type=Path, help="folder with the evaluation sets to keep clear of"
    )
    parser.add_argument("--judgements", type=Path, help="folder of .jsonl of judged notes")
    parser.add_argument("--composed", type=int, default=2000, help="pairs made of those, at most")
    parser.add_argument("--copies", type=int, default=1, help="of each pair, with other notes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder to write to; none: only tell the figures")
    args = parser.parse_args(argv)
    written = read_written(args.pairs)
    rows = [row for part in written.values() for row in part if not praises(row.text)]
    if args.judgements is not None:
        files = sorted(args.judgements.glob("*.jsonl"))
        judged = [row for file in files for row in read_judged(file)]
        rows = without_wrong(rows, judged)
        if args.out is not None:
            write_prompts([row.prompt for row in judged], args.out)
        rows += composed(judged, Concepts.load(BUNDLED) or Concepts([]), args.composed, args.seed)
    if args.data is not None:
        rows = clear(rows, read_evaluation_sets(args.data))
    told = {"files": {name: len(part) for name, part in written.items()}} | figures(rows)
    print(json.dumps(told | variety(rows), indent=2))
    if args.out is not None:
        train.make_folder(args.out)
        write(rows, args.out, args.copies, args.seed)


def clear(rows: list[Written], evaluation: dict[str, list[str]]) -> list[Written]:
    """Rows whose prompt is near none of an evaluation set."""
    prompts = sorted({row.prompt for row in rows})
    references = sorted({prompt for prompts in evaluation.values() for prompt in prompts})
    refused = {p for p, is_near in zip(prompts, near(prompts, references), strict=True) if is_near}
    return [row for row in rows if row.prompt not in refused]


def write_prompts(prompts: list[str], folder: Path) -> None:
    """`prompts.txt` to learn from, and `held_out.txt` to validate on, each prompt once."""
    train.make_folder(folder)
    for name, held in (("prompts", False), ("held_out", True)):
        lines = dict.fromkeys(prompt for prompt in prompts if held_out(prompt) == held)
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write(rows: list[Written], folder: Path, copies: int = 1, seed: int = 0) -> None:
    """`train.parquet` and `validation.parquet` with the columns of `train.data.pairs`.

    Prompts are cut down to their prose, which is what a rewriter reads.
    """
    import pandas as pd

    concepts = Concepts.load(BUNDLED) or Concepts([])
    rows = [row._replace(prompt=parse(row.prompt).prose) for row in rows]
    judged = [row for row in rows if held_out(row.prompt)]
    learned = [row for row in rows if not held_out(row.prompt)]
    if not judged or not learned:
        raise InputError(f"{len(rows)} pairs are too few to validate on some: write more")
    for name, part, times in (("train", learned, copies), ("validation", judged, 1)):
        table = [
            (row.prompt, row.target, row.mode, row.dialect, "; ".join(notes), "written")
            for row, notes in with_notes(part, concepts, times, seed)
        ]
        columns = ("raw_prompt", "prompt", "mode", "dialect", "notes", "source")
        pd.DataFrame(table, columns=columns).to_parquet(folder / f"{name}.parquet", index=False)


if __name__ == "__main__":
    train.run(main)
