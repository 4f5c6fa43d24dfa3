"""The tables that `reward_data.py` writes and later stages of the starter's reward read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bp_core.errors import InputError


def read_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(human, transfer, pool) of a folder; raises InputError when one is missing."""
    try:
        human, transfer, pool = (
            pd.read_parquet(folder / f"{name}.parquet") for name in ("human", "transfer", "pool")
        )
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename} is missing: run python -m train.starter.reward_data"
        ) from error
    return human, transfer, pool
