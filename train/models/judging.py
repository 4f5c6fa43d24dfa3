"""A writer that also learns to tell which phrases suit a prompt (`bp_core.models.suitability`).

Both tasks share a step: pairs teach the head that writes, judged phrases two directions in the
states of the first layers. The directions are a part of the model while it trains, so that they
are saved and resumed with it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bp_core.models.suitability import Suitability, normed
from bp_core.models.template import Template
from bp_core.models.tokenizer import prompt_parts
from train.data.judged import Judged

NAME = "suitability"  # of the directions within the model
# What an example of a pair has in these columns.
NOTHING_JUDGED = {"ends": [], "wrong": [], "best": []}
_UNTOLD = -1.0  # a reader has not said which are best
# Directions begin at nothing and are two rows: they can learn faster than a whole network.
_STEP = 5.0


def add_directions(model, base: Path | None = None, depth: int = 0) -> None:
    """Give a causal language model of transformers the two directions, as its part `NAME`.

    Args:
        base: folder of the model that training starts from; one that judges behind as many layers
            (`depth`) hands on its directions.

    Raises:
        ModelError: the base's directions are damaged.
    """
    width = model.config.hidden_size
    directions = nn.Linear(width, 2)
    nn.init.normal_(directions.weight, std=0.02)
    nn.init.zeros_(directions.bias)
    learned = Suitability.load(base, width) if base is not None and base.is_dir() else None
    if learned is not None and learned.depth == depth:
        with torch.no_grad():
            directions.weight.copy_(learned.directions)
            directions.bias.copy_(learned.bias)
    model.add_module(NAME, directions.to(model.device))


def encode_judged(
    tokenizer, template: Template, row: Judged, longest: int, rng: random.Random
) -> dict:
    """One example, its phrases in random order: `input_ids` (T,), `labels` (T,) all -100, and for
    each phrase that fits into `longest` tokens its last place, and 0 or 1 for wrong and best."""
    parts = prompt_parts(template, "judge", row.prompt, row.dialect)
    ids = [i for text, _ in parts for i in encode(tokenizer, text)]
    ends, wrong, best = [], [], []
    for number in rng.sample(range(len(row.phrases)), len(row.phrases)):
        phrase = encode(tokenizer, f" {row.phrases[number]},")
        if len(ids) + len(phrase) > longest:
            break
        ids += phrase
        ends.append(len(ids) - 1)
        wrong.append(float(number in row.wrong))
        best.append(_UNTOLD if row.best is None else float(number in row.best))
    return {
        "input_ids": ids, "labels": [-100] * len(ids), "ends": ends, "wrong": wrong, "best": best,
    }  # fmt: skip


def encode(tokenizer, text: str) -> list[int]:
    """Ids of a text as it stands, without a beginning or an end."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]


class Collator:
    """Pads examples of both kinds to one batch; `rows` and `ends` say where phrases end in it."""

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, examples: Sequence[dict]) -> dict[str, Tensor]:
        length = max(len(e["input_ids"]) for e in examples)
        ids = torch.full((len(examples), length), self._pad)
        labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
        for row, e in enumerate(examples):
            used = len(e["input_ids"])
            ids[row, :used] = torch.tensor(e["input_ids"])
            labels[row, :used] = torch.tensor(e["labels"])
            mask[row, :used] = 1
        phrases = [
            (row, *phrase)
            for row, e in enumerate(examples)
            for phrase in zip(e["ends"], e["wrong"], e["best"], strict=True)
        ]
        rows, ends, wrong, best = zip(*phrases, strict=True) if phrases else ([],) * 4
        return {
            "input_ids": ids, "attention_mask": mask, "labels": labels,
            "rows": torch.tensor(rows, dtype=torch.long),
            "ends": torch.tensor(ends, dtype=torch.long),
            "marks": torch.tensor([wrong, best], dtype=torch.float32).T,
        }  # fmt: skip


def judging_loss(states: Tensor, directions: nn.Linear, marks: Tensor) -> Tensor:
    """Mean cross-entropy of wrong, and of best where it is told, in nats a phrase.

    Args:
        states: (n, hidden_size) at the ends of n phrases.
        marks: (n, 2) of 0 and 1, or `_UNTOLD`.
    """
    logits = directions(normed(states.float()))
    told = marks != _UNTOLD
    losses = binary_cross_entropy_with_logits(logits, marks.clamp(min=0), reduction="none")
    return (losses * told).sum() / told[:, 0].sum()


def judging_trainer(base: type, depth: int) -> type:
    """A trainer class of TRL's or transformers' that also learns from judged phrases.

    Args:
        base: SFTTrainer.
        depth: how many of the network's layers read phrases.
    """

    class JudgingTrainer(base):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            rows, ends, marks = (inputs.pop(name) for name in ("rows", "ends", "marks"))
            outputs = model(
                **{name: inputs[name] for name in ("input_ids", "attention_mask", "labels")},
                output_hidden_states=True,
            )
            # A batch of judged phrases alone has no token to learn to write.
            told = (inputs["labels"] != -100).any()
            loss = outputs.loss if told else outputs.logits.sum() * 0
            if len(rows):
                directions = self.accelerator.unwrap_model(model).get_submodule(NAME)
                states = outputs.hidden_states[depth][rows, ends]
                loss = loss + judging_loss(states, directions, marks)
            return (loss, outputs) if return_outputs else loss

        def create_optimizer(self, *args, **kwargs):
            optimizer = super().create_optimizer(*args, **kwargs)
            own = set(self.model.get_submodule(NAME).parameters())
            for group in list(optimizer.param_groups):
                fast = [p for p in group["params"] if p in own]
                if fast:
                    group["params"] = [p for p in group["params"] if p not in own]
                    more = {k: v for k, v in group.items() if k != "params"}
                    more["lr"] = more["lr"] * _STEP
                    optimizer.add_param_group({"params": fast, **more})
            return optimizer

    return JudgingTrainer


def take_directions(model, depth: int) -> Suitability:
    """The directions of a trained model, which then is without them."""
    directions = getattr(model, NAME)
    delattr(model, NAME)
    weight, bias = directions.weight.detach().float().cpu(), directions.bias.detach().float().cpu()
    return Suitability(weight, bias, depth)
