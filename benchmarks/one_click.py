"""One click, as the artist feels it: a `Rewriter` call, transformers beside it, and a cold `bp`.

    python benchmarks/one_click.py

Warm: n = 4, 40 new tokens, the bundled starter with its reward, model loaded. Ours is the whole
call (parsing, decoding, guard, reward), with the end token off so that all 40 steps are decoded;
transformers' is `generate` alone, on the same weights, prompt and sampling. Runs are interleaved.
"ours" is the engine that loading chooses, "for one click" what a process gets that ends soon.
Cold: `bp beautify` in a fresh process against `python -c "import torch"`.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from statistics import median

import torch

import benchmarks  # noqa: F401  # the root on sys.path
from bp_core import Rewriter
from bp_core.drafter import Drafter
from bp_core.models.folder import BUNDLED
from bp_core.models.vision import define_operators
from bp_core.settings import Settings

PROMPTS = ["a lighthouse at dusk", "a photo of a red bicycle next to two benches", "a robot chef"]
RUNS = 9


def transformers_call(tokens: int):
    """A function that runs transformers' `generate` on ids, four samples of `tokens` each."""
    define_operators()
    from train.models.causal import load_base

    model = load_base(str(BUNDLED))[0].eval()

    def call(ids: list[int]) -> None:
        model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            do_sample=True,
            num_return_sequences=4,
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            temperature=Settings.temperature,
            top_k=Settings.top_k,
            top_p=Settings.top_p,
            repetition_penalty=Settings.repetition_penalty,
        )

    return call


def warm() -> dict[str, float]:
    """Median seconds of a click, ours and transformers'."""
    kinds = {"ours": Rewriter.load(), "for one click": Rewriter.load(lasting=False)}
    # The notes, too, that the model is given of what a prompt names.
    ids = [Drafter(kinds["ours"].model, prompt, Settings()).ids for prompt in PROMPTS]
    for rewriter in kinds.values():
        rewriter.model.eos_id = -1  # no draft ends early
    theirs = transformers_call(40)
    times: dict[str, list[float]] = {name: [] for name in (*kinds, "transformers")}
    for run in range(RUNS):
        for prompt, tokens in zip(PROMPTS, ids, strict=True):
            for name, rewriter in kinds.items():
                start = time.perf_counter()
                rewriter(prompt, n=4, seed=run, max_new_tokens=40)
                times[name].append(time.perf_counter() - start)
            start = time.perf_counter()
            theirs(tokens)
            times["transformers"].append(time.perf_counter() - start)
    return {name: median(values[len(PROMPTS) :]) for name, values in times.items()}


def cold() -> dict[str, float]:
    """Median seconds of a fresh process, `bp beautify` and a bare import of torch."""
    commands = {
        "bp": ["-m", "bp_core.cli", "beautify", PROMPTS[0]],
        "import torch": ["-c", "import torch"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            times[name].append(time.perf_counter() - start)
    return {name: median(values[1:]) for name, values in times.items()}


if __name__ == "__main__":
    click, start = warm(), cold()
    figures = {
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "click, seconds": click,
        "click, transformers / ours": {k: click["transformers"] / v for k, v in click.items()},
        "cold, seconds": start,
        "cold, bp / import torch": start["bp"] / start["import torch"],
    }
    print(json.dumps(figures, indent=2))
