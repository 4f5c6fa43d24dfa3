"""Each image gets its rewrite; everything else of a job stays; whatever fails, the job goes on."""

from __future__ import annotations

import copy
import json

import pytest

from a1111_extension import hook
from a1111_extension.arguments import ORDER
from bp_core.errors import ModelError
from bp_core.text.image_model import ImageModel


def fixed(seed):
    return 555 if seed == -1 else seed


def test_off_changes_nothing(app, job, writer):
    p = job(images=2)
    before = copy.deepcopy(vars(p))
    hook.before_process(app, p, ["Off"], fixed)
    hook.process(app, p, ["Off"])
    hook.process(app, p, [])
    assert vars(p) == before
    assert not writer.calls


def test_each_image_gets_its_own_rewrite_from_its_own_seed(app, job, writer):
    p = job(images=3)
    hook.process(app, p, ["Always"])
    assert p.all_prompts == [f"a cat, tail {seed} 0" for seed in (100, 101, 102)]
    assert len(writer.calls) == 1, "one call for the whole batch"
    assert p.main_prompt == p.all_prompts[0]
    assert p.all_hr_prompts == p.all_prompts
    assert p.all_negative_prompts == ["ugly"] * 3


def test_one_rewrite_for_the_batch(app, job, writer):
    p = job(images=3)
    hook.process(app, p, [{"when": "Always", "each": False}])
    assert set(p.all_prompts) == {"a cat, tail 100 0"}
    assert writer.calls[0][0] == ["a cat"]


@pytest.mark.parametrize(("each", "seeds"), [(True, [7, 8]), (False, [7, 7])])
def test_a_seed_of_its_own(app, job, each, seeds):
    p = job(images=2)
    hook.process(app, p, [{"when": "Always", "seed": 7, "each": each}])
    assert p.all_prompts == [f"a cat, tail {seed} 0" for seed in seeds]


def test_another_hires_prompt_stays(app, job):
    p = job(hires="a dog")
    hook.process(app, p, ["Always"])
    assert p.all_hr_prompts == ["a dog"]


def test_infotext_tells_of_each_image(app, job):
    p = job(images=2)
    hook.process(app, p, ["Always"])
    assert p.infotext(1) == {
        "Beautify original": "a cat",
        "Beautify model": "starter",
        "Beautify mode": "expand",
        "Beautify seed": 101,
        "Beautify dialect": "tags",
    }


def test_a_copy_of_the_job_with_us_off_tells_nothing(app, job):
    p = job()
    hook.process(app, p, ["Always"])
    other = job()
    other.extra_generation_params = p.extra_generation_params  # as X/Y/Z's copies share it
    hook.process(app, other, ["Off"])
    assert other.infotext(0) == {}


def test_scripts_that_come_again_are_served_from_memory(app, job, writer):
    for _ in range(3):
        p = job(images=2)
        hook.process(app, p, ["Always"])
    assert len(writer.calls) == 1
    assert p.all_prompts[1] == "a cat, tail 101 0"


def test_our_own_text_is_never_rewritten_again(app, job, writer):
    p = job()
    hook.process(app, p, ["Always"])
    again = job(prompt=p.all_prompts[0])
    hook.process(app, again, ["Always"])
    assert again.all_prompts == p.all_prompts
    assert again.infotext(0)["Beautify original"] == "a cat"
    assert len(writer.calls) == 1


def test_axes_override_arguments(app, job, writer):
    p = job()
    setattr(p, hook.OVERRIDES, {"when": "Always", "candidates": 2})
    hook.process(app, p, ["Off"])
    assert writer.calls[0][2]["n"] == 2


def test_before_other_extensions_the_box_itself_is_rewritten(app, job, writer):
    p = job(prompt="a __animal__", seed=-1)
    arguments = [{"when": "Always", "order": ORDER[1]}]
    hook.before_process(app, p, arguments, fixed)
    assert (p.prompt, p.seed) == ("a __animal__, tail 555 0", 555)
    p.all_prompts = ["a fox, tail 555 0"]  # a wildcard was filled in
    hook.process(app, p, arguments)
    assert p.all_prompts == ["a fox, tail 555 0"]
    assert p.infotext(0)["Beautify original"] == "a __animal__"
    hook.before_process(app, p, arguments, fixed)
    assert p.prompt == "a __animal__, tail 555 0", "loopback runs the same job again"
    assert len(writer.calls) == 1


def test_lists_of_prompts(app, job):
    p = job()
    p.prompt, p.seed = ["a cat", "a dog"], [5, 5]
    hook.before_process(app, p, [{"when": "Always", "order": ORDER[1]}], fixed)
    assert p.prompt == ["a cat, tail 5 0", "a dog, tail 5 0"]


@pytest.mark.parametrize(
    ("error", "told"),
    [(ModelError("model.safetensors is truncated: download it again"), "truncated"),
     (RuntimeError("boom"), "RuntimeError: boom")],
)  # fmt: skip
def test_a_failure_leaves_the_prompt_and_says_why(app, job, writer, host, error, told):
    writer.error = error
    p = job(images=2)
    hook.process(app, p, ["Always"])
    assert p.all_prompts == ["a cat"] * 2
    assert told in p.comments[0] and "as it is" in p.comments[0]
    assert told in p.extra_generation_params["Beautify failed"]
    assert bool(host.reported) == isinstance(error, RuntimeError)


