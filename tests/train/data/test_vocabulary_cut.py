"""Cut vocabularies: the same tokens where they stayed, smaller ones elsewhere, nothing lost."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from bp_core.errors import InputError
from tests.train.tiny_llama import CONTROLS, TEXTS, tiny_tokenizer
from train.data.vocabulary_cut import choose_tokens, count_tokens, cut_tokenizer, spare_tokens

WHOLE = tiny_tokenizer()
DATA = json.loads(WHOLE.to_str())
NAMES = {"<spare_0>": "<|tags|>", "<spare_1>": "<|prose|>"}


def cut(texts: list[str], size: int) -> tuple[list[int], Tokenizer]:
    ids = choose_tokens(DATA, count_tokens(WHOLE, texts), size)
    return ids, Tokenizer.from_str(json.dumps(cut_tokenizer(DATA, ids, NAMES)))


IDS, CUT = cut(TEXTS[:1], 330)


def test_a_text_whose_tokens_stayed_is_encoded_as_before():
    # Each new number stands for the old id at that place.
    assert [IDS[i] for i in CUT.encode(TEXTS[0]).ids] == WHOLE.encode(TEXTS[0]).ids
    for i in set(WHOLE.encode(TEXTS[1]).ids).intersection(IDS):
        assert CUT.id_to_token(IDS.index(i)) == WHOLE.id_to_token(i)


@given(st.text(max_size=40))
def test_any_text_comes_back(text):
    assert CUT.decode(CUT.encode(text, add_special_tokens=False).ids) == text


@given(st.lists(st.sampled_from(TEXTS), min_size=1), st.integers(270, 420))
def test_no_more_tokens_than_asked_and_all_can_come_up(texts, size):
    ids, tokenizer = cut(texts, size)
    assert len(ids) == len(set(ids)) == tokenizer.get_vocab_size() <= size
    merged = {merge.replace(" ", "") for merge in cut_tokenizer(DATA, ids, {})["model"]["merges"]}
    kept = {WHOLE.id_to_token(i) for i in ids}
    assert {text for text in kept if len(text) > 1} - set(CONTROLS) == merged


def test_control_tokens_stay_in_front_and_take_new_names():
    assert [CUT.id_to_token(i) for i in range(5)] == [*CONTROLS[:3], "<|tags|>", "<|prose|>"]
    assert CUT.encode("<|tags|>a").tokens == ["<|tags|>", "a"]
    assert CUT.token_to_id("<spare_0>") is None


def test_merges_are_strings_that_old_tokenizers_read():
    merges = cut_tokenizer(DATA, IDS, NAMES)["model"]["merges"]
    assert merges and all(isinstance(merge, str) for merge in merges)
    assert DATA["added_tokens"][3]["content"] == "<spare_0>"  # what was given is left alone


def test_weights_are_of_tokens():
    assert count_tokens(WHOLE, ["a", "a"], 20) == Counter({WHOLE.token_to_id("a"): 40})


def test_what_cannot_be_cut_is_told():
    assert spare_tokens(DATA, {"<|endoftext|>", "<|im_end|>"}, 2) == ["<|im_start|>", "<spare_0>"]
    with pytest.raises(InputError, match="8 control tokens to spare, 9 are needed"):
        spare_tokens(DATA, (), 9)
    with pytest.raises(InputError, match="264 tokens or more: 200"):
        choose_tokens(DATA, Counter(), 200)
    with pytest.raises(InputError, match="no byte-level BPE"):
        choose_tokens({"model": {"type": "Unigram", "vocab": []}}, Counter(), 300)
