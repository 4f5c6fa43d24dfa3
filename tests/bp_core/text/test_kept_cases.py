"""`kept` beside a reader's judgement on 400 rewrites, half of which lost something."""

from pathlib import Path

from bp_core.text.fidelity import fidelity, mend

CASES = Path(__file__).parents[2] / "data" / "kept_cases.txt"


def cases(sign):
    lines = CASES.read_text(encoding="utf-8").splitlines()
    return [tuple(line[2:].split(" ⇒ ")) for line in lines if line.startswith(sign)]


def test_what_is_lost_is_found():
    missed = [case for case in cases("-") if fidelity(*case).kept == 1]
    assert len(missed) <= 0.01 * len(cases("-")), missed


def test_nothing_is_called_lost_that_is_there():
    wronged = [(case, fidelity(*case).lost) for case in cases("=") if fidelity(*case).kept < 1]
    assert len(wronged) <= 0.01 * len(cases("=")), wronged


def test_what_was_lost_is_put_back():
    for raw, rewrite in cases("-"):
        assert fidelity(raw, mend(raw, rewrite)).kept == 1
