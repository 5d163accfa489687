"""What the tasks do, without Airflow around it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

REPORT = {"read": 10, "inserted": 4, "updated": 3, "unchanged": 2, "quarantined": 1}


class FakeModel:
    """Predicts a feature, so that a test sees which row it was asked about."""

    def __init__(self, version: str, feature: str, thresholds: dict[str, float]) -> None:
        from data.features import FEATURES

        self.version, self._column = version, FEATURES.index(feature)
        self.metadata = type("Metadata", (), {"thresholds": thresholds})

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return matrix[:, self._column]


@pytest.fixture
def sample() -> pd.DataFrame:
    from data.create_datasets import load_data

    return load_data()


@pytest.fixture
def mixed(stored: sa.Engine, tmp_path: Path) -> sa.Engine:
    """The sample in the database, and two hours of a household in Paris."""
    from data.ingestion import ingest_file

    lines = ["Date,Time,Global_active_power,Global_reactive_power,Voltage"]
    lines += [f"1/2/2007,{m // 60:02}:{m % 60:02}:00,{m / 10},0,240" for m in range(120)]
    (tmp_path / "house.csv").write_text("\n".join(lines) + "\n")
    ingest_file(tmp_path / "house.csv", stored)
    return stored


@pytest.fixture
def fakes(sample: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Champions that answer with the hour and is_weekend of the interval asked about."""
    from jobs import scoring

    meters = dict.fromkeys(sample["meter_id"].unique(), 1.0)

    def load(feature: str = "hour") -> None:
        made = scoring.Champions(
            FakeModel("r1", feature, {}), FakeModel("h2", "is_weekend", meters)
        )
        monkeypatch.setattr(scoring, "champions", lambda: made)

    load()
    yield load


def rows(engine: sa.Engine) -> pd.DataFrame:
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT * FROM predictions ORDER BY meter_id")).all()
    return pd.DataFrame(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"read": 11}, "11 rows read, 9 stored, 1 quarantined", id="a row is lost"),
        pytest.param({"read": 12, "quarantined": 3}, "3 of 12 rows are in quarantine", id="bad"),
    ],
)
def test_counts_that_do_not_add_up_are_named(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, int], message: str
) -> None:
    from jobs import ingest

    monkeypatch.setattr(ingest, "_stored", lambda: 100)
    good = {"path": "/in/good.csv"} | REPORT
    assert ingest.validate([good, good], 0.1)["read"] == 20
    with pytest.raises(ValueError, match=f"/in/bad.csv: {message}"):
        ingest.validate([good, {"path": "/in/bad.csv"} | REPORT | change], 0.1)


def test_table_with_fewer_rows_than_ingested_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs import ingest

    monkeypatch.setattr(ingest, "_stored", lambda: 8)
    with pytest.raises(ValueError, match="the table has 8 rows"):
        ingest.validate([{"path": "/in/a.csv"} | REPORT], 0.1)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs import ingest

    monkeypatch.setattr(ingest, "MAX_FILES", 2)
    for name in "abc":
        (tmp_path / f"{name}.csv").touch()
    with pytest.raises(ValueError, match="3 files in .*, at most 2 a run"):
        ingest.find(str(tmp_path), "*.csv")


def test_snapshot_reads_back_bit_for_bit(sample: pd.DataFrame) -> None:
    from jobs.training import remove, snapshot

    from data.create_datasets import data_hash

    taken = snapshot("manual__2026-01-01T00:00:00+00:00", "sample", None, 1)
    frame = pd.read_parquet(taken["path"])
    pd.testing.assert_frame_equal(frame, sample)
    assert data_hash(frame) == taken["data_hash"] == data_hash(sample)
    assert snapshot("manual__2026-01-01T00:00:00+00:00", "sample", None, 1) == taken
    remove(taken)
    remove(taken)
    assert list(Path(taken["path"]).parent.iterdir()) == []


def test_changed_snapshot_is_not_trained_on(sample: pd.DataFrame) -> None:
    from jobs.training import snapshot, train

    taken = snapshot("run", "sample", None, 1)
    sample.assign(units=sample["units"] + 1).to_parquet(taken["path"], index=False)
    with pytest.raises(ValueError, match="changed since it was written"):
        train("regression", taken)


def test_snapshot_wants_one_zone(mixed: sa.Engine, sample: pd.DataFrame) -> None:
    from jobs.training import snapshot

    from data.readings import ReadingError

    with pytest.raises(ReadingError, match="meters lie in Europe/Berlin, Europe/Paris"):
        snapshot("run", "database", None, 1)
    assert snapshot("run", "database", "Europe/Berlin", 1)["rows"] == len(sample)


