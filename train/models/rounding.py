"""Training that knows of the rounding to come: each step's losses are those of packed weights."""

from __future__ import annotations

import torch
from torch import Tensor

from bp_core.decode import families
from bp_core.models.packed import as_packed
from bp_core.models.vision import define_operators
from train.models.judging import NAME

define_operators()
from transformers import TrainerCallback  # noqa: E402


class Rounding(TrainerCallback):
    """Rounds the weights to 4 bits before each step's forward and brings them back before the
    optimizer's: gradients are those of the rounded weights, and move the whole ones.

    Bengio, Léonard and Courville 2013, "Estimating or propagating gradients through stochastic
    neurons" (the straight-through estimator).

    Args:
        model: a causal language model that `bp_core.decode` builds.
        group, table_bits: as of `bp_core.models.packed.write`.
        begin: share (0-1) of the steps that go by before.
    """

    def __init__(self, model, group: int, table_bits: int, begin: float) -> None:
        names = families.from_hf(model.config.to_dict()).names
        self._group, self._table_bits, self._begin = group, table_bits, begin
        self._matrices = [
            (names.ours(name) or name, parameter)
            for name, parameter in model.named_parameters()
            if parameter.ndim == 2 and not name.startswith(NAME)
        ]
        self._whole: list[Tensor] = []

    @torch.no_grad()
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step < self._begin * state.max_steps:
            return
        self._whole = [parameter.detach().clone() for _, parameter in self._matrices]
        for name, parameter in self._matrices:
            rounded = as_packed(parameter.detach().float(), name, self._group, self._table_bits)
            parameter.copy_(rounded)

    @torch.no_grad()
    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        for (_, parameter), whole in zip(self._matrices, self._whole, strict=False):
            parameter.copy_(whole)
        self._whole = []
