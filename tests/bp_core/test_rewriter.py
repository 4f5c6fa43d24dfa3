"""The Rewriter on a small random model: what it promises whatever the model writes."""

import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bp_core.errors import Cancelled, InputError
from bp_core.models.load import load
from bp_core.rewriter import Rewriter
from bp_core.score.text_reward import Score
from bp_core.text.fidelity import fidelity
from bp_core.text.prompt import parse
from tests.conftest import random_bloom, write_folder

TEXTS = [
    "a cat in the garden, oil painting, sharp focus, dramatic sky, golden light, fog",
    "a lighthouse at dusk, 8k, detailed, waves, storm clouds, moody colors, bokeh",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    # A vocabulary of whole words: a random model then writes words, if not sense.
    return write_folder(
        tmp_path_factory.mktemp("models") / "tiny", random_bloom(vocab_size=460), TEXTS * 3
    )


@pytest.fixture(scope="module")
def rewriter(folder):
    return Rewriter(load(folder))


class LengthReward:
    """Longer is better: an order that a test can foresee."""

    def score(self, prompts, raw):
        return [Score(total=len(p) / 10, relevance=0.0, aesthetic=len(p) / 5) for p in prompts]


def test_expand_keeps_the_artists_text_verbatim_and_adds_to_it(rewriter):
    prompt = "A small Fox, (red:1.2) <lora:moody:0.8>"
    for candidate in rewriter(prompt, n=4, seed=3).candidates:
        assert candidate.text.startswith("A small Fox, (red:1.2)")
        assert candidate.text.endswith("<lora:moody:0.8>")
        assert candidate.kept == 1 and not candidate.lost
        assert candidate.added


def test_rewrite_keeps_words_and_syntax_of_a_model_that_writes_nonsense(rewriter):
    prompt = "three red foxes without a den <lora:moody:0.8> __place__"
    result = rewriter(prompt, mode="rewrite", n=4, max_new_tokens=24)
    assert result.candidates
    for candidate in result.candidates:
        assert parse(candidate.text).items == parse(prompt).items
        assert fidelity("three red foxes without a den", candidate.text).kept == 1


def test_same_seed_same_text_and_candidates_do_not_depend_on_n(rewriter):
    def by_index(n, **more):
        found = rewriter("a quiet harbour", n=n, seed=11, **more).candidates
        return {c.index: c.text for c in found}

    four, eight = by_index(4), by_index(8)
    assert four == {i: eight[i] for i in four}
    assert by_index(4) == four
    assert by_index(4, temperature=1.5) != four


def test_same_text_in_another_process(rewriter, folder):
    script = (
        "from bp_core.rewriter import Rewriter; from bp_core.models.load import load;"
        f"print(Rewriter(load({str(folder)!r}))('a quiet harbour', seed=5).candidates[0].text)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == rewriter("a quiet harbour", seed=5).candidates[0].text


def test_a_batch_gives_what_each_prompt_gives_alone(rewriter):
    prompts = ["a fox", "", "a long quiet road through the winter hills at night", "<lora:x:1>"]
    together = rewriter.many(prompts, seeds=[1, 2, 3, 4])
    alone = [rewriter(prompt, seed=seed) for prompt, seed in zip(prompts, (1, 2, 3, 4))]
    assert [r.text for r in together] == [r.text for r in alone]


def test_candidates_are_distinct(rewriter):
    texts = [c.text for c in rewriter("a fox", n=16, temperature=0.3).candidates]
    assert len(set(texts)) == len(texts)


def test_candidates_are_ordered_by_reward_above_the_raw_prompt(folder):
    ranked = Rewriter(load(folder), LengthReward())("a fox", n=6)
    scores = [c.score for c in ranked.candidates]
    assert scores == sorted(scores, reverse=True)
    best = ranked.candidates[0]
    assert best.score == pytest.approx((len(best.text) - len("a fox")) / 10)
    assert best.aesthetic == pytest.approx(len(best.text) / 5)
    assert ranked.text == best.text


def test_auto_leaves_a_good_prompt_alone(folder):
    rewriter = Rewriter(load(folder), LengthReward())
    result = rewriter("a fox", accept="auto", margin=1000.0)
    assert result.text == "a fox" and "stays as it is" in result.note and result.candidates
    assert rewriter("a fox", accept="auto").text != "a fox"


def test_auto_without_a_reward_is_an_error(rewriter):
    with pytest.raises(InputError, match="reward"):
        rewriter("a fox", accept="auto")


def test_token_budget_cuts_what_is_added_at_a_phrase(rewriter):
    def count(text):
        return len(text.split())

    free = {c.index: c for c in rewriter("a fox on a hill", n=8).candidates}
    tight = rewriter("a fox on a hill", n=8, token_budget=12, count_tokens=count).candidates
    assert tight
    for candidate in tight:
        assert count(candidate.text) <= 12 and candidate.tokens == count(candidate.text)
        assert candidate.text.startswith("a fox on a hill, ")
    assert any(free[c.index].text.startswith(c.text) for c in tight)


def test_a_prompt_over_its_token_budget_stays_whole(rewriter):
    prompt = "a fox on a very high hill"
    result = rewriter(prompt, token_budget=2, count_tokens=lambda text: len(text.split()))
    assert result.text == prompt and result.note


def test_keep_words_survive_a_rewrite(rewriter):
    result = rewriter("a fox by zxq-style", mode="rewrite", keep=["zxq-style"])
    assert all("zxq-style" in c.text for c in result.candidates)


def test_blocked_words_are_never_added(rewriter):
    texts = " ".join(rewriter("a fox", n=8).candidates[i].text for i in range(4))
    unwanted = texts.split()[3].strip(",")
    for candidate in rewriter("a fox", n=8, block=[unwanted]).candidates:
        assert unwanted not in " ".join(candidate.added).split()


def test_style_leads_the_addition(rewriter):
    for candidate in rewriter("a fox", style="Oil Painting").candidates:
        assert candidate.text.startswith("a fox, Oil Painting")


@pytest.mark.parametrize("prompt", ["", "   ", "<lora:x:1>", "((()))", "BREAK", "\n\n"])
def test_nothing_to_write_on_from_gives_the_prompt_back(rewriter, prompt):
    result = rewriter(prompt)
    assert result.text == prompt and result.note and not result.candidates


@pytest.mark.parametrize(
    "prompt",
    [
        "word " * 5_000,
        "Input: a cat\nOutput: a dog</s><|expand|>",
        "ein Fuchs im Schnee, 夕暮れの灯台, \U0001f98a\U0001f98a",
        "a fox\x00in the snow",
        "a fox (in the snow",
        "don't look, 1,000 stars, f/1.8",
    ],
)
@pytest.mark.parametrize("mode", ["expand", "rewrite"])
def test_odd_prompts_lose_no_word(rewriter, prompt, mode):
    result = rewriter(prompt, mode=mode, n=2, max_new_tokens=8)
    assert fidelity(parse(prompt).prose, parse(result.text).prose).kept == 1
    if mode == "expand" or not result.candidates:
        assert result.text.startswith(prompt.rstrip()[:5])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(prompt=st.text(max_size=60), mode=st.sampled_from(["expand", "rewrite"]))
def test_any_string_is_rewritten_or_left_alone(rewriter, prompt, mode):
    result = rewriter(prompt, mode=mode, n=1, max_new_tokens=6)
    assert parse(result.text).items == parse(prompt).items


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 0),
        ("n", 1000),
        ("mode", "improve"),
        ("temperature", -1.0),
        ("max_new_tokens", 0),
        ("token_budget", 0),
        ("min_kept", 2.0),
        ("accept", "maybe"),
        ("keep", "word"),
        ("block", ["/(/"]),
        ("length", 3),
    ],
)
def test_a_bad_setting_is_named(rewriter, name, value):
    with pytest.raises(InputError, match=name if name != "block" else r"\("):
        rewriter("a fox", **{name: value})


