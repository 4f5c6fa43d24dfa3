"""Files of pairs, and what is wrong with some."""

import pandas as pd
import pytest

from bp_core.errors import InputError
from train.data.pairs import read_pairs


def test_missing_columns_and_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"train/collect\.py"):
        read_pairs(str(tmp_path / "none.parquet"))
    pd.DataFrame({"prompt": ["a"]}).to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(InputError, match="raw_prompt"):
        read_pairs(str(tmp_path / "bad.parquet"))


def test_a_file_without_modes_and_dialects_has_the_papers(tmp_path):
    pd.DataFrame({"raw_prompt": ["a"], "prompt": ["b"]}).to_parquet(tmp_path / "plain.parquet")
    (row,) = read_pairs(tmp_path / "plain.parquet")
    optional = {"mode": "rewrite", "dialect": "tags", "notes": "", "source": ""}
    assert row == {"raw_prompt": "a", "prompt": "b"} | optional
