"""What hosts' own parsers make of a prompt before and after an addition and a rewrite.

    python benchmarks/host_syntax.py --webui WEBUI --comfyui COMFYUI --sdnext SDNEXT \\
        --prompts prompts.txt --generated 20000

Each host's own source is read from its folder; compel and dynamicprompts are imported where they
are installed. A host's reading is a list of (text, weight, when) of what it renders. Taken away
the addition, it must be the same as before, and the addition must have weight 1. No model runs.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import sys
import types
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import benchmarks  # noqa: F401  # the root on sys.path
from bp_core.text.prompt import parse

MARK = "zyqtail"  # one word that no prompt has
Reading = list[tuple]

_PARTS = """
( ) (( )) [ ] { } | : :1.2 :1.2) :0.5] , ; . ! ? \\( \\) \\ <lora:moody:0.8> <sks> embedding:bad
BREAK AND ADDCOMM __colour__ {a|b} {2$$a|b|c} (red:1.2) ((hat)) [day:night:0.5] [cat|dog] [fe|]male
#1 #FF5733 // /* */ 16:9 2.39:1 5:30 --ar --no :3 ^_^ >:( :) <3 score:9 rating:general ::1.5 dog++
(hat)1.3 a_tag "OPEN" red hat cat cat's well-lit 猫 8k
""".split()


def generated(count: int, seed: int = 0) -> list[str]:
    """Prompts put together at random of syntax and words."""
    rng = random.Random(seed)
    return [
        "".join(
            rng.choice(_PARTS)
            + rng.choice(("", " ", " ", ", ", "\n" if rng.random() < 0.1 else " "))
            for _ in range(rng.randint(1, 14))
        )
        for _ in range(count)
    ]


def _module(path: Path, names: list[str] | None = None, **given) -> types.ModuleType:
    """A module made of a host's file, or of the functions and patterns of it that are named."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if names is not None:
        tree.body = [
            node
            for node in tree.body
            if getattr(node, "name", None) in names
            or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in names)
        ]
    module = types.ModuleType(path.stem)
    module.__dict__.update(given)
    exec(compile(tree, str(path), "exec"), module.__dict__)
    return module


def webui(folder: Path) -> Callable[[str], Reading]:
    """AUTOMATIC1111: comments, network tags, AND parts, schedules, then weights."""
    import lark

    parser = _module(
        folder / "modules/prompt_parser.py",
        "schedule_parser get_learned_conditioning_prompt_schedules SdConditioning re_AND re_weight"
        " get_multicond_prompt_list re_attention re_break parse_prompt_attention".split(),
        re=re,
        lark=lark,
    )
    comments = _module(folder / "modules/processing_scripts/comments.py", ["strip_comments"], re=re)
    networks = re.compile(r"<(\w+):([^>]+)>")

    def read(prompt: str) -> Reading:
        text = networks.sub("", comments.strip_comments(prompt))
        composed, flat, _ = parser.get_multicond_prompt_list([text])
        reading: Reading = []
        for index, weight in composed[0]:
            steps = parser.get_learned_conditioning_prompt_schedules([flat[index]], 20)[0]
            for end, step in steps:
                reading += [
                    (part, round(w, 6), (index, end, weight))
                    for part, w in parser.parse_prompt_attention(step)
                ]
        return reading

    return read


def sdnext(folder: Path) -> Callable[[str], Reading]:
    """SD.Next's native parser, as its pipelines call it."""
    names = (
        "round_bracket_multiplier square_bracket_multiplier re_clean re_whitespace re_break "
        "re_attention_v1 re_attention_v2 parse_prompt_attention"
    )
    options = types.SimpleNamespace(prompt_attention="native", sd_textencder_linebreak=False)
    silent = lambda *_: None  # noqa: E731
    parser = _module(
        folder / "modules/prompt_parser.py",
        names.split(),
        re=re,
        opts=options,
        debug=silent,
        log=types.SimpleNamespace(error=silent, warning=silent, debug=silent, trace=silent),
    )
    networks = re.compile(r"<(\w+):([^>]+)>")

    def read(prompt: str) -> Reading:
        reading: Reading = []
        for number, part in enumerate(re.split(r"TE[234]:", networks.sub("", prompt))):
            rows = parser.parse_prompt_attention(part)
            reading += [(text, round(float(w), 6), number) for text, w in rows]
        return reading

    return read


