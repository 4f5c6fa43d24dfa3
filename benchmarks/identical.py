"""Write every candidate's text and score of a prompt list to a file, or compare two such files.

    python benchmarks/identical.py write before.json --prompts prompts.txt
    python benchmarks/identical.py compare before.json after.json

What a change of structure must leave alone: run `write` before and after it, with the same weights
on the same machine. Scores are kept to the bit, as hexadecimal. The exit code of `compare` is 1
where anything differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import benchmarks  # noqa: F401  # the root on sys.path
from bp_core import Rewriter

_MODES = ("expand", "rewrite")
_ROWS = 16  # prompts a call: what a batch holds never changes a text


def write(prompts: list[str], seeds: list[int], modes: list[str]) -> dict[str, list]:
    """{"mode/seed/prompt": [text used, note, [candidate text, score in hexadecimal], …]}."""
    rewriter, rows = Rewriter.load(), {}
    for mode in modes:
        for seed in seeds:
            for start in range(0, len(prompts), _ROWS):
                batch = prompts[start : start + _ROWS]
                for result in rewriter.many(batch, mode=mode, seed=seed):
                    candidates = [
                        [c.text, None if c.score is None else float(c.score).hex()]
                        for c in result.candidates
                    ]
                    rows[f"{mode}/{seed}/{result.prompt}"] = [result.text, result.note, candidates]
            print(f"{mode}, seed {seed}: {len(rows)} rewrites", file=sys.stderr)
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    writes = commands.add_parser("write")
    writes.add_argument("out", type=Path)
    writes.add_argument("--prompts", type=Path, required=True, help="one prompt a line")
    writes.add_argument("--limit", type=int, default=500)
    writes.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    writes.add_argument("--modes", nargs="+", default=_MODES, choices=_MODES)
    compares = commands.add_parser("compare")
    compares.add_argument("before", type=Path)
    compares.add_argument("after", type=Path)
    args = parser.parse_args(argv)
    if args.command == "write":
        prompts = args.prompts.read_text(encoding="utf-8").splitlines()[: args.limit]
        args.out.write_text(json.dumps(write(prompts, args.seeds, args.modes)), encoding="utf-8")
        return 0
    before, after = (json.loads(p.read_text(encoding="utf-8")) for p in (args.before, args.after))
    keys = sorted(before.keys() | after.keys())
    different = [key for key in keys if before.get(key) != after.get(key)]
    print(f"{len(before)} rewrites, {len(different)} differ")
    for key in different[:10]:
        print(f"  {key}\n    before: {before.get(key)}\n    after:  {after.get(key)}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
