"""The bundled writer as it ships: what it writes, and how big it is."""

import os
import subprocess
import sys

import pytest

from bp_core.models.folder import BUNDLED
from bp_core.text.concepts import file_of
from bp_core.text.word_lists import read_beside
from bp_core.text.words import words

PROMPTS = {
    "tags": "a lighthouse at dusk <lora:moody:0.8>",
    "prose": "A fox sleeps in the library.",
    "booru": "1girl, solo, silver_hair, library",
}


@pytest.fixture(scope="module")
def results(bundled_rewriter):
    made = bundled_rewriter.many(list(PROMPTS.values()), n=2, seed=3)
    return dict(zip(PROMPTS, made, strict=True))


@pytest.mark.parametrize("dialect", PROMPTS)
def test_a_prompt_is_continued_in_its_own_dialect(results, dialect):
    prompt, result = PROMPTS[dialect], results[dialect]
    assert result.dialect == dialect and result.candidates
    for candidate in result.candidates:
        assert candidate.text.startswith(prompt.removesuffix(" <lora:moody:0.8>"))
        assert candidate.kept == 1 and not candidate.lost and candidate.score is not None
        assert len(words(" ".join(candidate.added))) >= 4
    assert result.text == result.candidates[0].text


def test_sentences_end_and_phrases_have_commas(results):
    assert all(c.text.endswith((".", "!", "?")) for c in results["prose"].candidates)
    assert all(c.text.count(",") >= 3 for c in results["tags"].candidates)
    assert all("<lora:moody:0.8>" in c.text for c in results["tags"].candidates)


def test_it_is_told_of_what_a_prompt_names(bundled_rewriter):
    concepts = bundled_rewriter.model.concepts
    assert bundled_rewriter.model.template.notes and len(concepts) > 1000
    assert [c.name for c in concepts.named("a fox in a library")] == ["fox", "library"]


def test_its_notes_are_those_of_the_repository():
    source = BUNDLED.parents[1] / "train/starter/concepts/concepts.txt"
    assert read_beside(file_of(BUNDLED)) == read_beside(source)


def test_the_bundle_is_light_and_has_no_weights_twice():
    files = [path for path in BUNDLED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 64e6
    weights = {str(p.relative_to(BUNDLED)) for p in files if p.suffix == ".safetensors"}
    packed = {"packed.safetensors", "reward/packed.safetensors", "reward/taste.safetensors"}
    judging = {"suitability.safetensors", "preference.safetensors"}
    assert packed <= weights <= packed | judging


@pytest.mark.parametrize("arguments", [["beautify", "a fox"], ["score", "a fox"]])
def test_a_plain_installation_is_enough(arguments):
    """PyTorch does not bring numpy; numba does, where it is installed."""
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['numpy', 'numba', 'llvmlite']))\n"
        f"from bp_core import cli; cli.main({arguments!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "a fox" in done.stdout
