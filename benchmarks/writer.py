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
import sys
import time
from collections import Counter

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writer", default=os.environ.get(SERVER), help=f"or {SERVER}")
    parser.add_argument("--writer-model", default="", help="the server's only one if left")
    parser.add_argument("--prompts", type=int, default=125)
    parser.add_argument("--n", type=int, default=4, help="drafts a prompt")
    args = parser.parse_args()
    if not args.writer:
        parser.error(f"name a server: --writer, or {SERVER}")
    rewriter = WriterRewriter(Endpoint(args.writer, args.writer_model))
    faults: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    drafts = mended = unchanged = 0
    started = time.monotonic()
    kinds = [("expand", "rewrite")[i % 2] + " " + DIALECTS[i % 3 + 1] for i in range(args.prompts)]
    # Requests of one kind begin alike, which a server reads once.
    for number in sorted(range(args.prompts), key=kinds.__getitem__):
        prompt = prompts()[number]
        mode, dialect = kinds[number].split()
        result = rewriter(prompt, mode=mode, dialect=dialect, n=args.n, seed=number)
        dropped.update(result.dropped)
        drafts += len(result.candidates)
        mended += sum(candidate.mended for candidate in result.candidates)
        unchanged += result.text == prompt
        print(f"{prompt!r} -> {result.text!r} {result.note}", file=sys.stderr)
        for candidate in result.candidates:
            if found := losses(prompt, mode, candidate.text):
                faults += found
                print(json.dumps({"prompt": prompt, "text": candidate.text, **found}))
    asked = args.prompts * args.n
    print(
        json.dumps(
            {
                "writer": rewriter.writer.name,
                "drafts wanted": asked,
                "drafts used": drafts,
                "mended": mended,
                "dropped": dict(dropped.most_common()),
                "prompts left as they were": unchanged,
                "faults": dict(faults),
                "seconds": round(time.monotonic() - started),
            },
            indent=1,
        )
    )
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
