"""The script itself over a host of a few classes: what it registers, and what its page holds."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace

import pytest

from a1111_extension.arguments import Arguments
from a1111_extension.records import ORIGINAL

TAKEN = {ORIGINAL: "a cat", "Prompt": "a cat, oil painting"}


class Component:
    """Any of gradio's, as a context too, of what it was made with."""

    def __init__(self, first=None, *, value=None, elem_id=None, **_):
        self.value, self.elem_id = first if value is None else value, elem_id

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def click(self, **_):
        return SimpleNamespace(then=lambda **_: None)


class Script:
    def elem_id(self, item):
        return f"script_txt2img_beautify_{item}"


def _others(callbacks, fun, *, name="unnamed", category="unsorted", filename=None):
    callbacks.append((fun, name, category, filename))


def _sdnexts(callbacks, fun):
    filename = ""  # a variable of the host's, which is no argument
    callbacks.append((fun, *filename))


@pytest.fixture(params=["sdnext", "another"])
def host(request, monkeypatch):
    """The modules that a host has, and those of ours that were made for it."""
    is_sdnext = request.param == "sdnext"

    def put(name, **attributes):
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    kinds = "Row Accordion Dropdown Radio Checkbox Number Slider Textbox Button HTML"
    gr = {kind: Component for kind in kinds.split()}
    gr["update"] = lambda **given: {"__type__": "update", **given}
    put("gradio", __version__="3.43.2", **gr)
    put("gradio.context", Context=SimpleNamespace(root_block=None))
    put("modules").__path__ = []
    add = _sdnexts if is_sdnext else _others
    events = {f"callbacks_{event}": [] for event in ("before_ui", "app_started")}
    callbacks = put("modules.script_callbacks", add_callback=add, callback_map=events)
    put("modules.scripts", Script=Script, AlwaysVisible=object(), scripts_data=[])
    options = SimpleNamespace(add_option=lambda name, info: None)
    flags = SimpleNamespace(beautifulprompt_dir=None)
    shared = {"opts": options, "cmd_opts": flags, "OptionInfo": lambda *_, **__: None}
    put("modules.shared", **shared)
    put("modules.paths", models_path="models")
    put("modules.processing", get_fixed_seed=int)
    put("modules.ui_components", InputAccordion=Component, ToolButton=Component)
    titles = ["Another script"]
    if is_sdnext:
        put("modules.ui_common", tokens_summary=len)
        put("modules.scripts_manager", control_extensions=titles)
    monkeypatch.setenv("BEAUTIFULPROMPT_DIR", "")
    monkeypatch.delitem(sys.modules, "a1111_extension.script", raising=False)
    script = import_module("a1111_extension.script")
    yield SimpleNamespace(script=script, events=callbacks.callback_map, titles=titles)
    sys.modules.pop("a1111_extension.script", None)


@pytest.fixture
def is_sdnext(request):
    return request.node.callspec.params["host"] == "sdnext"


def test_callbacks_are_named_where_the_host_takes_names(host, is_sdnext):
    host.script.register("beautifulprompt.py")
    (app_started,) = host.events["callbacks_app_started"]
    assert app_started[0] is host.script._serve
    given = ("beautifulprompt-app_started", "app_started", "beautifulprompt.py")
    assert app_started[1:] == (() if is_sdnext else given)


def test_sdnexts_control_tab_runs_it(host, is_sdnext):
    for _ in range(2):
        host.script.register("beautifulprompt.py")
    assert host.titles == ["Another script", *(["Beautify"] if is_sdnext else [])]


def test_the_accordion_has_a_control_for_each_argument(host):
    controls = host.script.BeautifulPromptScript().ui(False)
    assert len(controls) == len(vars(Arguments()))
    given = Arguments.parse([control.value for control in controls], Arguments())
    assert given == Arguments(model="starter")


@pytest.mark.parametrize("tab", ["txt2img", "img2img", "control"])
def test_each_tab_has_its_own_button(host, tab):
    script = host.script.BeautifulPromptScript()
    script.parent = tab
    assert script._tab(tab == "img2img") == tab


def test_a_pasted_picture_switches_us_off_in_the_form_that_the_host_reads(host, is_sdnext):
    script = host.script.BeautifulPromptScript()
    switch = script.ui(False)[0]
    (read,) = [read for component, read in script.infotext_fields if component is switch]
    assert read({"Prompt": "a cat"}) is None
    # SD.Next ends with an error at a plain value whose name is a function.
    assert read(TAKEN) == ({"__type__": "update", "value": False} if is_sdnext else False)


def test_without_the_hosts_api_no_route_is_served(host):
    host.script._serve(None, None)
