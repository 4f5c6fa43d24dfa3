"""starter/doubt.py: the marks in the repository make the bundled writer's doubt."""

import json

import pytest

from bp_core.errors import InputError
from bp_core.models.doubt import FILE, Doubt
from bp_core.models.folder import BUNDLED
from train.starter import doubt


def test_the_bundled_doubt_is_learned_from_the_marks(tmp_path, capsys):
    doubt.main(["--model", str(tmp_path)])
    made, bundled = Doubt.load(tmp_path), Doubt.load(BUNDLED)
    assert made.weights == pytest.approx(bundled.weights, rel=1e-5)
    for name in ("bias", "limit", "usual", "worth"):
        assert getattr(made, name) == pytest.approx(getattr(bundled, name), rel=1e-5)
    assert "area under the curve 0.690; 81.0% stay, 10.7% of them wrong" in capsys.readouterr().err
    assert set(json.loads((tmp_path / FILE).read_text())) == {
        "weights", "bias", "limit", "usual", "worth",
    }  # fmt: skip


def test_a_row_of_another_form_is_named(tmp_path):
    (tmp_path / "marked.jsonl").write_text('{"dialect": "tags"}\n')
    with pytest.raises(InputError, match="line 1"):
        doubt.main(["--model", str(tmp_path), "--marked", str(tmp_path / "marked.jsonl")])