def comfyui(folder: Path) -> Callable[[str], Reading]:
    """ComfyUI's weights of an encoder's text."""
    names = ["parse_parentheses", "token_weights", "escape_important", "unescape_important"]
    parser = _module(folder / "comfy/sd1_clip.py", names)

    def read(prompt: str) -> Reading:
        rows = parser.token_weights(parser.escape_important(prompt), 1.0)
        return [(parser.unescape_important(text), round(w, 6), 0) for text, w in rows]

    return read


def invoke() -> Callable[[str], Reading]:
    """compel's parser, as InvokeAI calls it."""
    # Its package would load transformers.
    [folder] = find_spec("compel").submodule_search_locations
    module = types.ModuleType("compel_prompt_parser")
    sys.modules[module.__name__] = module  # its dataclasses look there
    source = Path(folder, "prompt_parser.py").read_text(encoding="utf-8")
    exec(compile(source, "prompt_parser.py", "exec"), module.__dict__)
    parser = module.PromptParser()

    def fragments(node, weight: float = 1.0) -> Reading:
        if hasattr(node, "children") and not hasattr(node, "text"):
            return [row for child in node.children for row in fragments(child, weight)]
        return [(getattr(node, "text", repr(node)), round(getattr(node, "weight", 1.0), 6), 0)]

    def read(prompt: str) -> Reading:
        conjunction = parser.parse_conjunction(prompt)
        return [row for part in conjunction.prompts for row in fragments(part)]

    return read


def wildcards() -> Callable[[str], Reading]:
    """dynamicprompts: the commands that it takes a prompt apart into, as they are written."""
    from dynamicprompts.parser.parse import parse as take_apart

    def read(prompt: str) -> Reading:
        command = take_apart(prompt)
        tokens = getattr(command, "tokens", [command])
        return [(str(getattr(t, "literal", repr(t))), 1.0, type(t).__name__) for t in tokens]

    return read


def flat(reading: Reading) -> list[tuple]:
    """A reading character by character, less white space and the commas around it."""
    rows = [(c, weight, when) for text, weight, when in reading for c in text]
    return [row for row in rows if row[0].isalnum() or row[0] in "()[]{}|_#*"]


def check(read: Callable[[str], Reading], prompt: str, longer: str) -> str:
    """ "" if the host reads the artist's text as before and the addition with weight 1."""
    try:
        before = read(prompt)
    except Exception:  # the host refuses the artist's own prompt
        return ""
    try:
        after = read(longer)
    except Exception as error:
        return f"refused: {error!r}"
    if not any(MARK in text for text, _, _ in after):
        return "not rendered" if before else ""
    if any(MARK in text and abs(weight - 1) > 1e-6 for text, weight, _ in after):
        return "weighted"
    less = [(text.replace(MARK, ""), weight, when) for text, weight, when in after]
    return "" if flat(before) == flat(less) else "the artist's text reads otherwise"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("webui", "comfyui", "sdnext", "prompts"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--generated", type=int, default=2000)
    parser.add_argument("--limit", type=int, default=5000, help="real prompts")
    parser.add_argument("--show", type=int, default=5, help="differences to print, a host")
    parser.add_argument("--hosts", nargs="+", default=["webui", "comfyui", "sdnext", "invoke"])
    args = parser.parse_args(argv)
    made = generated(args.generated)
    real = (
        args.prompts.read_text(encoding="utf-8").splitlines()[: args.limit] if args.prompts else []
    )
    makers = {
        "webui": lambda: webui(args.webui),
        "comfyui": lambda: comfyui(args.comfyui),
        "sdnext": lambda: sdnext(args.sdnext),
        "invoke": invoke,
        "dynamicprompts": wildcards,
    }
    failed = 0
    for host in args.hosts:
        read = makers[host]()
        syntax = "webui" if host == "dynamicprompts" else host
        for name, prompts in (("generated", made), ("real", real)):
            faults: dict[str, list[str]] = {}
            for prompt in prompts:
                parsed = parse(prompt, syntax)
                if parsed.closed or not parsed.prose:
                    continue
                longer = parsed.expand(MARK)
                if MARK.capitalize() in longer:
                    longer = longer.replace(MARK.capitalize(), MARK)
                if fault := check(read, prompt, longer):
                    faults.setdefault(fault.split(":")[0], []).append(f"{prompt!r} -> {longer!r}")
            count = sum(map(len, faults.values()))
            failed += count
            print(f"{host}, {name}: {len(prompts)} prompts, {count} differences")
            for fault, examples in faults.items():
                print(f"  {fault}: {len(examples)}", *examples[: args.show], sep="\n    ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
