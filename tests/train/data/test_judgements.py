"""What readers judged, as it is stored."""

import hashlib

import pytest

from bp_core.errors import InputError
from train.data.judgements import FIT_LABELS, TASTE_LABELS, read_judgements

HEADER = "prompt\tphrase\tjudgement\treader\tbatch\n"


@pytest.mark.parametrize(
    ("path", "count", "digest"),
    [(TASTE_LABELS, 28_595, "842fadcfb66dc8f8"), (FIT_LABELS, 378, "d1cd927ea777c5fa")],
)
def test_they_are_those_that_the_bundled_models_learned_from(path, count, digest):
    judged = read_judgements(path)
    assert len(judged) == count
    text = "\n".join(f"{prompt}\t{phrase}\t{value}" for prompt, phrase, value in judged)
    assert hashlib.sha256(text.encode()).hexdigest().startswith(digest)


def test_no_phrase_is_judged_twice_and_test_prompts_are_held_out():
    judged, test = read_judgements(TASTE_LABELS), read_judgements(FIT_LABELS)
    for rows in (judged, test):
        assert len(rows) == len({(prompt, phrase) for prompt, phrase, _ in rows})
    held_out = {prompt.lower() for prompt, *_ in test}
    assert not held_out & {prompt.lower() for prompt, *_ in judged}


def test_a_line_of_another_form_is_named(tmp_path):
    path = tmp_path / "labels.tsv"
    path.write_text(f"{HEADER}a cat\t8k\tgood\tme\t1\na dog\t8k\n")
    with pytest.raises(InputError, match="line 3"):
        read_judgements(path)
    path.write_text("a cat\t8k, fog\t\tneon\n")
    with pytest.raises(InputError, match="columns"):
        read_judgements(path)
    path.write_text(f"{HEADER}a cat\t8k\tgood\tme\t1\na cat\tneon\twrong\tme\t1\n")
    assert read_judgements(path) == [("a cat", "8k", 1), ("a cat", "neon", 0)]
