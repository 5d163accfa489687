"""Hop 2: the readings out of PostgreSQL, and what a model learns from them."""

from datetime import UTC, timedelta

import numpy as np
import pandas as pd
import pytest
import sample
from hops import SAMPLE, Mismatch, directory, same
from sqlalchemy.engine import Engine

from data.create_datasets import Dataset, create_dataset, data_hash, load_data, write_dataset
from data.features import FEATURES
from data.ingestion import load_readings

LAGS = {
    "units_lag_1": sample.HOUR,
    "units_lag_day": timedelta(days=1),
    "units_lag_week": timedelta(days=7),
}


@pytest.fixture(name="readings", scope="module")
def fixture_readings(engine: Engine) -> pd.DataFrame:
    """The stored readings, which are left for training."""
    readings = load_readings(engine)
    readings.to_parquet(directory() / "readings.parquet", index=False)
    return readings


@pytest.fixture(name="dataset", scope="module")
def fixture_dataset(readings: pd.DataFrame) -> Dataset:
    dataset = create_dataset(readings)
    write_dataset(dataset, directory() / "features.csv")
    return dataset


def test_database_gives_back_what_the_file_holds(readings: pd.DataFrame) -> None:
    same(
        "hash of the readings out of PostgreSQL",
        data_hash(readings),
        data_hash(load_data(SAMPLE)),
        sent=f"the readings of {SAMPLE.name}",
    )


def test_every_learnable_reading_has_a_row(dataset: Dataset) -> None:
    sent = f"{len(sample.lines())} readings"
    same("rows to learn from", len(dataset), len(sample.learnable()), sent=sent)


def test_rows_hold_what_the_file_says_of_the_time_before(dataset: Dataset) -> None:
    expected = {(line.meter, line.instant): line for line in sample.learnable()}
    meters, dates = dataset.meta["meter_id"].tolist(), dataset.meta["reading_date"].tolist()
    for row in range(0, len(dataset), 7):
        key = (str(meters[row]), dates[row].to_pydatetime().astimezone(UTC))
        line = expected[key]
        wanted = {name: sample.units().get((key[0], key[1] - lag)) for name, lag in LAGS.items()}
        wanted |= {"hour": line.local.hour, "day_of_week": line.local.weekday()}
        for name, value in wanted.items():
            came = dataset.X[row, FEATURES.index(name)]
            want = np.float32(np.nan if value is None else value)
            if not np.array_equal(came, want, equal_nan=True):
                raise Mismatch(
                    f"{name} of meter {key[0]} at {line.local.isoformat()}",
                    sent=f"the reading of {line.local.isoformat()} and those before it",
                    came=float(came),
                    expected=value,
                )
        same(f"target of {key}", dataset.y[row], line.units)
