"""Speed of the features; the limit (1,000,000 rows in 2 s) is judged by the benchmark gate."""

import numpy as np
import pandas as pd

from data.create_datasets import create_features
from data.readings import MEASUREMENTS

ROWS = 1_000_000


def test_create_features_on_a_million_rows(benchmark):
    meters, count = 100, ROWS // 100
    rng = np.random.default_rng(1)
    dates = pd.date_range("2024-01-01", periods=count, freq="15min", tz="Europe/Berlin")
    readings = pd.DataFrame(
        {
            "meter_id": np.repeat([f"M{number:05}" for number in range(meters)], count),
            "reading_date": np.tile(dates, meters),
            **{name: rng.random(ROWS) for name in MEASUREMENTS},
        }
    )
    made = benchmark.pedantic(create_features, args=[readings], rounds=5, warmup_rounds=1)
    assert len(made) == ROWS
    assert made["units_lag_1"].isna().sum() == meters
    benchmark.extra_info.update(rows=ROWS, meters=meters)
