"""How long the paper's PPO run takes here: a few steps of `train/ppo.py` with paper_ppo.yaml.

    python benchmarks/paper_ppo.py
    accelerate launch --num_processes 4 benchmarks/paper_ppo.py --folder runs/paper_speed

The base and both rewards have the shape of bloom-1b1 and random weights, so rewrites run to the
full 256 tokens: an upper bound. Prints one line of figures, and the hours of 5,000 steps.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import string
import tempfile
from pathlib import Path

import torch

import benchmarks  # noqa: F401  # the root on sys.path
from benchmarks.decode import SHAPES, fields_of, random_weights

CONFIG = Path(__file__).resolve().parents[1] / "train/configs/paper_ppo.yaml"
_PROMPTS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="1b1")
    parser.add_argument("--steps", type=int, default=4, help="the first one is not counted")
    parser.add_argument("--folder", type=Path, help="shared by all processes; a temporary one")
    args, others = parser.parse_known_args()  # the rest goes to train/ppo.py
    folder = args.folder or Path(tempfile.mkdtemp())
    first = int(os.environ.get("RANK", 0)) == 0
    if first:
        prepare(folder, args.shape)

    from accelerate import PartialState

    PartialState().wait_for_everyone()
    from train import ppo
    from train.rl.checkpoint import read_log

    run = folder / "run"
    fields = {
        "config": CONFIG,
        "prompts": folder / "prompts.csv",
        "base": folder / "base",
        "aesthetic_reward": folder / "aes",
        "relevance_reward": folder / "ps",
        "output_dir": run,
        "steps": args.steps,
        "save_steps": args.steps,
    }
    argv = [str(x) for name, value in fields.items() for x in (f"--{name}", value)]
    ppo.main([*argv, "--eval_prompts", "", *others])
    if first:
        about = json.loads((run / "config.json").read_text(encoding="utf-8"))
        print(summary(read_log(run)[1:], about))


def summary(rows: list[dict], about: dict) -> str:
    """Medians over steps: seconds, tokens a second, and the hours of the paper's 5,000 steps."""
    seconds = statistics.median(row["time/step"] for row in rows)
    writing = statistics.median(row["time/rollouts"] for row in rows)
    tokens = statistics.median(row["tokens"] for row in rows) * about["rollouts_per_step"]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    # A step's tokens are written once and learnt from in every epoch.
    learnt = tokens * about["epochs"] / (seconds - writing)
    return (
        f"{about['processes']} × {device}: {seconds:.1f} s a step of {tokens:.0f} tokens; "
        f"{tokens / writing:.0f} tokens a second written, {learnt:.0f} scored and learnt from; "
        f"5,000 steps take {5000 * seconds / 3600:.1f} hours"
    )


def prepare(folder: Path, shape: str) -> None:
    """Random models of a shape with a tokenizer of as many words, and prompts."""
    from safetensors.torch import save_file

    from bp_core.score.text_reward import HEAD, TEMPLATES, fingerprint
    from train.rewards.network import hf_config

    device = "cuda" if torch.cuda.is_available() else "cpu"  # much faster at random numbers
    config = SHAPES[shape]
    tokenizer = vocabulary(config.vocab_size)
    weights = random_weights(config, torch.bfloat16, device)
    named = {name: tensor.cpu() for name, tensor in weights}
    ids = {
        f"{kind}_token_id": tokenizer.token_to_id(word)
        for kind, word in (("eos", "</s>"), ("pad", "<pad>"))
    }
    head = {HEAD: torch.randn(1, config.hidden_size, dtype=torch.bfloat16)}
    scores = {"mean": 0.0, "std": 1.0}
    kinds = {"base": (named, {"kind": "rewriter", "template": {"name": "starter"}})}
    for name, template in TEMPLATES.items():
        about = {"kind": "reward", "template": template.text, "pooling": "last", "scores": scores}
        kinds[name] = named | head, about | {"vocabulary": fingerprint(tokenizer)}
    for name, (tensors, about) in kinds.items():
        home = folder / name
        home.mkdir(parents=True, exist_ok=True)
        save_file(tensors, home / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(str(home / "tokenizer.json"))
        fields = hf_config(fields_of(config) | ids, "bfloat16")
        (home / "config.json").write_text(json.dumps(fields), encoding="utf-8")
        (home / "beautifulprompt.json").write_text(json.dumps(about), encoding="utf-8")
    words = list(itertools.islice(spelled(), 100, 100 + 16 * _PROMPTS))
    prompts = [" ".join(words[i : i + 16]) for i in range(0, len(words), 16)]
    rows = ["raw_prompt,prompt", *(f"{p},{p} {p}" for p in prompts)]
    (folder / "prompts.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def spelled():
    """a, b, … aa, ab, …: words without end, every prefix before what it begins."""
    for size in itertools.count(1):
        yield from map("".join, itertools.product(string.ascii_lowercase, repeat=size))


def vocabulary(size: int):
    """A byte-level BPE tokenizer of exactly `size` entries, so that what is written is read back
    in as many tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    control = ["</s>", "<pad>", "<|expand|>", "<|rewrite|>"]
    entries = {token: i for i, token in enumerate(control)}
    for letter in pre_tokenizers.ByteLevel.alphabet():
        entries[letter] = len(entries)
    merges = []
    for word in spelled():
        if len(entries) >= size:
            break
        merges.append((f"Ġ{word[:-1]}", word[-1]))
        entries[f"Ġ{word}"] = len(entries)
    tokenizer = Tokenizer(models.BPE(vocab=entries, merges=merges))
    tokenizer.add_special_tokens(control)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


if __name__ == "__main__":
    main()
