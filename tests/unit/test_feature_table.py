"""The feature table as a file: what the data stage judges is what a model learns from."""

import numpy as np
import pandas as pd

from data.create_datasets import SAMPLE, create_dataset, load_data, main, write_dataset
from data.features import FEATURES
from data.readings import KEY


def _first_meter() -> pd.DataFrame:
    readings = load_data()
    one = readings[readings["meter_id"] == readings["meter_id"].iloc[0]]
    return one.head(400).reset_index(drop=True)


def test_written_table_is_the_data_set(tmp_path):
    dataset = create_dataset(_first_meter())
    path = tmp_path / "features.csv"
    write_dataset(dataset, path)
    table = pd.read_csv(path)
    assert list(table.columns) == [*KEY, *FEATURES, "units"]
    np.testing.assert_array_equal(table[list(FEATURES)].to_numpy(np.float32), dataset.X)
    np.testing.assert_array_equal(table["units"].to_numpy(), dataset.y)
    written = pd.to_datetime(table["reading_date"], utc=True)
    assert written.tolist() == dataset.meta["reading_date"].dt.tz_convert("UTC").tolist()
    assert table["meter_id"].tolist() == dataset.meta["meter_id"].tolist()


def test_command_writes_the_sample_and_says_how_much(tmp_path, capsys):
    assert main([str(SAMPLE), str(tmp_path / "out.csv")]) == 0
    rows = len(pd.read_csv(tmp_path / "out.csv"))
    assert capsys.readouterr().out == f"{rows} rows\n"


def test_command_names_what_it_cannot_read(tmp_path, capsys):
    assert main([str(tmp_path / "absent.csv"), str(tmp_path / "out.csv")]) == 2
    assert "absent.csv" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_command_names_where_it_cannot_write(tmp_path, capsys):
    assert main([str(SAMPLE), str(tmp_path / "no" / "out.csv")]) == 2
    assert "no" in capsys.readouterr().err
