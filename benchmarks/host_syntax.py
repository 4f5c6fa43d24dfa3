"""What hosts' own parsers make of a prompt before and after an addition and a rewrite.

    python benchmarks/host_syntax.py --webui WEBUI --comfyui COMFYUI --sdnext SDNEXT \\
        --prompts prompts.txt --generated 20000

Our engine parses, checks and puts together as always; what a language model would write comes from
a stub: one phrase to add and, to rewrite, the artist's own clauses in another order, one in three
times with a word left out. `--bundled` has the bundled model write instead.

In `expand` a host must render the artist's text as before, character by character with its weights
and steps, and the addition with weight 1 at every step of one section. In `rewrite` it must render
what has a weight as before, and the same words in each section at each step, the addition apart.
What a host refuses to read before we touch it is not compared.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import benchmarks  # noqa: F401  # the root on sys.path
from benchmarks import host_readers as readers
from benchmarks.host_readers import Reader, Reading
from benchmarks.prompts import generated
from bp_core.draft import Shaper
from bp_core.settings import Settings
from bp_core.text.words import clauses, content_stems, words

MARK = "quicksilver haze"  # words that no prompt of ours has

_BRACKETS = "()[]{}"
_LONGEST = 20  # seconds that a host's parser may take


class Stub:
    """Writes with our engine and no model."""

    def __call__(self, prompt: str, syntax: str, mode: str) -> tuple[str, str]:
        """The prompt with what was written, and the mode that the engine wrote in."""
        shaper = Shaper(prompt, Settings(mode=mode, syntax=syntax, dialect="tags", min_kept=0))
        if shaper.parsed.closed or not words(shaper.raw):
            return prompt, mode
        mode, output = shaper.settings.mode, MARK
        if mode == "rewrite":
            output = f"{self._reworded(shaper.raw)}, {MARK}"
        draft = shaper.shape(output)
        return (draft.text if draft else prompt), mode

    @staticmethod
    def _reworded(raw: str) -> str:
        rng = random.Random(raw)
        said = clauses(raw)
        rng.shuffle(said)
        text = ", ".join(said)
        spoken = list(re.finditer(r"(?<!\S)[A-Za-z]{3,}(?!\S)", text))
        if spoken and rng.random() < 1 / 3:
            lost = rng.choice(spoken)
            text = text[: lost.start()] + text[lost.end() :]
        return text


class Bundled:
    """Writes with the bundled model."""

    def __init__(self) -> None:
        from bp_core import Rewriter

        self.rewriter = Rewriter.load()

    def __call__(self, prompt: str, syntax: str, mode: str) -> tuple[str, str]:
        result = self.rewriter(prompt, syntax=syntax, mode=mode, n=1)
        done = Shaper(prompt, Settings(mode=mode, syntax=syntax)).settings.mode
        return result.text, done


def _groups(reading: Reading) -> dict[tuple, list[tuple[str, float]]]:
    """What is rendered in each section at each step, by characters that are no space or comma."""
    groups: dict[tuple, list[tuple[str, float]]] = {}
    for text, weight, section, step in reading:
        rows = groups.setdefault((section, step), [])
        rows += [(c, weight) for c in text.lower() if c.isalnum() or c in _BRACKETS + "|_#*"]
    return {key: rows for key, rows in groups.items()}


def _inserted(before: list, after: list) -> list | None:
    """What `after` has between the beginning and the end of `before`; None if that is changed."""
    begin = 0
    while begin < len(before) and begin < len(after) and before[begin] == after[begin]:
        begin += 1
    tail = len(before) - begin
    if len(after) < len(before) or (tail and before[begin:] != after[len(after) - tail :]):
        return None
    return after[begin : len(after) - tail]


def check_expand(before: Reading, after: Reading) -> str:
    """ "" if the artist's text reads as before and the addition with weight 1."""
    old, new = _groups(before), _groups(after)
    if before and set(old) != set(new):
        return "other sections or steps"
    added: dict[object, list[bool]] = {}
    for (section, step), rows in new.items():
        between = _inserted(old.get((section, step), []), rows)
        if between is None:
            return "the artist's text reads otherwise"
        if any(abs(weight - 1) > 1e-6 for _, weight in between):
            return "the addition is weighted"
        added.setdefault(section, []).append(bool(between))
    if not any(map(any, added.values())):
        return "the addition is not rendered"
    return "" if all(any(s) == all(s) for s in added.values()) else "the addition is scheduled"


