"""What each packed kind of weights changes: texts, next tokens and perplexity.

    python benchmarks/precision.py prompts.txt --model FOLDER
    python benchmarks/precision.py prompts.txt --device cuda    # half precision, our own kernels

The texts judged are what the float32 network writes for the prompts with a fixed seed, so that
its own perplexity is the floor.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch

import benchmarks  # noqa: F401  # the root on sys.path
from benchmarks.decode import engine
from bp_core.decode.cpu.engine import KINDS
from bp_core.decode.generate import Network, generate
from bp_core.decode.sampling import SamplingParams
from bp_core.decode.transformer import Transformer
from bp_core.models import STARTER
from bp_core.models.load import Model, load
from bp_core.models.network import load_network

_ROWS = 8  # texts written at once, as many as our kernels for a GPU take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompts", type=Path, help="text file, a prompt a line")
    parser.add_argument("--model", default=STARTER, help="a folder or .gguf file (the starter)")
    parser.add_argument("--count", type=int, default=200, help="how many prompts")
    parser.add_argument("--new", type=int, default=40, help="tokens written for each")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    lines = args.prompts.read_text(encoding="utf-8").splitlines()
    model = load(args.model, args.device, "float32", graph=False)
    prompts = [model.encode(line, "expand") for line in lines if line.strip()][: args.count]
    sampled = SamplingParams(repetition_penalty=1, max_new_tokens=args.new)
    texts = [
        prompt + one[0].tokens
        for prompt, one in zip(prompts, write(model, model.network, prompts, sampled), strict=True)
    ]
    reference = judge(model.network, prompts, texts)
    ways = (
        SamplingParams(temperature=0, max_new_tokens=args.new),
        SamplingParams(max_new_tokens=args.new),
    )
    expected = [write(model, model.network, prompts, way) for way in ways]

    print("| weights | same greedy text | same drawn text | same likeliest token | perplexity |")
    print(f"|---|---|---|---|---|\n| float32 | | | | {reference[1]:.4f} |")
    for name, network in networks(model):
        same = []
        for way, texts_of_way in zip(ways, expected, strict=True):
            pairs = zip(texts_of_way, write(model, network, prompts, way), strict=True)
            same.append(f"{sum(a[0].tokens == b[0].tokens for a, b in pairs)}/{len(prompts)}")
        likeliest, perplexity = judge(getattr(network, "model", network), prompts, texts)
        agree = (likeliest == reference[0]).float().mean()
        print(f"| {name} | {same[0]} | {same[1]} | {agree:.2%} | {perplexity:.4f} |")


def networks(model: Model) -> Iterator[tuple[str, Network]]:
    """What the model's device can run, by name."""
    if model.network.device.type == "cpu":
        for kind in KINDS:
            for name, variant in (("fbgemm", kind), ("numba", f"{kind}-numba")):
                network, _ = load_network(model.path, dtype="as stored")
                yield f"{kind}, {name}", engine(variant, network)
        return
    for dtype in ("float32", "bfloat16", "float16"):
        network, _ = load_network(model.path, model.network.device, getattr(torch, dtype))
        if dtype != "float32":
            yield f"{dtype}, PyTorch", network
        yield f"{dtype}, captured", engine("graph", network)


def write(
    model: Model, network: Network, prompts: list[list[int]], params: SamplingParams
) -> list[list]:
    """One text a prompt."""
    return [
        text
        for start in range(0, len(prompts), _ROWS)
        for text in generate(
            network, prompts[start : start + _ROWS], eos=model.eos_id, n=1, params=params
        )
    ]


@torch.inference_mode()
def judge(
    network: Transformer, prompts: list[list[int]], texts: list[list[int]]
) -> tuple[torch.Tensor, float]:
    """The likeliest token at every place behind the prompts, and the perplexity of those places."""
    likeliest, surprise = [], []
    for prompt, text in zip(prompts, texts, strict=True):
        ids = torch.tensor([text], device=network.device)
        logits = network(ids)[0, len(prompt) - 1 : -1].float()
        target = ids[0, len(prompt) :]
        likeliest.append(logits.argmax(1))
        surprise.append(torch.nn.functional.cross_entropy(logits, target, reduction="none"))
    return torch.cat(likeliest), math.exp(torch.cat(surprise).mean())


if __name__ == "__main__":
    main()
