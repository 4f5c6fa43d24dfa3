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