def check_rewrite(before: Reading, after: Reading, stub: bool) -> str:
    """ "" if what has a weight reads as before, and the rest has the same words in its place."""
    old, new = _groups(before), _groups(after)
    if before and set(old) != set(new):
        return "other sections or steps"
    spoken, respoken = _stems(before), _stems(after)
    for key in old:
        strong = [[row for row in of[key] if abs(row[1] - 1) > 1e-6] for of in (old, new)]
        if strong[0] != strong[1]:
            return "what has a weight reads otherwise"
        signs = [Counter(c for c, _ in of[key] if c in _BRACKETS) for of in (old, new)]
        if signs[0] != signs[1]:
            return "brackets are read as text, or no more"
        if not spoken[key] <= respoken[key]:
            return "words are missing"
        if stub and not respoken[key] <= spoken[key] | set(MARK.split()):
            return "words came in"
    marked = Counter(section for (section, _), said in respoken.items() if "quicksilver" in said)
    steps = Counter(section for section, _ in new)
    if stub and not marked:
        return "the addition is not rendered"
    if stub and any(marked[section] < steps[section] for section in marked):
        return "the addition is scheduled"
    weighted = stub and any(
        re.search(r"quicksilver|haze", text.lower()) and abs(weight - 1) > 1e-6
        for text, weight, *_ in after
    )
    return "the addition is weighted" if weighted else ""


def _stems(reading: Reading) -> dict[tuple, set[str]]:
    """The content words that are rendered in each section at each step."""
    texts: dict[tuple, str] = {}
    for text, _, section, step in reading:
        texts[section, step] = f"{texts.get((section, step), '')} {text}"
    return {key: set(content_stems(text)) for key, text in texts.items()}


def _read(read: Reader, prompt: str) -> Reading:
    """A host's reading within its time; what the host raises goes through."""
    signal.setitimer(signal.ITIMER_REAL, _LONGEST)
    try:
        return read(prompt)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _out_of_time(*_) -> None:
    raise TimeoutError


def compare(read: Reader, syntax: str, prompts: list[str], write, show: int, minutes: float) -> int:
    """Print what became of the prompts in both modes; the number of differences."""
    tally: dict[str, Counter] = {"expand": Counter(), "rewrite": Counter()}
    examples: dict[tuple[str, str], list[str]] = {}
    end = time.monotonic() + 60 * minutes
    for number, prompt in enumerate(prompts):
        if time.monotonic() > end:
            print(f"  out of time behind {number} of them")
            break
        try:
            before = _read(read, prompt)
        except Exception:  # the host refuses the artist's own prompt
            tally["expand"]["refused"] += 1
            tally["rewrite"]["refused"] += 1
            continue
        for asked, counts in tally.items():
            text, mode = write(prompt, syntax, asked)
            if text == prompt:
                counts["left as they were"] += 1
                continue
            if mode != asked:  # nothing in it may be reworded: the same as in expand
                counts["extended"] += 1
                continue
            counts["compared"] += 1
            try:
                after = _read(read, text)
            except TimeoutError:
                counts["compared"] -= 1
                counts["refused"] += 1
                continue
            except Exception as error:
                fault = f"refused: {type(error).__name__}"
            else:
                stub = isinstance(write, Stub)
                expand = mode == "expand"
                fault = (
                    check_expand(before, after) if expand else check_rewrite(before, after, stub)
                )
            if fault:
                counts["differences"] += 1
                examples.setdefault((asked, fault), []).append(f"{prompt!r} -> {text!r}")
    for mode, counts in tally.items():
        said = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
        print(f"  {mode}: {said}", flush=True)
    for (mode, fault), found in examples.items():
        print(f"    {mode}, {fault}: {len(found)}", *found[:show], sep="\n      ", flush=True)
    return sum(counts["differences"] for counts in tally.values())


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("webui", "comfyui", "sdnext", "prompts"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--generated", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the generated prompts")
    parser.add_argument("--limit", type=int, default=5000, help="real prompts")
    parser.add_argument("--show", type=int, default=5, help="differences to print, a kind")
    parser.add_argument("--minutes", type=float, default=1e6, help="at most, for each set")
    parser.add_argument("--bundled", action="store_true", help="the bundled model writes")
    makers = {
        "webui": ("webui", lambda: readers.webui(args.webui)),
        "comfyui": ("comfyui", lambda: readers.comfyui(args.comfyui)),
        "sdnext": ("sdnext", lambda: readers.sdnext(args.sdnext)),
        "sdnext-compel": ("invoke", lambda: readers.sdnext(args.sdnext, "compel")),
        "invoke": ("invoke", readers.invoke),
        "dynamicprompts": ("webui", readers.wildcards),
    }
    parser.add_argument("--hosts", nargs="+", default=list(makers), choices=makers)
    args = parser.parse_args(argv)
    signal.signal(signal.SIGALRM, _out_of_time)
    real = args.prompts.read_text(encoding="utf-8").splitlines() if args.prompts else []
    write = Bundled() if args.bundled else Stub()
    failed = 0
    for host in args.hosts:
        syntax, make = makers[host]
        read = make()
        made = generated(args.generated, args.seed)
        for name, prompts in (("generated", made), ("real", islice(real, args.limit))):
            prompts = [prompt for prompt in prompts if "quicksilver" not in prompt.lower()]
            print(f"{host}, {len(prompts)} {name} prompts", flush=True)
            failed += compare(read, syntax, prompts, write, args.show, args.minutes)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
