"""The reward network in training: bp_core's trunk, a scalar head, its losses, and its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bp_core.decode.bloom import bloom
from bp_core.decode.transformer import Transformer
from bp_core.errors import InputError
from bp_core.models.checkpoint import read_json, write_safetensors
from bp_core.models.folder import find
from bp_core.models.gguf_file import GGUF, file_of
from bp_core.models.network import load_network, opened
from bp_core.models.tokenizer import read_tokenizer, special_ids
from bp_core.score.text_reward import (
    HEAD,
    TEMPLATES,
    RewardTemplate,
    TextReward,
    fingerprint,
    pool,
    tokenizer_home,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class RewardNetwork(nn.Module):
    """Trunk, pooling and scalar head.

    Args:
        pairwise: weight of the Bradley-Terry loss over all pairs of a batch.
        auxiliary: weight of regressing `features` from the pooled vector.
        width: how many features; their head is thrown away after training.
    """

    def __init__(
        self,
        trunk: Transformer,
        pooling: str,
        pairwise: float = 0,
        auxiliary: float = 0,
        width: int = 0,
    ) -> None:
        super().__init__()
        self.trunk, self.pooling = trunk, pooling
        self.pairwise, self.auxiliary = pairwise, auxiliary
        size = trunk.config.hidden_size
        self.score = nn.Linear(size, 1, bias=False)
        nn.init.zeros_(self.score.weight)
        self.features = nn.Linear(size, width) if width else None

    def forward(
        self,
        input_ids: Tensor,
        lengths: Tensor,
        labels: Tensor | None = None,
        features: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Scores (n,) as `logits`, and the loss when there are labels (n,).

        Args:
            input_ids: (n, T), padded on the right.
            lengths: (n,) tokens of each row.
            features: (n, k) auxiliary targets.
        """
        vectors = pool(self.trunk.hidden(input_ids), lengths, self.pooling)
        scores = self.score(vectors).squeeze(-1).float()
        if labels is None:
            return {"logits": scores}
        loss = F.mse_loss(scores, labels)
        if self.pairwise:
            loss = loss + self.pairwise * bradley_terry(scores, labels)
        if self.features is not None and features is not None and self.training:
            loss = loss + self.auxiliary * F.mse_loss(self.features(vectors).float(), features)
        return {"loss": loss, "logits": scores}


def bradley_terry(scores: Tensor, labels: Tensor) -> Tensor:
    """-log σ(s_i - s_j) averaged over the pairs with label i above label j; 0 without a pair."""
    above = labels[:, None] > labels[None, :]
    if not above.any():
        return scores.sum() * 0
    return -F.logsigmoid(scores[:, None] - scores[None, :])[above].mean()


def template_of(args) -> RewardTemplate:
    return TEMPLATES.get(args.template) or RewardTemplate(args.template)


class Base(NamedTuple):
    """What a reward begins with.

    Attributes:
        network: in float32, trainable, without an output head.
        control: ids of control tokens.
        fields: config.json of a model of it.
        end: the token that ends its texts.
    """

    network: Transformer
    tokenizer: Tokenizer
    control: frozenset[int]
    fields: dict
    end: str


def said_of(base: str | None) -> dict:
    """What a base's beautifulprompt.json says where it is a reward model itself; else nothing."""
    if not base:
        return {}
    path = find(base) / "beautifulprompt.json"
    about = read_json(path) if path.is_file() else {}
    return about if about.get("kind") == "reward" else {}


