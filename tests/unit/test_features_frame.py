"""create_features: what a row may know, found by time in whatever order and with gaps."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import features as ft
from data.create_datasets import create_features, next_features
from data.readings import COLUMNS, MEASUREMENTS, ReadingError

HOUR = pd.Timedelta(hours=1)
DAY = pd.Timedelta(days=1)
NAMES = list(ft.FEATURES)


def frame_of(dates, meter="M1", **columns):
    """Return readings at these instants: units 0, 1, 2, …, the rest plausible."""
    count = len(dates)
    values = {
        "units": np.arange(count, dtype=float),
        "voltage": np.full(count, 230.0),
        "temperature": np.full(count, 20.0),
        "power_factor": np.full(count, 0.9),
        "load_kw": np.full(count, 2.0),
        "frequency_hz": np.full(count, 50.0),
        "phase": pd.array([1] * count, dtype="Int64"),
        "status": ["ok"] * count,
    }
    return pd.DataFrame({"meter_id": meter, "reading_date": dates, **values, **columns})[COLUMNS]


def hours(count, start="2025-01-06", zone="UTC"):
    return pd.date_range(start, periods=count, freq="h", tz=zone)


def test_columns_types_and_alignment():
    readings = pd.concat([frame_of(hours(3), "B"), frame_of(hours(2), "A")]).sample(
        frac=1, random_state=1
    )
    before = readings.copy()
    made = create_features(readings)
    assert list(made.columns) == ["meter_id", "reading_date", *NAMES]
    assert (made[NAMES].dtypes == np.float64).all()
    assert made["meter_id"].tolist() == ["A", "A", "B", "B", "B"]
    assert made["units_lag_1"].tolist() == pytest.approx([np.nan, 0, np.nan, 0, 1], nan_ok=True)
    assert made.index.tolist() == list(range(5))
    pd.testing.assert_frame_equal(readings, before)


def test_measurements_are_those_of_the_interval_before():
    readings = frame_of(
        hours(3),
        voltage=[170.0, 260.0, 230.0],
        temperature=[41.0, 12.0, 5.0],
        power_factor=[0.5, 0.99, 0.9],
        load_kw=[4.0, 0.0, 1.0],
        frequency_hz=[49.9, 50.1, 50.0],
        units=[2.0, 3.0, 9.0],
    )
    made = create_features(readings)
    expected = {
        "voltage": [np.nan, 170, 260],
        "temperature": [np.nan, 41, 12],
        "power_factor": [np.nan, 0.5, 0.99],
        "load_kw": [np.nan, 4, 0],
        "frequency_hz": [np.nan, 49.9, 50.1],
        "voltage_flag": [np.nan, 0, 2],
        "pf_issue": [np.nan, 1, 0],
        "high_temp": [np.nan, 1, 0],
        "units_lag_1": [np.nan, 2, 3],
        "load_intensity": [np.nan, 2 / 4.00001, 3 / 0.00001],
        "hour": [0, 1, 2],
        "day_of_week": [0, 0, 0],
        "is_weekend": [0, 0, 0],
    }
    for name, values in expected.items():
        assert made[name].tolist() == pytest.approx(values, nan_ok=True), name


def test_lags_and_means_of_a_day_and_a_week():
    made = create_features(frame_of(hours(24 * 8 + 1)))
    row = made.iloc[24 * 8]  # units are 0, 1, 2, … per hour
    assert row["units_lag_1"] == 24 * 8 - 1
    assert row["units_lag_day"] == 24 * 7
    assert row["units_lag_week"] == 24
    assert row["units_mean_day"] == pytest.approx(np.arange(24 * 7, 24 * 8).mean())
    assert row["units_mean_week"] == pytest.approx(np.arange(24, 24 * 8).mean())
    early = made.iloc[3]
    assert np.isnan(early["units_lag_day"]) and np.isnan(early["units_lag_week"])
    assert early["units_mean_day"] == early["units_mean_week"] == 1.0
    assert made.iloc[0][["units_mean_day", "units_mean_week", "units_lag_1"]].isna().all()


def test_gap_is_missing_not_the_row_before():
    readings = frame_of(hours(60)).drop(index=[30, 31]).reset_index(drop=True)
    made = create_features(readings).set_index("reading_date")
    after = made.loc[hours(60)[32]]
    assert after[["voltage", "units_lag_1", "load_intensity", "voltage_flag"]].isna().all()
    assert after["units_mean_day"] == pytest.approx(np.mean([*range(8, 30)]))
    assert np.isnan(made.loc[hours(60)[54], "units_lag_day"])
    assert made.loc[hours(60)[56], "units_lag_day"] == 32


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_missing_and_infinite_units_stay_where_they_are(bad):
    units = np.arange(60, dtype=float)
    units[10] = bad
    made = create_features(frame_of(hours(60), units=units))
    assert np.isnan(made["units_lag_1"][11]) and np.isnan(made["units_lag_day"][34])
    assert made["units_mean_day"][12] == pytest.approx(np.mean([*range(10), 11]))
    assert made["units_mean_day"][40] == pytest.approx(np.mean(range(16, 40)))
    assert made["units_mean_week"][59] == pytest.approx((sum(range(59)) - 10) / 58)


def test_all_units_missing_in_a_window_is_no_mean():
    made = create_features(frame_of(hours(30), units=np.full(30, np.nan)))
    assert made[["units_mean_day", "units_mean_week", "units_lag_1"]].isna().all(axis=None)


def test_nullable_columns_are_accepted():
    readings = frame_of(hours(3)).astype({"units": "Float64", "voltage": "Float64"})
    readings.loc[0, ["units", "voltage"]] = pd.NA
    made = create_features(readings)
    assert made["units_lag_1"].tolist() == pytest.approx([np.nan, np.nan, 1.0], nan_ok=True)
    assert made["voltage_flag"].tolist() == pytest.approx([np.nan, np.nan, 1.0], nan_ok=True)


def test_clocks_go_forward():
    dates = hours(30, "2025-03-30 00:00", "Europe/Berlin")
    made = create_features(frame_of(dates))
    assert made["hour"][:4].tolist() == [0, 1, 3, 4]
    assert made["units_lag_1"][2] == 1  # 01:00 is the hour before 03:00
    assert made["units_lag_day"][24] == 0 and made["hour"][24] == 1  # 24 h of time, not of clock


def test_clocks_go_back():
    dates = hours(30, "2025-10-26 00:00", "Europe/Berlin")
    made = create_features(frame_of(dates))
    assert made["hour"][:5].tolist() == [0, 1, 2, 2, 3]
    assert made["units_lag_1"][:5].tolist() == pytest.approx([np.nan, 0, 1, 2, 3], nan_ok=True)
    assert made["units_lag_day"][24] == 0 and made["hour"][24] == 23


def test_calendar_is_local():
    dates = pd.DatetimeIndex(["2025-01-10 14:00", "2025-01-10 15:00"], tz="UTC")
    made = create_features(frame_of(dates.tz_convert("Asia/Seoul")))
    assert made["hour"].tolist() == [23, 0]
    assert made["day_of_week"].tolist() == [4, 5]
    assert made["is_weekend"].tolist() == [0, 1]
    assert create_features(frame_of(dates))["hour"].tolist() == [14, 15]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_resolution_of_the_dates_does_not_matter(unit):
    readings = frame_of(hours(200))
    expected = create_features(readings)
    made = create_features(readings.assign(reading_date=readings["reading_date"].dt.as_unit(unit)))
    pd.testing.assert_frame_equal(made[NAMES], expected[NAMES])


def test_each_meter_has_its_own_interval():
    quarters = pd.date_range("2025-01-06", periods=8, freq="15min", tz="UTC")
    made = create_features(pd.concat([frame_of(hours(4), "A"), frame_of(quarters, "B")]))
    assert made["units_lag_1"].tolist() == pytest.approx(
        [np.nan, 0, 1, 2, np.nan, 0, 1, 2, 3, 4, 5, 6], nan_ok=True
    )


def test_interval_is_the_most_frequent_spacing_and_the_shorter_of_equals():
    dates = hours(1)[0] + HOUR * np.array([0, 1, 2, 4, 7, 9])  # spacings 1 1 2 3 2
    made = create_features(frame_of(dates))
    assert made["units_lag_1"].notna().tolist() == [False, True, True, False, False, False]
    assert create_features(frame_of(dates), interval=2 * HOUR)["units_lag_1"].tolist() == (
        pytest.approx([np.nan, np.nan, 0, 2, np.nan, 4], nan_ok=True)
    )


def test_a_lag_is_never_shorter_than_the_interval():
    days = pd.date_range("2025-01-01", periods=20, freq="D", tz="UTC")
    daily = create_features(frame_of(days))
    assert daily["units_lag_day"][10] == daily["units_lag_1"][10] == 9
    # Readings of two days every day: yesterday's has not ended yet.
    longer = create_features(frame_of(days), interval=pd.Timedelta(days=2))
    assert longer["units_lag_day"].isna().all() and longer["units_mean_day"].isna().all()
    assert longer["units_lag_1"][10] == 8 and longer["units_lag_week"][10] == 3
    assert longer["units_mean_week"][10] == pytest.approx(np.mean(range(3, 9)))


def test_no_and_single_rows():
    empty = create_features(frame_of(hours(0)))
    assert list(empty.columns) == ["meter_id", "reading_date", *NAMES] and empty.empty
    single = create_features(frame_of(hours(1)))
    assert single[["hour", "day_of_week", "is_weekend"]].iloc[0].tolist() == [0, 0, 0]
    assert single[NAMES].notna().sum(axis=1)[0] == 3


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda f: f.drop(columns="voltage"), "lack the columns voltage", id="column"),
        pytest.param(
            lambda f: f.assign(reading_date=f["reading_date"].dt.tz_localize(None)),
            "without a time zone",
            id="naive",
        ),
        pytest.param(lambda f: pd.concat([f, f.iloc[[1]]]), "two readings of M1", id="duplicate"),
        pytest.param(lambda f: f.assign(meter_id=None), "no meter_id", id="no-meter"),
        pytest.param(
            lambda f: f.assign(reading_date=f["reading_date"].where(f.index > 0)),
            "no reading_date",
            id="no-date",
        ),
    ],
)
def test_unusable_readings_are_refused(spoil, message):
    with pytest.raises(ReadingError, match=message):
        create_features(spoil(frame_of(hours(3))))


@pytest.mark.parametrize("interval", [pd.Timedelta(0), -HOUR])
def test_interval_must_be_positive(interval):
    with pytest.raises(ReadingError, match="must be positive"):
        create_features(frame_of(hours(3)), interval=interval)


@st.composite
def cases(draw):
    """Return readings of two meters with gaps, the interval, and an instant to change from."""
    zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "Australia/Melbourne"]))
    minutes = draw(st.sampled_from([15, 60, 24 * 60, 3 * 24 * 60]))
    start = draw(st.sampled_from(["2025-03-28", "2025-10-24", "2025-01-01"]))
    grid = pd.date_range(start, periods=60, freq=f"{minutes}min", tz="UTC").tz_convert(zone)
    # Drawn as a seed: hypothesis is slow at drawing hundreds of numbers one by one.
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    parts = []
    for meter in ("A", "B"):
        chosen = rng.permutation(60)[: draw(st.integers(1, 50))]
        columns = {
            name: np.where(rng.random(len(chosen)) < 0.1, np.nan, rng.gamma(1, scale, len(chosen)))
            for name, scale in (("units", 1e4), ("voltage", 220), ("load_kw", 2))
        }
        parts.append(frame_of(grid[chosen], meter, **columns))
    cut = grid[draw(st.integers(0, 59))]
    return pd.concat(parts, ignore_index=True), pd.Timedelta(minutes=minutes), cut


def known(made, cut):
    """Return, as bits, the rows that had to be computed before the readings of ``cut``."""
    early = made[made["reading_date"] <= cut]
    return early["meter_id"].tolist(), early[NAMES].to_numpy().tobytes()


@settings(max_examples=50, deadline=None)
@given(cases(), st.floats(0, 1e7), st.integers(0, 2**32))
def test_present_and_future_move_no_feature(case, value, seed):
    readings, interval, cut = case
    expected = known(create_features(readings, interval=interval), cut)
    late = readings["reading_date"] >= cut

    changed = readings.copy()
    changed.loc[late, list(MEASUREMENTS)] = value
    assert known(create_features(changed, interval=interval), cut) == expected
    missing = readings.copy()
    missing.loc[late, list(MEASUREMENTS)] = np.nan
    assert known(create_features(missing, interval=interval), cut) == expected

    # Later rows are dropped or appended; the rows of ``cut`` stay, as they are looked at.
    shorter = readings[readings["reading_date"] <= cut]
    assert known(create_features(shorter, interval=interval), cut) == expected
    last = max(readings["reading_date"].max(), cut)
    more = pd.concat([readings, *(frame_of([last + interval], m) for m in ("A", "B", "C"))])
    order = np.random.default_rng(seed).permutation(len(more))
    assert known(create_features(more.iloc[order], interval=interval), cut) == expected


@settings(max_examples=20, deadline=None)
@given(cases(), st.floats(0, 1e7))
def test_values_never_move_the_inferred_interval(case, value):
    readings, _, cut = case
    changed = readings.copy()
    changed.loc[readings["reading_date"] >= cut, list(MEASUREMENTS)] = value
    assert known(create_features(changed), cut) == known(create_features(readings), cut)


@settings(max_examples=25, deadline=None)
@given(cases())
def test_every_feature_is_what_its_definition_says(case):
    readings, interval, _ = case
    made = create_features(readings, interval=interval)
    for meter, rows in made.groupby("meter_id"):
        own = readings[readings["meter_id"] == meter]
        starts, units = (own[name].to_numpy() for name in ("reading_date", "units"))
        # How long before each row (down) each reading (across) began.
        ago = rows["reading_date"].to_numpy()[:, np.newaxis] - starts
        for name, distance in (("1", interval), ("day", DAY), ("week", 7 * DAY)):
            there = (ago == distance) & (distance >= interval)
            expected = np.where(there.any(axis=1), units[there.argmax(axis=1)], np.nan)
            np.testing.assert_array_equal(rows[f"units_lag_{name}"], expected, name)
        for name, window in (("day", DAY), ("week", 7 * DAY)):
            inside = (ago >= interval) & (ago <= window) & ~np.isnan(units)
            mean = [units[chosen].mean() if chosen.any() else np.nan for chosen in inside]
            np.testing.assert_allclose(rows[f"units_mean_{name}"], mean, rtol=1e-9, atol=1e-7)


@settings(max_examples=20, deadline=None)
@given(cases())
def test_a_request_of_a_row_is_the_row(case):
    readings, interval, _ = case
    for row in create_features(readings, interval=interval)[NAMES].to_numpy():
        values = dict(zip(NAMES, row.tolist()))
        if np.isnan(values["load_kw"]) or values["load_intensity"] > 1e30:
            continue  # units_lag_1 can't be told from a request without a load
        fields = {
            name: None if np.isnan(values[name]) else values[name]
            for name in ft.REQUIRED + ft.OPTIONAL
        }
        np.testing.assert_allclose(ft.request_vector(fields), row.astype(np.float32), rtol=1e-6)


def test_next_features_of_every_meter():
    readings = pd.concat([frame_of(hours(200), "A"), frame_of(hours(3, "2025-02-01"), "B")])
    made = next_features(readings.sample(frac=1, random_state=3))
    assert made["meter_id"].tolist() == ["A", "B"]
    assert made["reading_date"].tolist() == [
        pd.Timestamp("2025-01-14 08:00", tz="UTC"),
        pd.Timestamp("2025-02-01 03:00", tz="UTC"),
    ]
    assert made["hour"].tolist() == [8, 3] and made["units_lag_1"].tolist() == [199, 2]
    assert made["units_lag_week"].tolist() == pytest.approx([32, np.nan], nan_ok=True)
    whole = create_features(frame_of(hours(201), "A"))
    np.testing.assert_array_equal(made[NAMES].to_numpy()[0], whole[NAMES].to_numpy()[200])


def test_next_features_needs_the_interval_of_a_single_reading():
    single = frame_of(hours(1))
    with pytest.raises(ReadingError, match="M1 has one reading only"):
        next_features(single)
    made = next_features(single, interval=HOUR)
    assert made["units_lag_1"].tolist() == [0] and made["hour"].tolist() == [1]
    assert next_features(frame_of(hours(0))).empty
