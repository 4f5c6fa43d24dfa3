"""Smaller networks: what stays computes as before, and what matters least goes first."""

import pytest
import torch

from bp_core.errors import InputError
from tests.train.tiny_llama import tiny_llama
from train.models.smaller import drop_layers, keep_tokens, spare_layers

IDS = [5, 9, 2, 30, 7]


@torch.inference_mode()
def logits(model, ids):
    return model(torch.tensor([ids])).logits[0]


@pytest.mark.parametrize("tied", [True, False])
def test_tokens_that_stay_have_the_same_logits(tied):
    model = tiny_llama(40, tied=tied)
    before = logits(model, [9, 30, 2])[:, IDS]
    keep_tokens(model, IDS)
    assert model.config.vocab_size == 5
    torch.testing.assert_close(logits(model, [1, 3, 2]), before)
    tensors = {p.data_ptr() for p in (model.lm_head.weight, model.model.embed_tokens.weight)}
    assert len(tensors) == 2 - tied


def test_new_tokens_begin_near_the_mean_and_apart():
    model = tiny_llama(40)
    mean = model.model.embed_tokens.weight.detach()[IDS].mean(0)
    keep_tokens(model, IDS, new=[1, 4])
    rows = model.model.embed_tokens.weight.detach()
    assert 0 < (rows[1] - mean).abs().max() < 0.1 and not torch.equal(rows[1], rows[4])


def test_a_layer_that_adds_nothing_goes_first_and_is_not_missed():
    model = tiny_llama(40)
    for module in (model.model.layers[2].self_attn.o_proj, model.model.layers[2].mlp.down_proj):
        torch.nn.init.zeros_(module.weight)
    before = logits(model, IDS)
    assert spare_layers(model, [[1, 2, 3, 4], [7, 8]], 3) == [2]
    torch.testing.assert_close(logits(model, IDS), before)  # all are there still
    drop_layers(model, [2])
    assert model.config.num_hidden_layers == len(model.model.layers) == 3
    torch.testing.assert_close(logits(model, IDS), before)


def test_what_is_left_writes_with_a_cache():
    model = tiny_llama(40)
    drop_layers(model, [1])
    made = model.generate(
        torch.tensor([IDS]), attention_mask=torch.ones(1, 5), max_new_tokens=3, do_sample=False,
        eos_token_id=None,
    )  # fmt: skip
    for i in range(5, 8):
        assert made[0, i] == logits(model, made[0, :i].tolist())[-1].argmax()


def test_padding_changes_no_choice():
    model, texts = tiny_llama(40), [[1, 2, 3, 4, 5, 6], [7, 8]]
    assert spare_layers(model, texts, 2) == spare_layers(model, texts[::-1], 2)


def test_layers_that_are_not_there_are_told():
    model = tiny_llama(40)
    for wrong in ([4], [0, 1, 2, 3]):
        with pytest.raises(InputError, match="layers go from 0 to 3"):
            drop_layers(model, wrong)
    with pytest.raises(InputError, match="has 4 layers"):
        spare_layers(model, [[1, 2]], 9)
