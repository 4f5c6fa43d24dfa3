"""Pipelines of other kinds than Stable Diffusion 1: each reads and draws in its own way."""

from types import SimpleNamespace

import pytest
import torch

from train.rewards.render import Renderer, RenderSettings


class Pipeline:
    """Takes what diffusers' newer pipelines take; a T5 reads for it."""

    def __init__(self):
        self.calls = []
        self.tokenizer = SimpleNamespace(model_max_length=512)
        self.text_encoder = SimpleNamespace(config=SimpleNamespace(model_type="t5"))

    def set_progress_bar_config(self, **_):
        pass

    def __call__(self, prompt, num_inference_steps=28, guidance_scale=3.5, height=8, width=8,
                 generator=None, output_type="pil"):  # fmt: skip
        self.calls.append((prompt, num_inference_steps, guidance_scale, height))
        return SimpleNamespace(images=torch.rand(len(prompt), 3, 8, 8, generator=generator[0]))


class Negative(Pipeline):
    def __call__(self, prompt, negative_prompt=None, **more):
        self.negative = negative_prompt
        return super().__call__(prompt, **more)


def test_a_pipeline_draws_with_its_own_settings_unless_told():
    pipeline = Pipeline()
    own = RenderSettings("x", "", steps=0, guidance=None, size=0)
    assert Renderer(pipeline, own).render(["a cat", "a dog"], [1, 2]).shape == (2, 8, 8, 3)
    assert pipeline.calls == [(["a cat", "a dog"], 28, 3.5, 8)]
    Renderer(pipeline, RenderSettings("x", "", 4, 0.0, 16)).render(["fog"], [1])
    assert pipeline.calls[-1] == (["fog"], 4, 0.0, 16)


def test_a_negative_prompt_goes_where_it_is_read():
    pipeline = Negative()
    Renderer(pipeline, RenderSettings("x", "", 4, negative_prompt="blur")).render(["fog"], [1])
    assert pipeline.negative == ["blur"]
    # A pipeline that cannot read one says so rather than draw without it.
    with pytest.raises(TypeError, match="negative_prompt"):
        Renderer(Pipeline(), RenderSettings("x", "", 4, negative_prompt="b")).render(["fog"], [1])