def test_promotion_that_the_registry_does_not_know_is_an_error(registry: Any) -> None:
    from jobs.training import decide

    result = {"model": "meter-regression", "registered": True, "version": "v9", "run_id": "x"}
    with pytest.raises(ValueError, match="v9 was promoted, but the champion is None"):
        decide({"meter-regression": None}, [result | {"reason": "better"}])


@pytest.mark.parametrize(
    "at_once", [pytest.param(1, id="one by one"), pytest.param(10**6, id="all")]
)
def test_every_meter_is_predicted_in_its_own_zone_and_interval(
    mixed: sa.Engine,
    sample: pd.DataFrame,
    fakes: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
) -> None:
    from jobs import scoring

    monkeypatch.setattr(scoring, "ROWS_AT_ONCE", at_once)
    report = scoring.predict_all(24)
    assert scoring.validate(report) == report
    assert (report["meters"], report["predicted"], report["silent"]) == (5, 5, 0)
    made = rows(mixed).set_index("meter_id")
    house = made.loc["household"]
    assert house["reading_date"] == pd.Timestamp("2007-02-01 02:00", tz="Europe/Paris")
    assert house["units_kwh"] == 2, "the hour is that of Paris"
    assert pd.isna(house["high_consumption_probability"]), "training has seen no such meter"
    others = made.drop("household")
    next_hour = sample["reading_date"].max() + pd.Timedelta(hours=1)
    assert (others["reading_date"] == next_hour).all()
    assert (others["units_kwh"] == next_hour.hour).all()
    assert others["high_consumption_probability"].notna().all()
    assert set(made["model_version"]) == {"r1+h2"}


@pytest.mark.parametrize(
    "feature", ["units_lag_1", "units_lag_day", "units_lag_week", "units_mean_week", "temperature"]
)
def test_features_are_those_of_the_whole_history(
    stored: sa.Engine, sample: pd.DataFrame, fakes: Callable[..., None], feature: str
) -> None:
    from jobs import scoring

    from data.create_datasets import next_features

    fakes(feature)
    scoring.predict_all(24)
    expected = next_features(sample).set_index("meter_id")[feature].astype(np.float32)
    found = rows(stored).set_index("meter_id")["units_kwh"].astype(np.float32)
    assert found.to_dict() == expected.to_dict()


def test_silent_meters_and_those_without_units_are_left_out(
    mixed: sa.Engine, sample: pd.DataFrame, fakes: Callable[..., None]
) -> None:
    from jobs import scoring

    silent, blank, *rest = sorted(sample["meter_id"].unique())
    last = sample["reading_date"].max()
    with mixed.begin() as connection:
        connection.execute(
            sa.text("DELETE FROM readings WHERE meter_id = :meter AND reading_date > :start"),
            {"meter": silent, "start": last - pd.Timedelta(hours=25)},
        )
        connection.execute(
            sa.text("UPDATE readings SET units = NULL WHERE meter_id = :m AND reading_date = :l"),
            {"m": blank, "l": last.to_pydatetime()},
        )
    report = scoring.predict_all(24)
    assert (report["predicted"], report["silent"], report["without_units"]) == (3, 1, 1)
    assert set(rows(mixed)["meter_id"]) == {"household", *rest}


def test_first_reading_of_a_meter_is_enough(mixed: sa.Engine, fakes: Callable[..., None]) -> None:
    from jobs import scoring

    with mixed.begin() as connection:
        connection.execute(
            sa.text("DELETE FROM readings WHERE meter_id = 'household' AND units > 0")
        )
    assert scoring.predict_all(24)["predicted"] == 5
    house = rows(mixed).set_index("meter_id").loc["household"]
    assert house["reading_date"] == pd.Timestamp("2007-02-01 00:01", tz="Europe/Paris")


def test_no_meter_at_all_is_an_error(engine: sa.Engine, fakes: Callable[..., None]) -> None:
    from jobs import scoring

    with pytest.raises(ValueError, match="none of 0 meters could be predicted"):
        scoring.predict_all(24)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            "DELETE FROM predictions WHERE meter_id = 'household'", "4 are stored", id="lost"
        ),
        pytest.param("UPDATE predictions SET units_kwh = 'NaN'", "0 of them plausible", id="NaN"),
        pytest.param("UPDATE predictions SET units_kwh = -1", "0 of them plausible", id="negative"),
        pytest.param(
            "UPDATE predictions SET high_consumption_probability = 1.5",
            "0 of them plausible",
            id="no probability",
        ),
    ],
)
def test_stored_predictions_are_judged(
    mixed: sa.Engine, fakes: Callable[..., None], damage: str, message: str
) -> None:
    from jobs import scoring

    report = scoring.predict_all(24)
    with mixed.begin() as connection:
        connection.execute(sa.text(damage))
    with pytest.raises(ValueError, match=message):
        scoring.validate(report)
