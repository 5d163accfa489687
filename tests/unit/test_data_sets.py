"""Loading, targets, split by time, hash of the data, the shipped sample and its contract."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.contract import load_contract
from data.create_datasets import (
    SAMPLE,
    create_dataset,
    create_features,
    data_hash,
    load_data,
    time_split,
)
from data.features import FEATURES
from data.readings import COLUMNS, ReadingError, validate_readings

ROOT = SAMPLE.parents[1]
GENERATOR = ROOT / "scripts" / "generate_sample.py"


@pytest.fixture(scope="module", name="sample")
def sample_fixture():
    return load_data()


# --- the shipped sample


def test_load_data_without_arguments_is_the_shipped_sample(sample):
    validate_readings(sample)
    assert len(sample) == 10_080 and sample["meter_id"].nunique() == 4
    assert (sample.groupby("meter_id").size() == 105 * 24).all()
    assert SAMPLE.stat().st_size < 1_000_000
    assert set(sample["status"]) == {"ok", "estimated", "fault"}
    gaps = sample.groupby("meter_id")["reading_date"].diff().dropna().unique()
    assert list(gaps) == [pd.Timedelta(hours=1)]


def test_sample_has_daily_weekly_and_temperature_structure(sample):
    home = sample[sample["meter_id"] == "MTR-0001"].set_index("reading_date")
    by_hour = home["units"].groupby(home.index.hour).mean()
    assert by_hour[19] > 1.8 * by_hour[3]
    office = sample[sample["meter_id"] == "MTR-0003"].set_index("reading_date")
    by_day = office["units"].groupby(office.index.day_of_week).mean()
    assert by_day[:4].min() > 1.5 * by_day[5:].max()
    daily = home[["units", "temperature"]].resample("D").mean()
    assert daily.corr().loc["units", "temperature"] < -0.5


@pytest.mark.parametrize("spoil", [None, "sample_readings.csv", "sample_customers.csv"])
def test_generator_checks_what_is_shipped(tmp_path, spoil):
    for name in ("sample_readings.csv", "sample_customers.csv"):
        content = (ROOT / "data" / name).read_bytes()
        (tmp_path / name).write_bytes(content.replace(b"1", b"2", 1) if name == spoil else content)
    command = [sys.executable, str(GENERATOR), "--check", "--to", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if spoil else 0), done.stderr
    assert not spoil or f"{spoil} differs" in done.stderr


def test_generator_writes_the_same_bytes_again(tmp_path):
    subprocess.run([sys.executable, str(GENERATOR), "--to", str(tmp_path)], check=True)
    assert (tmp_path / SAMPLE.name).read_bytes() == SAMPLE.read_bytes()


# --- the contract


@pytest.mark.parametrize("name", ["readings", "customers"])
def test_shipped_files_keep_their_contract(name):
    declared = load_contract(name)
    frame = pd.read_csv(ROOT / "data" / f"sample_{name}.csv")
    assert list(frame.columns) == list(declared.fields)
    assert not frame.duplicated(declared.key).any()
    for field in declared.fields.values():
        values = frame[field.name]
        assert values.notna().all() or not field.required
        if field.type == "number":
            assert values.dropna().between(*field.limits()).all()
        if field.enum:
            assert set(values.dropna()) <= set(field.enum)


def test_customers_have_no_personal_data_and_are_no_feature():
    header = (ROOT / "data/sample_customers.csv").read_text("utf-8").split("\n", 1)[0].split(",")
    assert header == ["meter_id", "connection_type", "tariff"]
    assert not set(header) & set(FEATURES)


# --- validation


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda f: f.drop(columns="status"), "lack the columns status", id="column"),
        pytest.param(
            lambda f: f.assign(reading_date=f["reading_date"].dt.tz_localize(None)),
            "without a time zone",
            id="naive",
        ),
        pytest.param(lambda f: f.assign(units=-1.0), r"row 0 \(48 such rows\): units", id="range"),
        pytest.param(lambda f: f.assign(units=np.inf), "units is outside", id="infinite"),
        pytest.param(lambda f: f.iloc[::-1], "not sorted", id="order"),
        pytest.param(lambda f: pd.concat([f, f.tail(1)]), "second reading of", id="duplicate"),
        pytest.param(lambda f: f.assign(meter_id=None), "meter_id is missing", id="meter"),
        pytest.param(lambda f: f.assign(phase=4), "phase is none of", id="phase"),
        pytest.param(lambda f: f.assign(status="x"), "status is none of", id="status"),
        pytest.param(
            lambda f: f.assign(reading_date=f["reading_date"].where(f.index != 3)),
            "row 3 .*reading_date is missing",
            id="no-date",
        ),
    ],
)
def test_invalid_readings(sample, spoil, message):
    with pytest.raises(ReadingError, match=message):
        validate_readings(spoil(sample.head(48)))


def test_valid_readings_are_returned_as_they_are(sample):
    part = sample.iloc[100:200]  # any index, status may be missing
    assert validate_readings(part) is part
    validate_readings(part.assign(status=pd.Series(pd.NA, index=part.index, dtype="str")))


# --- data sets


def test_dataset_keeps_what_can_be_learnt_from():
    sample = load_data().head(60).copy()
    sample.loc[10, "units"] = np.nan  # no target, and 11 has no interval before it
    sample.loc[20, "status"] = "fault"
    sample.loc[30, "status"] = "estimated"
    sample = sample.drop(index=40)  # so 41 has no interval before it
    sample["status"] = sample["status"].where(sample.index != 50)
    made = create_dataset(sample)
    kept = set(made.meta["reading_date"])
    dates = load_data()["reading_date"]
    dropped = {n for n in range(60) if dates[n] not in kept}
    fault = set(load_data().head(60).query("status == 'fault'").index)
    assert dropped == {0, 10, 11, 20, 40, 41} | fault | {n + 1 for n in fault}
    assert made.X.dtype == np.float32 and made.X.shape == (len(made), 17)
    assert len(made) == len(made.y) == len(made.meta)


def test_dataset_rows_are_features_and_target_of_one_interval(sample):
    made = create_dataset(sample.sample(frac=1, random_state=1))
    features = create_features(sample).set_index(["meter_id", "reading_date"])
    target = sample.set_index(["meter_id", "reading_date"])["units"]
    keys = pd.MultiIndex.from_frame(made.meta)
    np.testing.assert_array_equal(made.X, features.loc[keys, list(FEATURES)].to_numpy(np.float32))
    np.testing.assert_array_equal(made.y, target.loc[keys])
    assert np.isfinite(made.y).all()


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_split_is_by_time_over_all_meters(sample, fraction):
    train, test = time_split(sample, fraction)
    assert train["reading_date"].max() < test["reading_date"].min()
    assert len(train) + len(test) == len(sample)
    assert len(test) / len(sample) == pytest.approx(fraction, abs=0.01)
    assert set(train["meter_id"]) == set(test["meter_id"])


def test_dataset_split_is_that_of_its_rows(sample):
    made = create_dataset(sample)
    train, test = made.split(0.2)
    expected, later = time_split(made.meta.assign(y=made.y), 0.2)
    np.testing.assert_array_equal(train.y, expected["y"])
    np.testing.assert_array_equal(test.y, later["y"])
    assert train.meta["reading_date"].max() < test.meta["reading_date"].min()
    np.testing.assert_array_equal(np.vstack([train.X, test.X]).shape, made.X.shape)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=2, max_size=60), st.floats(0.01, 0.99))
def test_split_never_mixes_times(hours, fraction):
    start = pd.Timestamp("2025-01-01", tz="UTC")
    frame = pd.DataFrame({"reading_date": [start + pd.Timedelta(hours=h) for h in hours]})
    try:
        train, test = time_split(frame, fraction)
    except ReadingError as error:
        assert "too few to split" in str(error)
        return
    assert len(train) and len(test)
    assert train["reading_date"].max() < test["reading_date"].min()


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fraction_of_the_split_lies_between_0_and_1(sample, fraction):
    with pytest.raises(ReadingError, match="between 0 and 1"):
        time_split(sample, fraction)


# --- hash


def test_hash_of_the_same_content_is_the_same(sample):
    part = sample.head(100)
    other = part.sample(frac=1, random_state=2)[COLUMNS[::-1]]
    other["reading_date"] = other["reading_date"].dt.as_unit("ns")
    other["units"] = other["units"].astype("Float64")
    assert data_hash(other) == data_hash(part)
    zeros = part.assign(units=0.0)
    assert data_hash(zeros.assign(units=-0.0)) == data_hash(zeros)
    missing = part.assign(units=np.nan)  # a NaN may have a sign
    assert data_hash(part.assign(units=np.negative(np.full(100, np.nan)))) == data_hash(missing)
    assert len(data_hash(part)) == 64


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda f: f.assign(units=np.nextafter(f["units"], 9e9)), id="last-bit"),
        pytest.param(lambda f: f.assign(units=f["units"].where(f.index > 0)), id="missing"),
        pytest.param(lambda f: f.head(99), id="row-fewer"),
        pytest.param(lambda f: f.assign(meter_id="X"), id="meter"),
        pytest.param(
            lambda f: f.assign(status=f["status"].where(f.index > 0, "estimated")), id="status"
        ),
        pytest.param(lambda f: f.assign(status=f["status"].where(f.index > 0)), id="no-status"),
        pytest.param(lambda f: f.assign(phase=2), id="phase"),
        pytest.param(
            lambda f: f.assign(reading_date=f["reading_date"].dt.tz_convert("UTC")), id="zone"
        ),
        pytest.param(
            lambda f: f.assign(voltage=f["temperature"], temperature=f["voltage"] / 10),
            id="columns-swapped",
        ),
        pytest.param(
            lambda f: f.assign(reading_date=f["reading_date"] + pd.Timedelta(seconds=1)), id="date"
        ),
    ],
)
def test_hash_of_other_content_differs(sample, change):
    part = sample.head(100).assign(temperature=20.5)
    assert data_hash(change(part)) != data_hash(part)


def test_hash_of_invalid_readings_is_refused(sample):
    with pytest.raises(ReadingError):
        data_hash(sample.assign(units=-1.0))


def test_sample_path_is_of_this_checkout():
    assert Path(SAMPLE).is_file() and (ROOT / "pyproject.toml").is_file()