def test_bad_arguments_are_told_under_the_image(app, job):
    p = job()
    hook.process(app, p, ["sometimes"])
    assert p.all_prompts == ["a cat"] and "Off, Auto, Always" in p.comments[0]


def test_interrupting_leaves_the_prompt(app, job, host):
    host.stop = True
    p = job()
    hook.process(app, p, ["Always"])
    assert p.all_prompts == ["a cat"] and p.comments == []


@pytest.mark.parametrize(("when", "told"), [("Always", 1), ("Auto", 0)])
def test_an_unchanged_prompt_is_told_of_unless_auto_left_it(app, job, writer, when, told):
    writer.note = "nothing to add"
    p = job()
    hook.process(app, p, [when])
    assert p.all_prompts == ["a cat"] and len(p.comments) == told
    assert writer.calls[0][2]["accept"] == when.lower()


def test_settings_reach_the_rewriter(app, job, host, writer):
    host.opts.beautifulprompt_block = "gore, blood\n/by \\w+/"
    host.opts.beautifulprompt_keep = "mychar"
    host.triggers = ["xyz style"]
    hook.process(app, job(prompt="a " * 80), ["Always"])
    settings = writer.calls[0][2]
    assert settings["block"] == ["gore", "blood", "/by \\w+/"]
    assert settings["keep"] == ["mychar", "xyz style"]
    assert settings["token_budget"] == 150, "a longer prompt may fill its last chunk"


FLUX = ImageModel(("clip_l", "t5xxl"), "Flux", ("flux1-dev.safetensors",))
PONY = ImageModel(("clip_l", "clip_g"), "StableDiffusionXL", ("ponyXL.safetensors",))


@pytest.mark.parametrize(
    ("model", "arguments", "dialect", "budget"),
    [
        (ImageModel(), {}, "auto", 75),
        (FLUX, {}, "prose", None),
        (FLUX, {"chunks": 2}, "prose", 150),
        (FLUX, {"dialect": "tags"}, "tags", 75),
        (PONY, {}, "booru", 75),
        (PONY, {"dialect": "prose", "chunks": 0}, "prose", None),
    ],
)
def test_the_dialect_is_the_checkpoints_unless_chosen(
    app, job, host, writer, model, arguments, dialect, budget
):
    host.model = model
    p = job()
    hook.process(app, p, [{"when": "Always", **arguments}])
    settings = writer.calls[0][2]
    assert (settings["dialect"], settings["token_budget"]) == (dialect, budget)
    assert p.infotext(0)["Beautify dialect"] == dialect.replace("auto", "tags")


def test_another_checkpoint_gets_another_rewrite(app, job, host, writer):
    for model in (FLUX, PONY, FLUX):
        host.model = model
        hook.process(app, job(), ["Always"])
    assert [settings["dialect"] for _, _, settings in writer.calls] == ["prose", "booru"]


def test_a_style_by_name_leads_and_an_unknown_one_leaves_the_prompt(app, job, writer):
    hook.process(app, job(), [{"when": "Always", "preset": "ink", "style": "blue"}])
    assert writer.calls[0][2]["style"] == "ink drawing, fine lines, blue"
    p = job(prompt="a dog")
    hook.process(app, p, [{"when": "Always", "preset": "gone"}])
    assert p.all_prompts == ["a dog"] and "no style 'gone'" in p.comments[0]


def test_an_axis_sets_the_dialect(app, job, writer):
    p = job()
    setattr(p, hook.OVERRIDES, {"dialect": "Booru"})
    hook.process(app, p, ["Always"])
    assert writer.calls[0][2]["dialect"] == "booru"


def test_empty_prompts_are_left_alone(app, job, writer):
    p = job(prompt="  ")
    hook.process(app, p, ["Always"])
    assert p.all_prompts == ["  "] and not writer.calls


def test_a_host_that_calls_no_functions_gets_text(app, job, host):
    """SD.Next writes the entries as JSON, and has one set of them for a batch."""
    host.functions = False
    p = job(images=2)
    hook.process(app, p, ["Always"])
    told = json.loads(json.dumps(p.extra_generation_params))
    assert told["Beautify original"] == "a cat" and told["Beautify seed"] == "100 | 101"
    hook.process_batch(app, p, p.all_prompts[1:])
    assert p.extra_generation_params["Beautify seed"] == "101"


def test_batches_are_told_of_only_where_something_was_written(app, job, host):
    host.functions = False
    p = job()
    hook.process_batch(app, p, p.all_prompts)
    assert p.extra_generation_params == {}


def test_a_prompt_of_several_parts_is_left_alone_and_told_of(app, job, host, writer):
    host.structured = "it has a part of its own for a further text encoder"
    p = job(prompt="a cat TE2: ink")
    hook.process(app, p, ["Always"])
    assert p.all_prompts == ["a cat TE2: ink"] and not writer.calls
    assert "further text encoder" in p.comments[0]
    p = job(images=2)
    p.all_prompts = p.all_hr_prompts = ["a cat TE2: ink", "a dog"]
    hook.process(app, p, ["Always"])
    assert p.all_prompts == ["a cat TE2: ink", "a dog, tail 101 0"]
