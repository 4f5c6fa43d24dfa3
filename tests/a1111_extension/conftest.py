"""A WebUI of a few lines, and a rewriter that answers at once."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from a1111_extension import app as app_module
from a1111_extension import engine as engine_module
from a1111_extension.app import App
from bp_core.rewriter import Candidate, Progress, Result
from bp_core.text.image_model import ImageModel


class Host:
    """Answers as a WebUI without a GPU would."""

    syntax = "webui"

    def __init__(self, folder) -> None:
        self.opts = SimpleNamespace()
        self.cmd = SimpleNamespace(beautifulprompt_dir=str(folder))
        self.busy = self.stop = self.held = False
        self.reported, self.said, self.triggers = [], [], []
        self.model = ImageModel()
        self.functions, self.structured = True, ""

    @contextmanager
    def quiet(self, wait):
        if wait:
            self.busy = False
        self.held = not self.busy
        yield self.held
        self.held = False

    def accelerator(self):
        return None

    def make_room(self, size):
        raise AssertionError("no accelerator to make room on")

    def collect(self):
        pass

    def interrupted(self):
        return self.stop

    def say(self, text):
        self.said.append(text)

    def options(self):
        return self.opts

    def flags(self):
        return self.cmd

    def models_folder(self):
        raise AssertionError("the flag names the folder")

    def count_tokens(self, prompt):
        return len(prompt.split())

    def structure(self, prompt, mode):
        return self.structured if "TE2:" in prompt else ""

    def infotext_takes_functions(self):
        return self.functions

    def image_model(self):
        return self.model

    def trigger_words(self, prompt):
        return self.triggers

    def report(self, message):
        self.reported.append(message)


class Writer:
    """A rewriter whose texts tell seed and candidate; keeps what it was asked."""

    def __init__(self) -> None:
        self.calls = []
        self.note = ""
        self.error = None
        self.reward = SimpleNamespace(
            score=lambda texts, raw: [SimpleNamespace(total=1.0, aesthetic=2.0) for _ in texts]
        )
        layer = torch.nn.Linear(1, 1)
        self.model = SimpleNamespace(network=layer, name="starter")

    def many(self, prompts, *, seeds, on_progress=None, **settings):
        self.calls.append((list(prompts), list(seeds), settings))
        if self.error:
            raise self.error
        if on_progress:
            on_progress(Progress(8, 40, lambda: ["so far"]))
        dialect = settings["dialect"].replace("auto", "tags")
        pairs = zip(prompts, seeds, strict=True)
        return [self._result(p, s, settings["n"], dialect) for p, s in pairs]

    def _result(self, prompt, seed, n, dialect):
        if self.note:
            return Result(prompt, prompt, (), self.note)
        texts = [f"{prompt}, tail {seed} {i}" for i in range(n)]
        candidates = [
            Candidate(text, i, (text.rpartition(", ")[2],), 1.0, (), 12, -1.0, 0.5 - i, 0.1)
            for i, text in enumerate(texts)
        ]
        return Result(prompt, texts[0], tuple(candidates), dialect=dialect)


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.fixture
def writer():
    return Writer()


@pytest.fixture
def app(host, writer, monkeypatch):
    """The extension's parts over the small host; loading gives `writer`."""
    monkeypatch.setenv("BEAUTIFULPROMPT_DIR", "")
    monkeypatch.setattr("bp_core.Rewriter", SimpleNamespace(load=lambda *a, **k: writer))
    monkeypatch.setattr(engine_module, "resident_names", lambda: ["starter"])
    monkeypatch.setattr(app_module, "checked_name", lambda name: name)
    return App(host)


class Job:
    """What the hook sees of a host's StableDiffusionProcessing."""

    def __init__(self, prompt="a cat", images=1, seed=100, hires=None):
        self.prompt, self.seed = prompt, seed
        self.all_prompts = [prompt] * images
        self.all_seeds = [seed + i for i in range(images)]
        self.main_prompt = prompt
        self.all_hr_prompts = [prompt if hires is None else hires] * images
        self.all_negative_prompts = ["ugly"] * images
        self.extra_generation_params = {}
        self.comments = []

    def comment(self, text):
        self.comments.append(text)

    def infotext(self, index):
        """Values as the hosts make them."""
        made = {
            key: value(p=self, prompt_text=self.all_prompts[index], index=index, key=key)
            for key, value in self.extra_generation_params.items()
        }
        return {key: value for key, value in made.items() if value is not None}


@pytest.fixture
def job():
    return Job
