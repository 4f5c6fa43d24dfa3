"""Pairs from prompt pools: how they are cut, and what must never get in."""

import pandas as pd
import pytest

from tests.train.public_data import write_data
from train import collect


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


def test_pairs_are_cut_from_the_pools(data, tmp_path):
    out = tmp_path / "pairs"
    collect.main(["--data", str(data), "--out", str(out), "--validation", "0.2"])
    train, held_out = (pd.read_parquet(out / f"{n}.parquet") for n in ("train", "validation"))
    assert set(train["mode"]) >= {"expand", "text"}
    assert not set(train[train["mode"] != "text"].cluster) & set(held_out.cluster)
    expand = train[train["mode"] == "expand"]
    assert (expand.prompt.str.split().str.len() >= collect.Limits.tail_min).all()
    for row in expand.itertuples():
        assert not set(row.prompt.split(", ")) & set(row.raw_prompt.split(", "))
    assert not train.raw_prompt.str.contains("secret").any()
    assert (out / "vocabulary.txt").read_text()
