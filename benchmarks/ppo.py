"""PPO steps beside TRL 1.12's PPOTrainer, or beside an earlier build: samples a second and memory.

    pip install --no-deps --target TRL trl==1.12.0
    python benchmarks/ppo.py --trl TRL --prompts data/partiprompts/PartiPrompts.tsv
    python benchmarks/ppo.py --before CLONE --reward CLONE/bp_core/starter/reward --prompts …

Same model (a BLOOM of 5.5 M weights, unless another is given), prompts, response length, batch,
minibatches, epochs and reward (a text reward model on the decoded rewrite) for all; each contender
runs in a process of its own, by turns, its first step thrown away. Ours trains the upper layers, as
`train/ppo.py` does by default, and in a second row all of them, as TRL does. Memory is what the
process held at its peak above what it held after its imports; on a GPU, PyTorch's own peak. Prints
a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import benchmarks  # noqa: F401  # the root on sys.path

ROOT = Path(__file__).resolve().parents[1]
SMALL_WRITER = str(ROOT / "tests" / "data" / "small_writer")


def resident(peak: bool) -> int:
    """Bytes of this process in memory, now or at most."""
    name = "VmHWM" if peak else "VmRSS"
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(row for row in status.splitlines() if row.startswith(name))
    return int(line.split()[1]) << 10


def read(path: str, count: int) -> list[str]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t")
        found = [row["Prompt"] for row in rows if len(row["Prompt"].split()) < 25]
    return (found * (count // len(found) + 1))[:count]


def clock_of(args: argparse.Namespace) -> Callable[[], float]:
    """What tells seconds."""
    return time.process_time if args.cpu_time else time.perf_counter


def ours(args: argparse.Namespace) -> list[float]:
    """Seconds of each step of train/ppo.py."""
    from train import ppo
    from train.rl.checkpoint import read_log

    ppo.time = SimpleNamespace(perf_counter=clock_of(args))
    folder = Path(tempfile.mkdtemp())
    (folder / "prompts.txt").write_text("\n".join(read(args.prompts, args.batch)))
    fields = {
        "prompts": folder / "prompts.txt",
        "output_dir": folder / "run",
        "steps": args.steps,
        "rollouts_per_step": args.batch,
        "minibatch_size": args.batch // 2,
        "micro_batch_size": args.micro,
        "epochs": 4,
        "rewrite_share": 0,
        "trained_layers": args.layers,
        "max_new_tokens": args.tokens,
        "max_prompt_tokens": 1000,
        "reward_baseline": "none",
        "guarded": "false",
        "learning_rate": 1e-6,
        "save_steps": args.steps,
        "threads": args.threads,
        "base": args.base,
        "bf16": args.bf16,
    }
    if args.reward:
        fields["aesthetic_reward"] = args.reward
    ppo.main([str(x) for key, value in fields.items() for x in (f"--{key}", value)])
    return [row["time/step"] for row in read_log(folder / "run")]


def peer(args: argparse.Namespace) -> list[float]:
    """Seconds of each step of TRL's PPOTrainer, the same reward behind its interface."""
    import torch
    from transformers import AutoModelForCausalLM

    from benchmarks.ppo_trl import trainer
    from bp_core.models.load import load
    from bp_core.score.text_reward import load_reward
    from train.sft import load_base

    torch.set_num_threads(args.threads)
    model, reward = load(Path(args.base)), load_reward(args.reward)
    _, tokenizer = load_base(args.base)
    texts = read(args.prompts, args.batch)
    prompts = [model.encode(p, "expand") for p in texts]
    typed = dict(zip(map(tuple, prompts), texts, strict=True))
    lengths = sorted(set(map(len, prompts)), reverse=True)

    class TextScore(torch.nn.Module):
        """A sequence classifier to TRL; within, the text reward of the decoded rewrite."""

        base_model_prefix = "backbone"

        def __init__(self) -> None:
            super().__init__()
            self.score = torch.nn.Identity()

        def backbone(self, input_ids, attention_mask, **kwargs):
            given, written = [], []
            for row, mask in zip(input_ids, attention_mask, strict=True):
                ids = row[mask.bool()].tolist()
                cut = next(n for n in lengths if tuple(ids[:n]) in typed)
                given.append(typed[tuple(ids[:cut])])
                written.append(f"{given[-1]}, {model.decode(ids[cut:]).strip()}")
            totals = torch.tensor([s.total for s in reward.score(written, given)])
            states = totals[:, None, None].expand(-1, input_ids.shape[1], 1)
            return type("Output", (), {"hidden_states": [states]})

    times: list[float] = []
    now, last = clock_of(args), [0.0]

    def see(names: dict) -> None:
        times.append(now() - last[0])
        last[0] = now()

    run = trainer(
        AutoModelForCausalLM.from_pretrained(args.base, dtype="float32"),
        TextScore(),
        tokenizer,
        prompts,
        see,
        per_device_train_batch_size=args.micro,
        gradient_accumulation_steps=args.batch // args.micro,
        num_mini_batches=2,
        num_ppo_epochs=4,
        total_episodes=args.steps * args.batch,
        response_length=args.tokens,
        local_rollout_forward_batch_size=64,
        learning_rate=1e-6,
        vf_coef=0.5,
        bf16=args.bf16,
    )
    last[0] = now()
    run.train()
    return times