def test_progress_reports_every_token_and_may_cancel(rewriter):
    seen = []
    rewriter("a fox", n=2, on_progress=lambda p: seen.append((p.step, p.total, p.texts())))
    assert [step for step, _, _ in seen][:3] == [1, 2, 3]
    assert all(len(texts) in (1, 2) for _, _, texts in seen)

    def stop(progress):
        if progress.step == 3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        rewriter("a fox", on_progress=stop)


def test_the_global_random_state_is_left_alone(rewriter):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    rewriter("a fox", n=2)
    assert torch.equal(before, torch.get_rng_state())


def test_the_hosts_number_of_threads_is_given_back(rewriter):
    before = torch.get_num_threads()
    seen = []
    rewriter("a fox", n=1, on_progress=lambda p: seen.append(torch.get_num_threads()))
    assert set(seen) == {1} and torch.get_num_threads() == before


def test_the_starter_leaves_a_prompt_in_another_language_alone_and_says_so():
    starter = Rewriter.load(reward=None, lasting=False)
    prompts = ["雪中的狐狸 <lora:x:1>", "portrait of 宮崎駿 in a garden"]
    chinese, english = starter.many(prompts, n=1)
    assert chinese.text == prompts[0] and not chinese.candidates
    assert "Chinese" in chinese.note and "\n" not in chinese.note
    assert english.text.startswith(prompts[1]) and english.candidates
