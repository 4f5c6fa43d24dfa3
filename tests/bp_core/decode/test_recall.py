"""recall.py: a free rewrite says the artist's words in order, and is otherwise left alone."""

import pytest
import torch

from bp_core.decode.cuda.decoder import CudaNetwork
from bp_core.decode.generate import generate
from bp_core.decode.recall import Recall
from bp_core.decode.sampling import SamplingParams
from bp_core.errors import InputError
from bp_core.models.load import load
from bp_core.rewriter import Rewriter

PROMPTS = [[5, 6, 7], [8, 9], [10]]
WANTED = [[[11], [12, 13], [14]], [[7, 7], [5]], []]
STRONG = SamplingParams(max_new_tokens=12, recall=60)


def texts(network, **options):
    found = generate(network, PROMPTS, eos=3, n=3, params=STRONG, wanted=WANTED, **options)
    return [[one.tokens for one in each] for each in found]


def test_a_strong_reminder_is_followed_word_for_word(bloom):
    found = texts(bloom(vocab_size=15))
    assert all(one[:4] == [11, 12, 13, 14] for one in found[0])
    assert all(one[:3] == [7, 7, 5] for one in found[1])


def test_without_wanted_words_nothing_changes(bloom):
    network = bloom(vocab_size=15)
    plain = generate(network, PROMPTS, eos=3, n=3, params=SamplingParams(max_new_tokens=12))
    assert texts(network)[2] == [one.tokens for one in plain[2]]


def test_log_probabilities_are_the_models_own(bloom):
    network = bloom(vocab_size=15)
    one = generate(network, PROMPTS[:1], eos=3, n=1, params=STRONG, wanted=WANTED[:1])[0][0]
    ids = torch.tensor([PROMPTS[0] + one.tokens])
    own = network(ids)[0].log_softmax(1)[len(PROMPTS[0]) - 1 : -1]
    expected = own.gather(1, ids[0, len(PROMPTS[0]) :, None])[:, 0].tolist()
    assert one.logprobs[: len(expected)] == pytest.approx(expected, abs=1e-4)


def test_the_static_step_is_reminded_too(bloom):
    network = bloom(vocab_size=15)
    plain = texts(network), texts(network, seed=9)
    network = CudaNetwork(network, alone=True)
    assert (texts(network), texts(network, seed=9)) == plain


def test_a_word_passed_over_is_given_up():
    recall = Recall.of([[[4], [5], [6]]], 2.0)

    def leaning():
        logits = torch.zeros(1, 8)
        recall.lean(logits)
        return logits.nonzero()[:, 1].tolist()

    assert leaning() == [4]
    recall.hear(torch.tensor([1]))  # an insertion
    assert leaning() == [4]
    recall.hear(torch.tensor([5]))
    assert leaning() == [6]
    recall.hear(torch.tensor([6]))
    assert leaning() == []


def test_a_word_begun_is_leaned_on_more():
    recall = Recall.of([[[4, 5]]], 2.0)
    recall.hear(torch.tensor([4]))
    logits = torch.zeros(1, 8)
    recall.lean(logits)
    assert logits[0, 5] == 4.0


def test_a_rewriter_is_reminded_of_the_words_it_was_given(model_folder):
    rewriter = Rewriter.load(model_folder, reward=None)
    found = rewriter("a cat in the garden", mode="rewrite", n=4)
    assert all("cat" in one.text and "garden" in one.text for one in found.candidates)
    assert load(model_folder).encode_words("a cat, 8k")[0]


def test_a_strength_out_of_range():
    with pytest.raises(InputError, match="recall"):
        SamplingParams(recall=-1)