def as_rewriter(base: str) -> str:
    """A base's folder; one of links that says how it reads prompts, where the base says nothing."""
    source, about = Path(base).resolve(), "beautifulprompt.json"
    if (source / about).is_file():
        return str(source)
    folder = Path(tempfile.mkdtemp()) / source.name
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).symlink_to(file)
    template = {"name": "plain", "rewrite": "{raw}\n", "expand": "{raw},"}
    (folder / about).write_text(json.dumps({"kind": "rewriter", "template": template}))
    return str(folder)


def child(args: argparse.Namespace) -> None:
    """One contender: seconds a step and bytes, as JSON on the last line."""
    if args.child == "before":
        # A package of that name in this clone would go before a folder that is none in that one.
        sys.path[:] = [p for p in sys.path if Path(p).resolve() != ROOT]
        sys.path.insert(0, args.before)
    import torch

    for name in ("bp_core.models.vision", "train.vision"):  # today's place, an earlier one
        with suppress(ModuleNotFoundError):
            importlib.import_module(name).define_operators()
    import accelerate  # noqa: F401
    import peft  # noqa: F401
    import transformers.models.bloom.modeling_bloom
    import transformers.models.llama.modeling_llama  # noqa: F401
    import trl as library
    from torch.utils.tensorboard import SummaryWriter  # noqa: F401

    if args.child == "trl":
        importlib.import_module("trl.experimental.ppo")
    before = resident(False)
    times = (peer if args.child == "trl" else ours)(args)
    peak = resident(True) - before
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated()
    print(json.dumps({"times": times[1:], "peak": peak, "trl": library.__version__}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trl", help="folder with trl 1.12, to compare with")
    parser.add_argument("--before", help="clone of an earlier build, to compare with")
    parser.add_argument("--prompts", required=True, help="TSV with the column Prompt")
    parser.add_argument("--base", default=SMALL_WRITER, help="a folder (tests/data/small_writer)")
    parser.add_argument("--reward", help="folder of a text reward (the bundled one)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--micro", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, nargs="+", default=[3, 0], help="0 is all")
    parser.add_argument("--bf16", action="store_true", help="autocast, of all contenders")
    parser.add_argument(
        "--cpu_time",
        action="store_true",
        help="count what the processor worked, for a machine with other work; with --threads 1",
    )
    parser.add_argument("--child", choices=["ours", "before", "trl"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        args.layers = args.layers[0]
        child(args)
        return
    if not (args.trl or args.before):
        parser.error("compare with --trl FOLDER or --before CLONE")
    base = as_rewriter(args.base)
    contenders: dict[str, tuple[str, int]] = {}
    for kind, name in (("ours", "ours"), ("before", "before")):
        if kind == "ours" or args.before:
            for layers in args.layers:
                what = f"upper {layers} layers" if layers else "all layers"
                contenders[f"{name}, {what}"] = kind, layers
    if args.trl:
        contenders["TRL PPOTrainer"] = "trl", 0
    found: dict[str, list[dict]] = {name: [] for name in contenders}
    for _ in range(args.rounds):
        for name, (kind, layers) in contenders.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--base", base]
            command += ["--child", kind, "--layers", str(layers)]
            path = f"{Path(args.trl).resolve()}" if kind == "trl" else ""
            environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": str(args.threads)}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                sys.exit(f"{name} failed: {done.stderr[-1500:]}")
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    last = list(contenders)[-1]  # what all are compared with
    beside = f"TRL {found[last][0]['trl']}" if args.trl else last
    print(f"| | samples a second | × {beside} | peak MiB | × {beside} |")
    print("|---|---|---|---|---|")
    rate = {
        name: args.batch / statistics.median(t for run in runs for t in run["times"])
        for name, runs in found.items()
    }
    peak = {name: max(run["peak"] for run in runs) / 2**20 for name, runs in found.items()}
    for name in contenders:
        times = f"{rate[name]:.2f} | {rate[name] / rate[last]:.2f}"
        print(f"| {name} | {times} | {peak[name]:.0f} | {peak[name] / peak[last]:.2f} |")


if __name__ == "__main__":
    main()
