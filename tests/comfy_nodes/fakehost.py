"""The pack, loaded as ComfyUI loads it, beside the few pieces of ComfyUI that it uses."""

from __future__ import annotations

import importlib.util
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).parents[2]
PACK = "/custom_nodes/my prompts"  # ComfyUI names a pack's module after its path


SETTINGS = {
    "mode": "expand", "seed": 7, "candidates": 3, "length": 12, "token_budget": 0, "style": "",
    "keep": "", "block": "", "accept": "always", "temperature": 0.6, "top_k": 50, "top_p": 0.9,
    "repetition_penalty": 1.0, "dialect": "auto", "style_preset": "none",
    "dynamic_prompts": True, "frozen": False, "written": "", "into_english": False,
}  # fmt: skip


class Interrupt(BaseException):
    """ComfyUI's Cancel is no Exception either."""


class FakePatcher:
    def __init__(self, model, load_device, offload_device):
        model.device = offload_device  # as ModelPatcher does: must be settable
        self.model, self.load_device, self.offload_device = model, load_device, offload_device


class _Recorded:
    """An input, output or schema: keeps what it was made with."""

    def __init__(self, id=None, *args, **fields):
        self.id, self.args = id, args
        self.__dict__.update(fields)


class _Schema(_Recorded):
    has_intermediate_output = False  # ComfyUI of 2026 knows of it


class _Output:
    def __init__(self, *args, ui=None):
        self.args, self.ui = args, ui


class _Server:
    def __init__(self):
        self.client_id, self.handlers, self.sent = "someone", [], []

    def add_on_prompt_handler(self, handler):
        self.handlers.append(handler)

    def send_progress_text(self, text, node_id, sid=None):
        self.sent.append((text, node_id, sid))


class FakeHost:
    """What tests look at and turn: models folder, Cancel, memory calls, texts sent to nodes."""

    def __init__(self, folder: Path):
        self.folder = folder / "models" / "beautifulprompt"
        self.folder.mkdir(parents=True)
        self.server = _Server()
        self.loaded: list[dict] = []
        self.progress: list[tuple[int, int]] = []
        self.polls, self.cancel_at, self.context = 0, None, None

    def poll(self):
        self.polls += 1
        if self.polls == self.cancel_at:
            raise Interrupt

    def modules(self) -> dict[str, ModuleType]:
        host, cpu = self, torch.device("cpu")

        class Bar:
            def __init__(self, total):
                self.total = total

            def update_absolute(self, value, total=None):
                self.total = total or self.total
                host.progress.append((value, self.total))

        kind = SimpleNamespace(Input=_Recorded, Output=_Recorded)
        io = SimpleNamespace(
            **dict.fromkeys(("String", "Combo", "Int", "Float", "Boolean", "Clip", "Image"), kind),
            Custom=lambda name: kind, ComfyNode=object, Schema=_Schema, NodeOutput=_Output,
            Hidden=SimpleNamespace(unique_id=1, prompt=2, extra_pnginfo=3),
        )  # fmt: skip
        paths: dict[str, list[str]] = {}
        contents = {
            "comfy_api": {},
            "comfy_api.v0_0_2": {"io": io, "ComfyExtension": object},
            "comfy": {},
            "comfy.model_management": {
                "text_encoder_device": lambda: cpu,
                "text_encoder_offload_device": lambda: cpu,
                "throw_exception_if_processing_interrupted": self.poll,
                "load_models_gpu": lambda models, **k: self.loaded.append({"models": models, **k}),
            },
            "comfy.model_patcher": {"ModelPatcher": FakePatcher},
            "comfy.utils": {"ProgressBar": Bar},
            "comfy_execution": {},
            "comfy_execution.utils": {"get_executing_context": lambda: self.context},
            "folder_paths": {
                "models_dir": str(self.folder.parent),
                "add_model_folder_path": lambda n, path: paths.setdefault(n, []).append(path),
                "get_folder_paths": lambda n: paths[n],
            },
            "server": {"PromptServer": SimpleNamespace(instance=self.server)},
        }
        made = {}
        for name, fields in contents.items():
            made[name] = ModuleType(name)
            made[name].__dict__.update(fields)
            parent, _, leaf = name.rpartition(".")
            if parent:
                setattr(made[parent], leaf, made[name])
        return made


@pytest.fixture
def host(tmp_path, monkeypatch) -> FakeHost:
    fake = FakeHost(tmp_path)
    for name, module in fake.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return fake


@pytest.fixture
def pack(host):
    """The root package after ComfyUI has loaded it; forgotten again afterwards."""
    import asyncio

    spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACK] = module
    spec.loader.exec_module(module)
    extension = asyncio.run(module.comfy_entrypoint())
    asyncio.run(extension.on_load())
    module.nodes = {n.__name__: n for n in asyncio.run(extension.get_node_list())}
    yield module
    for name in [name for name in sys.modules if name == PACK or name.startswith(PACK + ".")]:
        del sys.modules[name]


@pytest.fixture
def beautify(pack, host, model_folder):
    """Runs the node on a tiny random model, with the hidden inputs of node 5 of a graph."""
    rewriter = part("memory").load(model_folder, reward=None)
    node = pack.nodes["BeautifyPrompt"]

    def run(text="a cat", pnginfo=None, rewriter=rewriter, **changes):
        settings = {**SETTINGS, **changes}
        graph = {"5": {"class_type": "BeautifulPromptBeautify", "inputs": {"text": text}}}
        graph["5"]["inputs"].update({k: v for k, v in settings.items() if k != "clip"})
        clone = type("Clone", (node,), {})
        clone.hidden = SimpleNamespace(unique_id="5", prompt=graph, extra_pnginfo=pnginfo)
        run.graph = graph
        return clone.execute(text, rewriter=rewriter, **settings)

    run.rewriter = rewriter
    return run


def part(name: str) -> ModuleType:
    """A module of the loaded pack."""
    return import_module(f"{PACK}.comfy_nodes.{name}")
