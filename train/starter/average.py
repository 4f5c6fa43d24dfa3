"""Rewriters between others: the mean of their weights.

    python -m train.starter.average runs/starter_writer/model runs/starter_ppo/model \\
        --out runs/starter_mean/model

A model soup (Wortsman et al. 2022, arXiv 2203.05482). Models that went on from one another, as the
rounds of train/best_of_n.py do, lie near enough: what is between them keeps most of what the later
one gained and much of the variety that it lost.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

import train
from bp_core.errors import InputError
from train.models.weights import load_trainable, write_folder_like


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="folders of rewriters")
    parser.add_argument("--weights", default="float16", choices=("float16", "bfloat16", "float32"))
    parser.add_argument("--out", type=Path, required=True, help="folder that is written")
    args = parser.parse_args(argv)
    train.make_folder(args.out)
    average(args.models, args.out, args.weights)


def average(models: Sequence[str], folder: Path, dtype: str = "float16") -> None:
    """Write a model folder with the mean of the weights of `models`, computed in float32.

    Config, tokenizer and template are the first one's.

    Raises:
        InputError: models of different shapes or tokenizers.
    """
    first, *others = (load_trainable(model, torch.device("cpu")) for model in models)
    tensors = dict(first.network.tensors())
    vocabulary = first.tokenizer.get_vocab()
    for model in others:
        same = model.network.config == first.network.config
        if not same or model.tokenizer.get_vocab() != vocabulary:
            raise InputError(
                f"{model.name} has another shape or tokenizer than {first.name}: "
                "average models that were trained on from one another"
            )
        for name, tensor in model.network.tensors():
            tensors[name] = tensors[name] + tensor
    means = ((name, tensor / len(models)) for name, tensor in tensors.items())
    write_folder_like(first, means, folder, dtype)


if __name__ == "__main__":
    train.run(main)
