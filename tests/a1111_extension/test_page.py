"""The page's script that places button and panel, over a page of a few elements; needs node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "javascript" / "beautifulprompt.js"
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="no node")
# What is told: whether the script looks for its places, and whether it does once the page is there.
_PAGE = """
const loaded = [];
let looks = 0;
let there = %s;
globalThis.window = globalThis;
globalThis.beautifulPromptEdits = {};
globalThis.onUiLoaded = (callback) => loaded.push(callback);
globalThis.setInterval = () => ++looks;
globalThis.document = {
    readyState: "complete",
    documentElement: { classList: { add: () => {} } },
    addEventListener: () => {},
    querySelector: (selector) => (there && selector === "#txt2img_prompt textarea" ? {} : null),
};
"""
_TOLD = """
const first = looks;
there = true;
loaded.forEach((callback) => callback());
console.log(JSON.stringify([first, looks]));
"""


@pytest.mark.parametrize(("there", "looks"), [("true", [1, 1]), ("false", [0, 1])])
def test_the_script_finds_its_places_whether_it_comes_before_the_page_or_after_it(there, looks):
    program = _PAGE % there + SCRIPT.read_text(encoding="utf-8") + _TOLD
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == looks
