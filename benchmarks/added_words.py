"""Words added by the bundled writer that are in no list of words, and what the check leaves out.

    python benchmarks/added_words.py --prompts prompts.txt --limit 5000 --n 4

Every candidate of every prompt counts, not the best alone. `--unchecked` also writes without the
check, to tell how often the model joins pieces to what is no word. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import benchmarks  # noqa: F401  # the root on sys.path
from bp_core import Rewriter
from bp_core.models.folder import BUNDLED
from bp_core.text.lexicon import Lexicon
from bp_core.text.words import words

_BATCH = 16


def measure(rewriter: Rewriter, prompts: list[str], n: int, minutes: float, mode: str) -> str:
    """One line of figures."""
    lexicon = Lexicon.load(BUNDLED)
    additions = spoken = kept = 0
    strange: Counter[str] = Counter()
    end = time.monotonic() + 60 * minutes
    for start in range(0, len(prompts), _BATCH):
        if time.monotonic() > end:
            break
        batch = prompts[start : start + _BATCH]
        for prompt, result in zip(batch, rewriter.many(batch, n=n, mode=mode), strict=True):
            own = set(words(prompt))
            for candidate in result.candidates:
                added = ", ".join(candidate.added)
                additions += 1
                spoken += len(words(added))
                kept += candidate.kept == 1
                strange.update(lexicon.unknown(added, own))
        print(f"{start + len(batch)} prompts, {additions} additions", file=sys.stderr)
    return (
        f"{mode}: {additions} additions of {spoken} words, {kept} of them with all of the artist's "
        f"words; {sum(strange.values())} words in no list: {strange.most_common(40)}"
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=Path, required=True, help="one a line")
    parser.add_argument("--limit", type=int, default=1000, help="prompts")
    parser.add_argument("--skip", type=int, default=0, help="prompts to pass over")
    parser.add_argument("--n", type=int, default=4, help="candidates of a prompt")
    parser.add_argument("--modes", nargs="+", default=["expand"], choices=["expand", "rewrite"])
    parser.add_argument("--minutes", type=float, default=1e6, help="at most, a mode")
    parser.add_argument("--unchecked", action="store_true", help="also without the check")
    args = parser.parse_args(argv)
    lines = args.prompts.read_text(encoding="utf-8").splitlines()
    prompts = lines[args.skip : args.skip + args.limit]
    rewriter = Rewriter.load()
    for mode in args.modes:
        print("checked,", measure(rewriter, prompts, args.n, args.minutes, mode), flush=True)
        if args.unchecked:
            lexicon, rewriter.model.lexicon = rewriter.model.lexicon, None
            print("unchecked,", measure(rewriter, prompts, args.n, args.minutes, mode), flush=True)
            rewriter.model.lexicon = lexicon


if __name__ == "__main__":
    main()
