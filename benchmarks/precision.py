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
from bp_core.decode.bloom import Bloom
from bp_core.decode.cpu import fbgemm as quant
from bp_core.decode.cuda.decoder import GraphDecoder
from bp_core.decode.cuda.step import ROWS
from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams
from bp_core.models.load import Model, load, load_bloom
from bp_core.trim import prompt_tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompts", type=Path, help="text file, a prompt a line")
    parser.add_argument("--model", help="folder; the bundled starter if left out")
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
        likeliest, perplexity = judge(network, prompts, texts)
        agree = (likeliest == reference[0]).float().mean()
        print(f"| {name} | {same[0]} | {same[1]} | {agree:.2%} | {perplexity:.4f} |")


def networks(model: Model) -> Iterator[tuple[str, Bloom]]:
    """What the model's device can run, by name."""
    if model.network.device.type == "cpu":
        kept = prompt_tokens(model.tokenizer)
        for kind in quant.KINDS:
            for engine, trimmed in (("fbgemm", None), ("fbgemm", kept), ("numba", None)):
                network, _ = load_bloom(model.path, dtype="as stored")
                name = f"{kind}, {engine}"
                name += "" if trimmed is None else f", {len(kept)} tokens kept"
                yield name, quant.pack(network, kind, trimmed, engine=engine)
        return
    for dtype in ("float32", "bfloat16", "float16"):
        network, _ = load_bloom(model.path, model.network.device, getattr(torch, dtype))
        if dtype != "float32":
            yield f"{dtype}, PyTorch", network
        network.decoder = GraphDecoder(alone=True)
        yield f"{dtype}, captured", network


def write(model: Model, network: Bloom, prompts: list[list[int]], params: SamplingParams) -> list:
    """One text a prompt, as many at a time as our kernels for a GPU take."""
    return [
        text
        for start in range(0, len(prompts), ROWS)
        for text in generate(
            network, prompts[start : start + ROWS], eos=model.eos_id, n=1, params=params
        )
    ]


@torch.inference_mode()
def judge(
    network: Bloom, prompts: list[list[int]], texts: list[list[int]]
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