def load_trunk(base: str) -> Base:
    """Of a model folder, a GGUF file or a downloaded hub id.

    Of a reward model the trunk is taken and its head left; it may share its tokenizer with the
    folder above.
    """
    folder, about = find(base), said_of(base)
    trunk, _ = load_network(folder, dtype="float32", heads=[HEAD] if about else [])
    # The output layer has nothing to do here.
    trunk.head, trunk.config = None, replace(trunk.config, tied=True)
    # Out of the file's memory map, and trainable.
    for name, parameter in list(trunk.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        setattr(trunk.get_submodule(owner), leaf, nn.Parameter(parameter.detach().clone()))
    fields, _ = opened(folder)
    path = file_of(folder)
    if path is not None and not (path.parent / "tokenizer.json").is_file():
        tokenizer = GGUF(path).tokenizer()
    else:
        tokenizer = read_tokenizer(tokenizer_home(path.parent if path else folder, about))
    end = fields.get("eos_token_id")
    end = end[0] if isinstance(end, list) and end else end
    word = tokenizer.id_to_token(end) if isinstance(end, int) else "</s>"
    if word is None or tokenizer.token_to_id(word) is None:
        raise InputError(f"{folder}: config.json names no end token: add eos_token_id")
    return Base(trunk, tokenizer, special_ids(tokenizer), fields, word)


def new_trunk(args) -> Base:
    """A random BLOOM of the sizes in the arguments."""
    if not args.tokenizer:
        raise InputError("no base and no tokenizer: give --base or --tokenizer")
    folder = Path(args.tokenizer).parent
    tokenizer = read_tokenizer(folder)
    size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    trunk = Transformer(bloom(size, args.hidden_size, args.n_layer, args.n_head))
    for module in trunk.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
    if args.word_vectors:
        vectors = torch.from_numpy(np.load(args.word_vectors)).float()
        if vectors.shape[0] != size:
            raise InputError(
                f"{args.word_vectors} has {vectors.shape[0]} vectors, the tokenizer {size} "
                "entries: run python -m train.starter.embed with this tokenizer"
            )
        trunk.embedding.weight.data = compressed(vectors, args.hidden_size)
    end = tokenizer.token_to_id("</s>")
    fields = {
        "model_type": "bloom",
        "vocab_size": size,
        "hidden_size": args.hidden_size,
        "n_layer": args.n_layer,
        "n_head": args.n_head,
        "layer_norm_epsilon": trunk.config.epsilon,
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": tokenizer.token_to_id("<pad>"),
    }
    return Base(trunk, tokenizer, special_ids(tokenizer), fields, "</s>")


def compressed(vectors: Tensor, size: int) -> Tensor:
    """Principal components of vectors (V, d) as word embeddings (V, size) of spread 0.02."""
    centred = vectors - vectors.mean(0)
    directions = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :size]
    out = centred @ directions
    if out.shape[1] < size:
        out = torch.cat([out, torch.zeros(len(out), size - out.shape[1])], 1)
    return 0.02 * out / out.std()


def hf_config(fields: dict, dtype: str) -> dict:
    """config.json of a base's kind with a scalar head in place of its output layer."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSES,
    )

    left = ("architectures", "dtype", "torch_dtype", "quantization_config")
    kept = {k: v for k, v in fields.items() if k[0] != "_" and k not in left}
    known = CLASSES.get(fields["model_type"])
    kept |= {"architectures": [known]} if known else {}
    return kept | {
        "num_labels": 1,
        "problem_type": "regression",
        "tie_word_embeddings": True,  # there is no other head
        "dtype": dtype,
        "torch_dtype": dtype,
    }


def write_folder(
    network: RewardNetwork,
    base: Base,
    args,
    scale: tuple[float, float],
    validation: pd.DataFrame,
    folder: Path,
    kept: dict[str, float] | None = None,
) -> None:
    """The folder that `TextReward` loads; validation prompts give its scores' mean and deviation.

    Args:
        base: what training began with; its network has become `network`'s trunk.
        kept: mean and std of the kept share, where it stands in for r_ps.
        scale: mean and standard deviation that z-scored the training targets.
    """
    from train.data.vocabulary import save

    folder.mkdir(parents=True, exist_ok=True)
    dtype = getattr(torch, args.weights)
    state = dict(network.trunk.tensors())
    state[HEAD] = network.score.weight
    state = {k: v.detach().to("cpu", dtype).contiguous() for k, v in state.items()}
    bad = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise InputError(f"{bad[0]} does not fit {args.weights}: set --weights bfloat16 or float32")
    write_safetensors(state, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer, config = base.tokenizer, hf_config(base.fields, args.weights)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    above = folder.parent / "tokenizer.json" if args.share_tokenizer else folder / "tokenizer.json"
    save(tokenizer, above)
    about = {
        "kind": "reward",
        "template": template_of(args).text,
        "pooling": args.pooling,
        "max_tokens": args.max_tokens,
        "vocabulary": fingerprint(tokenizer),
        "scores": {"mean": 0.0, "std": 1.0},
        "target": {"column": args.score, "mean": scale[0], "std": scale[1]},
    }
    if kept:
        about["kept"] = kept
    if args.share_tokenizer:
        about["tokenizer"] = ".."
    path = folder / "beautifulprompt.json"
    path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    # As the written weights score them, rounding included. One row has no spread.
    raw = validation.raw_prompt.tolist() if "raw_prompt" in validation.columns else None
    scores = TextReward.load(folder).score(validation.prompt.tolist(), raw)
    std = float(scores.std()) if len(scores) > 1 else 1.0
    about["scores"] = {"mean": float(scores.mean()), "std": std or 1.0}
    path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
