"""Ingestion into a real PostgreSQL: all of a file's good lines or nothing, once."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import psycopg
import pytest
import sqlalchemy as sa

from data import ingestion
from data.create_datasets import SAMPLE, data_hash, load_data
from data.ingestion import IngestionReport, ingest_file, load_readings
from data.readings import COLUMNS, ReadingError, validate_readings

HEADER = ",".join(COLUMNS)
SRC = Path(ingestion.__file__).parents[1]


def row(hour, units="1.5", meter="M1", status="ok"):
    return f"{meter},2025-01-31T{hour:02}:00Z,{units},230.1,20,0.9,2,50,1,{status}"


@pytest.fixture(name="write")
def write_fixture(tmp_path):
    def write(*lines, name="file.csv"):
        path = tmp_path / name
        path.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
        return path

    return write


def query(engine, text):
    with engine.connect() as connection:
        return [tuple(found) for found in connection.execute(sa.text(text))]


def contents(engine):
    """Return all that ingestion may write, with the versions of the rows."""
    tables = ("readings", "meters", "quarantine_readings")
    return {t: query(engine, f"SELECT xmin::text, * FROM {t} ORDER BY 2, 3") for t in tables}


# --- once, twice, again


def test_sample_comes_back_as_it_was(engine):
    assert ingest_file(SAMPLE, engine) == IngestionReport(10_080, 10_080, 0, 0, 0)
    before = contents(engine)
    assert ingest_file(SAMPLE, engine) == IngestionReport(10_080, 0, 0, 10_080, 0)
    assert contents(engine) == before
    stored = validate_readings(load_readings(engine))
    assert data_hash(stored) == data_hash(load_data())
    pd.testing.assert_frame_equal(stored, load_data())


@pytest.mark.parametrize(
    ("name", "rows"), [("household_power.csv", 2_880), ("steel_industry.csv", 35_040)]
)
def test_real_set_comes_back_as_it_was(engine, real_data, name, rows):
    assert ingest_file(real_data / name, engine).inserted == rows
    assert data_hash(load_readings(engine)) == data_hash(load_data(real_data / name))


def test_floats_keep_every_bit(engine, write):
    values = ["0.1", "0.30000000000000004", "1e-300", "5e-324", "9999999.999999998", "0.0054333"]
    ingest_file(write(*(row(hour, value) for hour, value in enumerate(values))), engine)
    assert load_readings(engine)["units"].tolist() == [float(value) for value in values]


def test_corrected_file_updates_only_what_changed(engine, write):
    ingest_file(write(row(1), row(2), row(3)), engine)
    kept = query(engine, "SELECT xmin::text FROM readings WHERE reading_date::text LIKE '%01:00%'")
    report = ingest_file(write(row(1), row(2, "9"), row(3, ""), row(4)), engine)
    assert report == IngestionReport(4, 1, 2, 1, 0)
    assert load_readings(engine)["units"].astype(object).where(
        load_readings(engine)["units"].notna(), None
    ).tolist() == [1.5, 9, None, 1.5]
    assert (
        query(engine, "SELECT xmin::text FROM readings WHERE reading_date::text LIKE '%01:00%'")
        == kept
    )


def test_every_value_of_a_reading_can_be_corrected(engine, write):
    ingest_file(write(row(1)), engine)
    for changed in (
        "M1,2025-01-31T01:00Z,1.5,230.2,20,0.9,2,50,1,ok",
        "M1,2025-01-31T01:00Z,1.5,230.2,21,0.9,2,50,1,ok",
        "M1,2025-01-31T01:00Z,1.5,230.2,21,0.8,2,50,1,ok",
        "M1,2025-01-31T01:00Z,1.5,230.2,21,0.8,3,50,1,ok",
        "M1,2025-01-31T01:00Z,1.5,230.2,21,0.8,3,51,1,ok",
        "M1,2025-01-31T01:00Z,1.5,230.2,21,0.8,3,51,2,ok",
        "M1,2025-01-31T01:00Z,1.5,230.2,21,0.8,3,51,2,fault",
        "M1,2025-01-31T01:00Z,,,,,,,,",
    ):
        path = write(changed)
        assert ingest_file(path, engine) == IngestionReport(1, 0, 1, 0, 0), changed
        pd.testing.assert_frame_equal(load_readings(engine), load_data(path))


# --- bad lines


def test_bad_lines_are_quarantined_once_and_the_rest_is_loaded(engine, write):
    hostile = "'); DROP TABLE readings;--,x"
    path = write(row(1), row(2, "-1"), hostile, row(1, "8"), row(3), name="ü '$(x)'.csv")
    assert ingest_file(path, engine) == IngestionReport(5, 2, 0, 0, 3)
    before = contents(engine)
    assert ingest_file(path, engine) == IngestionReport(5, 0, 0, 2, 3)
    assert contents(engine) == before
    found = query(
        engine, "SELECT line, file_name, raw, reason FROM quarantine_readings ORDER BY line"
    )
    assert found == [
        (3, path.name, row(2, "-1"), "units is outside 0 to 1e+07 kWh"),
        (4, path.name, hostile, "2 fields instead of 10"),
        (5, path.name, row(1, "8"), "repeats the reading of line 2"),
    ]


# --- half-way


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda content: content[:-20], id="truncated"),
        pytest.param(lambda content: content.replace(b"T02", b"\xff02"), id="not-utf-8"),
        pytest.param(lambda content: content.replace(b"T02", b"\x0002"), id="nul"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: content.split(b"\n")[0], id="header-only"),
    ],
)
def test_broken_file_leaves_nothing(engine, write, spoil):
    path = write(row(1), row(2), row(3))
    path.write_bytes(spoil(path.read_bytes()))
    before = contents(engine)
    with pytest.raises(ReadingError, match="file.csv"):
        ingest_file(path, engine)
    assert contents(engine) == before == {t: [] for t in before}


def test_unreadable_file_leaves_nothing(engine, write, monkeypatch):
    def fail(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(ReadingError, match="read file.csv: Input/output error: check"):
        ingest_file(write(row(1)), engine)


@pytest.mark.parametrize("table", ["readings", "quarantine_readings", "meters"])
def test_failure_of_the_database_half_way_leaves_nothing(engine, write, table):
    ingest_file(write(row(1)), engine)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'disk full'; END $$"
            )
        )
        connection.execute(
            sa.text(
                f"CREATE TRIGGER refuse BEFORE INSERT ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION refuse()"
            )
        )
    before = contents(engine)
    with pytest.raises((psycopg.Error, sa.exc.SQLAlchemyError), match="disk full"):
        ingest_file(write(row(1, "7"), row(2), row(3, "x"), row(1, meter="M2")), engine)
    assert contents(engine) == before


def test_lost_connection_half_way_leaves_nothing(engine, write, monkeypatch):
    copy = ingestion._copy

    def cut(cursor, frame):
        copy(cursor, frame)
        with engine.connect() as other:
            other.execute(
                sa.text("SELECT pg_terminate_backend(:p)"),
                {"p": cursor.connection.info.backend_pid},
            )

    before = contents(engine)
    monkeypatch.setattr(ingestion, "_copy", cut)
    with pytest.raises((psycopg.Error, sa.exc.SQLAlchemyError)):
        ingest_file(write(row(1)), engine)
    monkeypatch.undo()
    assert contents(engine) == before
    assert ingest_file(write(row(1)), engine).inserted == 1


# --- at once


def test_two_ingestions_of_one_file_at_once(engine):
    barrier = threading.Barrier(3)

    def ingest(_):
        barrier.wait()
        return ingest_file(SAMPLE, engine)

    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(ingest, range(3)))
    assert sum(report.inserted for report in reports) == 10_080
    assert sum(report.updated for report in reports) == 0
    assert data_hash(load_readings(engine)) == data_hash(load_data())


def test_overlapping_files_in_opposite_order_do_not_deadlock(engine, write):
    keys = [(meter, hour) for meter in ("M1", "M2", "M3") for hour in range(24)]
    paths = [
        write(*(row(h, n, m) for m, h in order), name=f"{n}.csv")
        for n, order in ((1, keys), (2, keys[::-1]), (3, keys[36:] + keys[:36]))
    ]
    barrier = threading.Barrier(3)

    def ingest(path):
        barrier.wait()
        return ingest_file(path, engine)

    for _ in range(5):
        with ThreadPoolExecutor(3) as pool:
            reports = list(pool.map(ingest, paths))
        assert {report.read for report in reports} == {72}
        assert load_readings(engine)["units"].nunique() == 1  # one of them whole, no mixture


@pytest.mark.parametrize(("units", "updated"), [(1.5, 0), (9, 1)], ids=["same", "other"])
def test_row_that_another_program_writes_meanwhile(engine, write, units, updated):
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    path = write(row(1), row(2))
    with ThreadPoolExecutor(1) as pool, engine.connect() as other:
        other.execute(
            sa.text(
                "INSERT INTO readings VALUES "
                "('M1', '2025-01-31T01:00Z', :units, 230.1, 20, 0.9, 2, 50, 1, 'ok')"
            ),
            {"units": units},
        )
        report = pool.submit(ingest_file, path, engine)
        deadline = time.monotonic() + 30
        while query(engine, waiting) == [(0,)] and time.monotonic() < deadline:
            time.sleep(0.02)
        other.commit()
        assert report.result() == IngestionReport(2, 1, updated, 1 - updated, 0)
    assert load_readings(engine)["units"].tolist() == [1.5, 1.5]


# --- reading back


def test_load_readings_by_meter_and_time(engine, write):
    ingest_file(write(*(row(h, h, m) for m in ("b", "A", "a") for h in range(4))), engine)
    everything = validate_readings(load_readings(engine))
    assert everything["meter_id"].unique().tolist() == ["A", "a", "b"]
    part = load_readings(
        engine,
        meter_ids=["a"],
        since=pd.Timestamp("2025-01-31 01:00", tz="UTC"),
        until=pd.Timestamp("2025-01-31 03:00", tz="UTC"),
    )
    assert part["units"].tolist() == [1, 2] and set(part["meter_id"]) == {"a"}
    assert len(load_readings(engine, meter_ids=[])) == 0


def test_zone_is_that_of_the_meters(engine, write, tmp_path):
    empty = load_readings(engine)
    assert list(empty.columns) == COLUMNS and str(empty["reading_date"].dt.tz) == "UTC"
    ingest_file(write(row(1)), engine)
    house = tmp_path / "house.csv"
    house.write_text(
        "Date,Time,Global_active_power,Global_reactive_power,Voltage\n1/2/2007,00:00:00,1,0,230\n"
    )
    ingest_file(house, engine)
    with pytest.raises(ReadingError, match="meters lie in Europe/Berlin, Europe/Paris"):
        load_readings(engine)
    assert str(load_readings(engine, meter_ids=["M1"])["reading_date"].dt.tz) == "Europe/Berlin"
    assert str(load_readings(engine, zone="UTC")["reading_date"].dt.tz) == "UTC"
    assert query(engine, "SELECT * FROM meters ORDER BY meter_id") == [
        ("M1", "sample", "Europe/Berlin", 3600),
        ("household", "household", "Europe/Paris", 60),
    ]


# --- the command line


def command(*arguments, url):
    return subprocess.run(
        [sys.executable, "-m", "data.ingestion", *map(str, arguments)],
        cwd=SRC,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_loads_a_file(database_url, write):
    done = command(write(row(1), row(2, "x")), "--source", "sample", url=database_url)
    assert (done.returncode, done.stdout) == (
        0,
        "2 read: 1 inserted, 0 updated, 0 unchanged, 1 quarantined\n",
    )
    assert "file.csv, line 3: units is not a number" in done.stderr


@pytest.mark.parametrize(
    ("lines", "options", "code", "message"),
    [
        pytest.param([], [], 2, "has a header but no rows", id="header-only"),
        pytest.param([row(1, "x")], [], 2, "1 read: 0 inserted", id="nothing-good"),
        pytest.param([row(1)], ["--source", "vic"], 2, "not vic data", id="other-source"),
        pytest.param([row(1)], ["--zone", "Mars/Base"], 2, "unknown zone", id="zone"),
        pytest.param([row(1)], ["--zone", "Asia/Tokyo"], 0, "1 inserted", id="good-zone"),
        pytest.param(
            *([row(1)], ["--zone", "Asia/Tokyo", "--source", "sample"], 0, "1 inserted"),
            id="zone-and-source",
        ),
    ],
)
def test_exit_codes(database_url, write, monkeypatch, capsys, lines, options, code, message):
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert ingestion.main([str(write(*lines)), *options]) == code
    told = capsys.readouterr()
    assert message in told.out + told.err and "Traceback" not in told.err


def test_zone_of_the_command_reaches_the_meter(engine, database_url, write, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert ingestion.main([str(write(row(1))), "--zone", "Asia/Tokyo"]) == 0
    assert load_readings(engine)["reading_date"][0].isoformat() == "2025-01-31T10:00:00+09:00"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        pytest.param("", 2, id="not-configured"),
        pytest.param("mysql://u:geheim@h/d", 2, id="other-database"),
        pytest.param("postgresql://u:geheim@127.0.0.1:1/d", 3, id="nobody-answers"),
    ],
)
def test_database_that_can_not_be_used(write, monkeypatch, capsys, url, code):
    monkeypatch.setenv("DATABASE_URL", url)
    assert ingestion.main([str(write(row(1)))]) == code
    told = capsys.readouterr()
    assert told.err.startswith("error: ") and "geheim" not in told.out + told.err
