"""Rounding while training: forwards see packed weights, the optimizer whole ones."""

from types import SimpleNamespace

import torch

from tests.train.tiny_llama import tiny_llama
from train.models.rounding import Rounding


def test_a_step_sees_rounded_weights_and_moves_whole_ones():
    model = tiny_llama(300)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    rounding = Rounding(model, group=32, table_bits=8, begin=0.5)
    early, late = (SimpleNamespace(global_step=step, max_steps=10) for step in (4, 5))
    rounding.on_step_begin(None, early, None)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    rounding.on_pre_optimizer_step(None, early, None)
    rounding.on_step_begin(None, late, None)
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 or parameter.shape[1] % 32 or "embed" in name:
            assert torch.equal(parameter, before[name])
        else:
            groups = parameter.detach().reshape(-1, 32)
            assert max(len(group.unique()) for group in groups) <= 16
            assert (parameter - before[name]).norm() < 0.1 * before[name].norm()
    rounding.on_pre_optimizer_step(None, late, None)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
