"""The page's script that carries what was typed from one text to another; needs node."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "javascript" / "beautifulprompt_edits.js"
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="no node")
_RUN = """
const { carry, holds } = beautifulPromptEdits;
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(([name, ...rest]) => ({ carry, holds })[name](...rest))));
"""
ORIGINAL = "a cat"
WRITTEN = "a cat, oil painting, soft light"
OTHER = "a cat, in fog, cinematic"


def run(cases):
    """What the script's functions give, case by case; one process for all."""
    program = SCRIPT.read_text(encoding="utf-8") + _RUN
    done = subprocess.run(
        ["node", "-e", program], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


#: What the box holds, and what it holds after another candidate is taken, and after Restore.
EDITS = {
    WRITTEN: (OTHER, ORIGINAL),
    WRITTEN + ", red hat": (OTHER + ", red hat", "a cat, red hat"),
    WRITTEN + " <lora:x:1>": (OTHER + " <lora:x:1>", "a cat <lora:x:1>"),
    WRITTEN + " wearing a hat": (OTHER + " wearing a hat", "a cat wearing a hat"),
    "masterpiece, " + WRITTEN: ("masterpiece, " + OTHER, "masterpiece, a cat"),
    "a red cat, oil painting, soft light": ("a red cat, in fog, cinematic", "a red cat"),
    "a dog, oil painting, soft light": ("a dog, in fog, cinematic", "a dog"),
    "(a cat:1.2), oil painting, soft light": ("(a cat:1.2), in fog, cinematic", "(a cat:1.2)"),
    "a cat, oil painting, red hat, soft light": (OTHER + ", red hat", "a cat, red hat"),
    # A phrase of ours that was edited is the artist's.
    "a cat, oil painting, hard light": (OTHER + ", hard light", "a cat, hard light"),
    # Ours struck out: gone with the rest of it. The artist's own: struck, until it is restored.
    "a cat, oil painting": (OTHER, ORIGINAL),
    "cat, oil painting, soft light": ("cat, in fog, cinematic", ORIGINAL),
    "": (OTHER, ORIGINAL),
    "two dogs in rain": (OTHER + ", two dogs in rain", "a cat, two dogs in rain"),
}


def test_what_was_typed_goes_along():
    takes = run([["carry", ORIGINAL, WRITTEN, now, OTHER] for now in EDITS])
    backs = run([["carry", ORIGINAL, WRITTEN, now, ORIGINAL, True] for now in EDITS])
    assert dict(zip(EDITS, zip(takes, backs, strict=True), strict=True)) == EDITS


def test_tags_at_the_end_stay_behind_the_addition():
    original, written, other = (f"a cat{tail} <lora:m:1>" for tail in ("", ", soft", ", fog"))
    nows = (f"{written} <lora:n:1>", "a cat, soft, red hat <lora:m:1>")
    assert run([["carry", original, written, now, other] for now in nows]) == [
        f"{other} <lora:n:1>",
        "a cat, fog, red hat <lora:m:1>",
    ]


def test_syntax_of_the_prompt_keeps_its_form():
    original = "(clouds:1.2), [a:b:0.5]\na well-known cat, 3.5 mm"
    written, other = f"{original}, soft", f"{original}, fog"
    now = f"{written}, red hat"
    assert run(
        [["carry", original, written, now, other], ["carry", original, written, now, original]]
    ) == [f"{other}, red hat", f"{original}, red hat"]


def test_sentences_and_other_scripts():
    written, other = "a cat. The light is soft. It rains.", "a cat. It snows."
    hard, dog = written.replace("soft", "hard"), written.replace("It", "A dog sits. It")
    assert run(
        [
            ["carry", "a cat", written, hard, other],
            ["carry", "a cat", written, dog, other],
            ["carry", "雪中的狐狸", "雪中的狐狸, soft", "雪中的红狐狸, soft", "雪中的狐狸, fog"],
        ]
    ) == [
        "a cat. It snows. The light is hard.",
        "a cat. It snows. A dog sits.",
        "雪中的红狐狸, fog",
    ]


def test_a_text_is_ours_while_added_words_are_in_it():
    nows = (WRITTEN, "a dog, soft", "a cat", "a cat, red", "")
    held = run([["holds", ORIGINAL, WRITTEN, now] for now in nows])
    assert held == [True, True, False, False, False]


def test_no_typed_word_is_ever_lost():
    """300 boxes with words put in anywhere, taken to another candidate and back."""
    dice = random.Random(5)
    cases, typed = [], []
    for _ in range(300):
        words = WRITTEN.split(" ")
        new = [f"zz{i}{dice.choice(['', ',', '.'])}" for i in range(dice.randint(1, 4))]
        for word in new:
            words.insert(dice.randint(0, len(words)), word)
        for _ in range(dice.randint(0, 2)):
            gone = dice.choice([i for i, w in enumerate(words) if not w.startswith("zz")])
            words.pop(gone)
        for theirs in (OTHER, ORIGINAL):
            cases.append(["carry", ORIGINAL, WRITTEN, " ".join(words), theirs, theirs == ORIGINAL])
            typed.append([word.strip(",.") for word in new])
    for case, words, text in zip(cases, typed, run(cases), strict=True):
        assert all(text.count(word) == 1 for word in words), (case, text)
        assert "zz" in text and not any(f"{w}zz" in text for w in "abcdefghijklmnopqrstuvwxy"), text
