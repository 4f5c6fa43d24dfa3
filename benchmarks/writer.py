"""Any language model as writer: is anything of the artist's lost?

    BEAUTIFULPROMPT_TEST_WRITER=http://127.0.0.1:8080/v1 python benchmarks/writer.py

Has a server write four drafts for each of 125 prompts full of syntax, in both modes and all
dialects, and counts what the guard let through: syntax items or words lost, blocked terms, text
that is not English. The model need not be good; a bad one tries the guard harder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bp_core.rules.blocklist import Blocklist
from bp_core.settings import DIALECTS
from bp_core.text.fidelity import fidelity
from bp_core.text.language import language_of
from bp_core.text.prompt import parse
from bp_core.writers.endpoint import Endpoint
from bp_core.writers.rewriter import WriterRewriter

SERVER = "BEAUTIFULPROMPT_TEST_WRITER"
_SUBJECTS = """
a red fox in the snow|two old sailors on a pier|a lighthouse at dusk|three black cats on a blue sofa
|an astronaut without a helmet|a bowl of green apples|a steam train in the Alps|portrait of a knight
|a tiny robot watering 7 plants|an empty library, no people|a street market in Tokyo|a BMW at night
|a wooden table under a window|1girl, solo, silver_hair, standing|a violin beside a broken mirror
|an owl above a frozen lake|a dragon made of glass|a child's drawing of a house|a castle on a cloud
|a sign that says "open at 8"|a man riding a white horse|a lake between two mountains|a cup of tea
|the cover of a jazz record, 1950s|a whale, seen from below
""".replace("\n", "").split("|")
_FORMS = (
    "{0} <lora:{1}:0.8>",
    "({0}:1.2), [{2}], __{1}__",
    "{0}, ({2}:0.7) BREAK {3} <lyco:{1}:1:0.5>",
    "{{{2}|{3}}}, {0}, embedding:{1}, [{2}:{3}:0.4]",
    "<hypernet:{1}:0.5> (({0})), {2} AND {3} :0.6",
)
_NAMES = "moody detail_slider inkPunk film-grain xl_turbo".split()
_EXTRAS = (
    "oil on canvas|neon light|fog|film grain|soft focus|golden hour|wide shot|heavy rain".split("|")
)


def prompts() -> list[str]:
    """125 prompts: every subject in every form."""
    dice = random.Random(0)
    made = []
    for subject in _SUBJECTS:
        for form in _FORMS:
            extras = dice.sample(_EXTRAS, 2)
            made.append(form.format(subject, dice.choice(_NAMES), *extras))
    return made


def losses(prompt: str, mode: str, text: str) -> Counter[str]:
    """What a text did to a prompt, by the name of the fault; empty if nothing."""
    faults: Counter[str] = Counter()
    before, after = parse(prompt), parse(text)
    faults["syntax items lost or moved"] += before.items != after.items
    faults["words lost"] += len(fidelity(before.prose, after.prose).lost)
    faults["blocked terms"] += len(Blocklist(allow=prompt).find(text))
    faults["not English"] += bool(language_of(after.prose))
    if mode == "expand":
        whole, at = True, 0
        for piece in before.pieces:  # all of it is there, in order
            at = text.find(piece.text.strip(), at)
            whole = whole and at >= 0
        faults["artist's text changed"] += not whole
    return +faults


def kind_of(number: int) -> tuple[str, str]:
    """Mode and dialect that a prompt is written in."""
    return ("expand", "rewrite")[number % 2], DIALECTS[number % 3 + 1]


def ask(rewriter: WriterRewriter, number: int, n: int, length: int) -> dict:
    """The drafts of one prompt, and what is wrong with them."""
    prompt = prompts()[number]
    mode, dialect = kind_of(number)
    result = rewriter(prompt, mode=mode, dialect=dialect, n=n, seed=number, max_new_tokens=length)
    faults: Counter[str] = Counter()
    for candidate in result.candidates:
        faults += losses(prompt, mode, candidate.text)
    return {
        "prompt": prompt,
        "number": number,
        "mode": mode,
        "dialect": dialect,
        "texts": [candidate.text for candidate in result.candidates],
        "mended": sum(candidate.mended for candidate in result.candidates),
        "dropped": result.dropped,
        "faults": dict(faults),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writer", default=os.environ.get(SERVER), help=f"or {SERVER}")
    parser.add_argument("--writer-model", default="", help="the server's only one if left")
    parser.add_argument("--prompts", type=int, default=125)
    parser.add_argument("--n", type=int, default=4, help="drafts a prompt")
    parser.add_argument("--length", type=int, default=40, help="tokens that are added at most")
    parser.add_argument(
        "--together", type=int, default=1, help="prompts that are asked for at once"
    )
    parser.add_argument("--out", type=Path, help="JSON lines; goes on where it ended")
    args = parser.parse_args()
    if not args.writer:
        parser.error(f"name a server: --writer, or {SERVER}")
    rewriter = WriterRewriter(Endpoint(args.writer, args.writer_model))
    rows = []
    if args.out and args.out.is_file():
        rows = [json.loads(line) for line in args.out.read_text().splitlines()]
    done = {row["number"] for row in rows}
    # Requests of one kind begin alike, which a server reads once.
    missing = sorted(set(range(args.prompts)) - done, key=kind_of)
    with ThreadPoolExecutor(args.together) as pool:
        for row in pool.map(lambda i: ask(rewriter, i, args.n, args.length), missing):
            rows.append(row)
            if row["faults"] or not args.out:
                print(json.dumps(row, ensure_ascii=False))
            if args.out:
                with args.out.open("a") as file:
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
    faults = sum((Counter(row["faults"]) for row in rows), Counter())
    dropped = sum((Counter(row["dropped"]) for row in rows), Counter())
    summary = {
        "writer": rewriter.writer.name,
        "drafts wanted": len(rows) * args.n,
        "drafts used": sum(len(row["texts"]) for row in rows),
        "mended": sum(row["mended"] for row in rows),
        "dropped": dict(dropped.most_common()),
        "prompts left as they were": sum(not row["texts"] for row in rows),
        "faults": dict(faults),
    }
    print(json.dumps(summary, indent=1))
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
