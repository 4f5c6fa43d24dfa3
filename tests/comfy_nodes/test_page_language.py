"""Every text that the page's own files show has its Chinese one."""

from __future__ import annotations

import json
import re

import pytest

from bp_core.text import remarks
from tests.comfy_nodes.fakehost import ROOT

WEB = ROOT / "comfy_nodes" / "web"
PAGE = (WEB / "page.js").read_text(encoding="utf-8")
CHINESE = PAGE.split("const CHINESE = {")[1].split("\n};")[0]
TEXT = r'"(?:[^"\\]|\\.)*"'


def known(text: str) -> bool:
    return bool(re.search(rf"{re.escape(json.dumps(text))}:\s", CHINESE))


@pytest.mark.parametrize("text", [*remarks.FIXED, *remarks.FILLED])
def test_what_the_library_says_of_a_prompt(text):
    assert known(text)


def test_what_the_files_say():
    said = set()
    for file in WEB.glob("*.js"):
        source = file.read_text(encoding="utf-8")
        # `say("…")`, and what `addBox` is given to say.
        said |= set(re.findall(rf"\b(?:say|addBox)\([^()]*?({TEXT})(?=[),])", source))
    said = {text for text in map(json.loads, said) if " " in text or text[0].isupper()}
    assert len(said) > 8 and not {text for text in said if not known(text)}
