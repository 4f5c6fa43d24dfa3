"""starter/fit.py: learns what fits behind a prompt, and reports how well."""

import json

import pandas as pd
import pytest

from bp_core.errors import InputError
from tests.train.rewards.test_phrase_fit import PAIRS, encode
from train.rewards.phrase_fit import learn
from train.starter import fit as script


def test_the_script_reports_what_it_learned(tmp_path, monkeypatch):
    for name in ("train", "validation"):
        pd.DataFrame(
            [(x, y, "expand", "x") for x, y in PAIRS],
            columns=["raw_prompt", "prompt", "mode", "source"],
        ).to_parquet(tmp_path / f"{name}.parquet")
    monkeypatch.setattr(script, "encoder", lambda: encode)
    script.main(["--pairs", str(tmp_path), "--out", str(tmp_path / "fit")])
    report = json.loads((tmp_path / "fit" / "report.json").read_text())
    assert report["held_out"] > 0.6 and report["held_out_pairs"] == len(PAIRS)
    with pytest.raises(InputError, match="two of the pairs"):
        learn([("a", "b")], encode)
