"""Every text of the page has its Chinese one."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from a1111_extension import button, options, panel
from a1111_extension.arguments import CONTROLS, HELP, LABELS
from a1111_extension.engine import DEVICES
from bp_core.rewriter import Candidate, Result
from bp_core.text import remarks

ROOT = Path(__file__).parents[2]
ZH = json.loads((ROOT / "localizations" / "zh_CN.json").read_text(encoding="utf-8"))


class Opts:
    """Collects what the settings page shows."""

    def __init__(self):
        self.shown = []

    def OptionInfo(self, default, label, component, args, section):
        # Help and choices are those of the accordion.
        self.shown += (
            [label, section[1], *filter(None, [(args or {}).get("placeholder")])]
            if (not callable(args))
            else [label]
        )

    def add_option(self, name, info):
        pass


class Components:
    def __getattr__(self, name):
        return name


def test_labels_helps_and_choices():
    shown = {*LABELS.values(), *HELP.values(), *DEVICES}
    for _, particular in CONTROLS.values():
        shown |= set(particular.get("choices", ()))
        shown |= {particular[name] for name in ("placeholder",) if name in particular}
    assert not {text for text in shown if text not in ZH}


def test_settings():
    opts = Opts()
    shared = type("S", (), {"OptionInfo": opts.OptionInfo, "opts": opts})
    options.register(shared, Components(), list)
    assert not {text for text in opts.shown if text not in ZH}


def test_the_panel():
    candidate = Candidate("a cat, x", 0, ("x",), 0.5, ("y",), 9, -1.0, 0.1, 0.2)
    record = panel.Record("a cat", "starter", "expand", 7)
    shown = panel.candidates_panel("txt2img", Result("a cat", "a cat, x", (candidate,)), record)
    shown += panel.original_panel("txt2img", record, "a cat, x")
    shown += panel.progress_panel("txt2img", 1, 2, [])
    texts = set(re.findall(r'title="([^"]+)"', shown)) | set(re.findall(r"<span>([^<]+)<", shown))
    texts.add(panel.NO_SCRIPT)
    own = {"starter", "a cat"}  # a name and the artist's words
    assert not {text for text in texts - own if text not in ZH}


def test_what_is_said_of_a_prompt_that_is_left_alone():
    said = [*remarks.FIXED, remarks.FOREIGN.format("Chinese"), remarks.TOO_LONG.format(9, 8)]
    for remark in said:
        shown = panel.message_panel("txt2img", remark)
        texts = re.findall(r"<span>([^<]+)<", html.unescape(shown))
        # A1111 looks texts up without the white space around them.
        assert len(texts) > 1 and not {text.strip() for text in texts} - {*ZH, "9", "8"}


def test_the_rest_of_the_page():
    sources = "".join(
        (ROOT / "a1111_extension" / f"{name}.py").read_text() for name in ("download", "script")
    )
    texts = set(re.findall(r'(?:label=|gr\.Button\(|gr\.Accordion\()"([^"]+)"', sources))
    tooltip = re.search(r'tooltip="([^"]+)"', Path(button.__file__).read_text())[1]
    assert len(texts) >= 5 and not {text for text in {*texts, tooltip} if text not in ZH}


def test_hosts_translate_no_text_with_a_picture_in_it():
    """A1111's page leaves such texts alone."""
    assert not [
        text for text in ZH if re.search("[\u2190-\u21ff\u2600-\u27bf\U0001f300-\U0001faff]", text)
    ]
