"""Which phrases suit a prompt: the bundled network, its file, and what a rewriter leaves out."""

import pytest
import torch
from safetensors.torch import save_file

from bp_core import Rewriter
from bp_core.drafter import Drafter
from bp_core.errors import ModelError
from bp_core.models.load import load
from bp_core.score import taste
from bp_core.score.taste import FILE, Taste, fingerprint, load_taste, shapes
from bp_core.score.text_reward import TextReward, load_reward
from bp_core.settings import Settings
from tests.bp_core.score.test_text_reward import reward_folder

PROMPTS = ["a lighthouse at dusk", "oil painting of a heron", "a submarine in the deep sea"]


@pytest.fixture(scope="module")
def bundled():
    return load_taste()


@pytest.fixture(scope="module")
def rewriter(bundled, small_writer):
    return Rewriter(load(small_writer), load_reward(), bundled)


def random_taste(folder, size=16, reward=None):
    torch.manual_seed(0)
    weights = {name: torch.randn(shape) for name, shape in shapes(size).items()}
    about = {"reward": reward or fingerprint(TextReward.load(folder))}
    save_file({name: t.abs() + 0.1 for name, t in weights.items()}, folder / FILE, metadata=about)


@pytest.mark.parametrize(
    ("phrase", "suits", "does_not"),
    [
        ("sunset", "a beach in the evening", "a submarine in the deep sea"),
        ("nikon 35mm lens", "a heron in the reeds", "oil painting of a heron"),
        ("octane render", "a robot in a factory", "pencil sketch of a barn"),
        ("cute", "a baby duck", "a haunted house"),
        ("beautiful landscape", "a valley in the alps", "a red mug on a desk"),
        ("sunny day", "a garden in june", "a lighthouse at dusk, storm clouds"),
    ],
)
def test_a_phrase_suits_one_prompt_and_not_another(bundled, phrase, suits, does_not):
    good, bad = (bundled.of(prompt)([phrase])[0] for prompt in (suits, does_not))
    assert 0 <= bad < Settings.min_taste < good <= 1


def test_a_phrase_is_judged_the_same_alone_and_among_others(bundled):
    phrases = ["Sunset", "sunset", "sharp focus", "a word nobody said before"]
    fresh = Taste(bundled.weights, bundled.reader)
    together = fresh.of(PROMPTS[0])(phrases)
    assert together[0] == together[1]  # capitals say nothing
    alone = [Taste(bundled.weights, bundled.reader).of(PROMPTS[0])([p])[0] for p in phrases]
    assert alone == pytest.approx(together, abs=1e-5)
    assert fresh.of(PROMPTS[0])(phrases) == together and fresh.of(PROMPTS[0])([]) == []


def test_what_it_remembers_is_bounded(bundled, monkeypatch):
    monkeypatch.setattr(taste, "_REMEMBERED", 4)
    fresh = Taste(bundled.weights, bundled.reader)
    for i in range(20):
        fresh.phrases([f"phrase number {i}"])
    assert len(fresh._known) <= 4


def test_a_reward_brings_its_own_taste_or_the_bundled_one(tmp_path, bundled):
    folder = reward_folder(tmp_path / "aes")
    other = load_taste(folder)
    assert other.of(PROMPTS[0])(["sunset"]) == pytest.approx(
        bundled.of(PROMPTS[0])(["sunset"]), abs=1e-5
    )
    random_taste(folder)
    reader = TextReward.load(folder)
    random = load_taste(folder, reader)
    assert random.reader is reader and len(random.of("a cat")(["fog"])) == 1


def test_a_file_of_another_reward_is_an_error(tmp_path):
    folder = reward_folder(tmp_path / "aes")
    reader = TextReward.load(folder)
    with pytest.raises(ModelError, match=r"train/taste\.py"):
        Taste.load(folder, reader)
    for other in ({"size": 8}, {"reward": "another's"}):
        random_taste(folder, **other)
        with pytest.raises(ModelError, match="not of the reward beside it"):
            Taste.load(folder, reader)
    (folder / FILE).write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"train/taste\.py"):
        Taste.load(folder, reader)


@pytest.mark.parametrize("mode", ["expand", "rewrite"])
def test_nothing_unsuitable_is_added(rewriter, mode):
    results = rewriter.many(PROMPTS, mode=mode, n=4, seed=1)
    added = [(r.prompt, p) for r in results for c in r.candidates for p in c.added]
    assert len(added) > 20
    assert all(rewriter.taste.of(prompt)([p])[0] > 0.499 for prompt, p in added)


def test_none_is_asked_for_none_is_left_out(rewriter):
    unranked = Rewriter(rewriter.model)
    for prompt in PROMPTS:
        every = rewriter(prompt, n=2, seed=1, min_taste=0)
        plain = unranked(prompt, n=2, seed=1)
        assert {c.text for c in every.candidates} == {c.text for c in plain.candidates}


def test_the_artist_s_own_words_are_not_judged(rewriter):
    judged = []

    class Nothing:
        def of(self, prompt):
            return lambda phrases: judged.extend(phrases) or [0.0] * len(phrases)

    drafter = Drafter(rewriter.model, "a cat in fog", Settings(mode="rewrite"), Nothing())
    assert drafter.unsuitable(["a grey cat", "night"]) == {"night"} and judged == ["night"]


def test_a_style_is_what_phrases_must_suit_too(rewriter):
    asked = []

    class Noting:
        def of(self, prompt):
            asked.append(prompt)
            return lambda phrases: [1.0] * len(phrases)

    Drafter(rewriter.model, "a cat <lora:x:1>", Settings(style="woodcut"), Noting())
    Drafter(rewriter.model, "a cat", Settings(min_taste=0), Noting())
    assert asked == ["a cat, woodcut"]


def test_a_thin_draft_is_drawn_again(rewriter):
    from bp_core.decode.generate import Generation

    drafter = Drafter(rewriter.model, "a submarine in the deep sea", Settings(), rewriter.taste)

    def draft(text, last):
        ids = rewriter.model.tokenizer.encode(text).ids
        return drafter.draft(Generation(ids, [-1.0] * (len(ids) + 1), finished=True), last=last)

    thin = "moody, sunset, beautiful landscape, fluffy clouds"
    assert draft(thin, last=False) is None
    assert draft(thin, last=True).added == ("moody",)
    assert draft("moody, cinematic", last=False) is not None  # the model wrote no more
