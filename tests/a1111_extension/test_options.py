"""The settings page is read whatever is on it, and importing the extension loads nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from a1111_extension.arguments import Arguments
from a1111_extension.options import Options, lines, read, register
from a1111_extension.xyz import add_axes

ROOT = Path(__file__).parents[2]


def test_defaults():
    assert read(SimpleNamespace()) == Options()


def test_values():
    opts = SimpleNamespace(
        beautifulprompt_model="mine",
        beautifulprompt_device="always CPU",
        beautifulprompt_candidates=8,
        beautifulprompt_when="Always",
    )
    found = read(opts)
    assert (found.model, found.device) == ("mine", "always CPU")
    assert found.defaults == Arguments(when="Always", candidates=8)


def test_foreign_values_fall_back():
    opts = SimpleNamespace(beautifulprompt_device="toaster", beautifulprompt_candidates=99)
    assert read(opts) == Options()


def test_lines():
    assert lines("gore, blood\n\n/a{1,2}/\nblood") == ("gore", "blood", "/a{1,2}/")


def test_every_setting_that_is_offered_is_read():
    offered = []
    shared = SimpleNamespace(
        OptionInfo=lambda default, *_, **__: default,
        opts=SimpleNamespace(add_option=lambda name, value: offered.append((name, value))),
    )
    gr = SimpleNamespace(Dropdown=0, Textbox=0, Radio=0, Slider=0, Checkbox=0)
    register(shared, gr, list)
    assert len(offered) == 15
    assert read(SimpleNamespace(**dict(offered))) == Options(model="starter")


def test_axes_are_added_once():
    def option(label, *_, **fields):
        return SimpleNamespace(label=label, **fields)

    module = SimpleNamespace(axis_options=[option("Seed")], AxisOption=option)
    data = [SimpleNamespace(module=SimpleNamespace()), SimpleNamespace(module=module)]
    assert not add_axes(data[:1], list), "the host's script is not loaded yet"
    for _ in range(2):
        assert add_axes(data, list)
    assert [o.label for o in module.axis_options[1:]] == [
        f"[Beautify] {name}" for name in ("When", "Mode", "Model", "Candidates", "Seed", "Dialect")
    ]


def test_importing_loads_no_model_code_and_no_network():
    code = (
        "import socket, sys\n"
        "socket.socket = None\n"
        "import a1111_extension.app, a1111_extension.button, a1111_extension.download\n"
        "import a1111_extension.hook, a1111_extension.requests, a1111_extension.xyz\n"
        "heavy = {'torch', 'tokenizers', 'safetensors', 'huggingface_hub', 'transformers'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
