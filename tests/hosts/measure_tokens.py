"""AUTOMATIC1111's own token counter beside ours, in its own process, on prompts with all syntax.

    cd WEBUI && PYTHON /path/to/tests/hosts/measure_tokens.py --count 2000 --prompts prompts.txt

PYTHON is the one that has the WebUI's requirements; WEBUI_ARGS are further flags of the WebUI. Half
of the prompts are generated (those of benchmarks/host_syntax.py), half are lines of the file.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FLAGS = "--skip-version-check --skip-torch-cuda-test --no-hashing --no-download-sd-model"


def start() -> None:
    """The WebUI's modules and scripts, and its checkpoint loaded; the working folder is its own."""
    sys.argv = ["webui.py", *_FLAGS.split(), *shlex.split(os.environ.get("WEBUI_ARGS", ""))]
    sys.path.insert(0, os.getcwd())
    from modules import initialize

    initialize.imports()
    initialize.check_versions()
    initialize.initialize()
    from modules import shared

    assert shared.sd_model is not None  # asking for it loads it


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--prompts", type=Path)
    args = parser.parse_args()
    real = args.prompts.read_text(encoding="utf-8").splitlines() if args.prompts else []
    sys.path.insert(0, str(ROOT))
    from benchmarks.prompts import generated

    prompts = real[: args.count // 2]
    prompts += generated(args.count - len(prompts), seed=1)
    start()
    from modules import ui

    from a1111_extension import tokens

    wrong = []
    for prompt in prompts:
        shown = ui.update_token_counter(prompt, 20, [])
        theirs = int(re.search(r">(\d+)/", shown)[1])
        ours = tokens.count(prompt)
        if ours != theirs:
            wrong.append((prompt, theirs, ours))
    print(f"{len(prompts)} prompts, {len(wrong)} counted otherwise")
    for prompt, theirs, ours in wrong[:20]:
        print(f"  {prompt!r}: theirs {theirs}, ours {ours}")
    return bool(wrong)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the host's threads never end
