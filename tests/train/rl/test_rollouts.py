"""Rollouts: what the policy reads is what it will read at work."""

from bp_core.decode.sampling import Draw, SamplingParams
from bp_core.drafter import Drafter
from bp_core.models.load import load
from bp_core.score.taste import load_taste
from bp_core.score.text_reward import TextReward
from bp_core.settings import Settings
from train.rl.rollouts import Prompt, write


def test_rollouts_read_the_notes_of_their_seed(dialect_writer):
    model = load(dialect_writer, dtype="float32")
    draws, params = [[Draw(seed, 0)] for seed in (7, 8)], SamplingParams(max_new_tokens=3)
    rollouts = write(model, [Prompt("a cat")] * 2, ["expand"] * 2, draws, params, 4)
    read = [Drafter(model, "a cat", Settings(seed=seed)) for seed in (7, 8)]
    assert [rollout.ids for rollout in rollouts] == [drafter.ids for drafter in read]
    assert read[0].notes and read[0].notes != read[1].notes


def test_a_sentence_goes_on_without_a_comma(dialect_writer):
    model = load(dialect_writer, dtype="float32")
    draws, params = [[Draw(0, 0)]], SamplingParams(max_new_tokens=9, min_new_tokens=9)
    prompts = [Prompt("The cat is asleep in the snow."), Prompt("a cat")]
    prose, tags = write(model, prompts, ["expand"] * 2, draws * 2, params, 4)
    assert prose.written.startswith("The cat is asleep in the snow. ") and tags.written.startswith(
        "a cat, "
    )


def test_the_phrases_of_all_rollouts_are_judged_together(small_writer, monkeypatch):
    model, taste, calls = load(small_writer, dtype="float32"), load_taste(), []
    read = TextReward.vectors
    monkeypatch.setattr(TextReward, "vectors", lambda *a: calls.append(a) or read(*a))
    params = SamplingParams(temperature=1, top_k=0, top_p=1, max_new_tokens=20)
    draws = [[Draw(seed, 0)] for seed in range(6)]
    prompts = [Prompt(raw) for raw in ("a cat", "a lighthouse at dusk", "two dogs") * 2]
    together = write(model, prompts, ["expand"] * 6, draws, params, 6, taste=taste)
    assert len(calls) == 2  # the prompts, and the phrases
    alone = write(model, prompts, ["expand"] * 6, draws, params, 1, taste=load_taste())
    assert [r.text for r in alone] == [r.text for r in together]
