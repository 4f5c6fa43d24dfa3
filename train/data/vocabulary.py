"""Learn a byte-level BPE vocabulary from prompts; its tokenizer.json opens on old hosts too."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from bp_core.settings import DIALECTS

PAD, END, EXPAND, REWRITE, NOTES = "<pad>", "</s>", "<|expand|>", "<|rewrite|>", "<|notes|>"
# Of the template "dialects".
CONTROLS = (NOTES, *(f"<|{dialect}|>" for dialect in DIALECTS[1:]), REWRITE)


def learn(texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer of `size` entries: lower-cased, every word with its leading space.

    Prompts carry no meaning in their case, and a model this small cannot afford two tokens a word;
    the rewriter gives the artist's own words their case back.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=[PAD, END, EXPAND, REWRITE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save(tokenizer: Tokenizer, path: Path) -> None:
    """Write tokenizer.json with merges as "a b" strings: tokenizers 0.13 cannot read pairs."""
    data = json.loads(tokenizer.to_str())
    model = data["model"]
    merges = model.get("merges")  # none where it is no BPE
    if merges and not any(" " in part for m in merges if not isinstance(m, str) for part in m):
        model["merges"] = [m if isinstance(m, str) else " ".join(m) for m in merges]
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
