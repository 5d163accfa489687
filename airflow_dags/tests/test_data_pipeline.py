"""The data DAG end to end: real files into a real PostgreSQL."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample_readings.csv"


@pytest.fixture
def incoming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that METER_INCOMING_DIR names."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    monkeypatch.setenv("METER_INCOMING_DIR", str(folder))
    return folder


def part(folder: Path, name: str, start: int, stop: int, *extra: str) -> Path:
    """Write the lines start:stop of the sample, and these, under its header."""
    header, *lines = SAMPLE.read_text("utf-8").splitlines()
    path = folder / name
    path.write_text("\n".join([header, *lines[start:stop], *extra]) + "\n", "utf-8")
    return path


def count(engine: sa.Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(sa.text(f"SELECT count(*) FROM {table}")))


def test_files_are_loaded_once_however_often_it_runs(
    run_dag: Callable[..., Any], engine: sa.Engine, incoming: Path
) -> None:
    part(incoming, "b.csv", 0, 300)
    part(incoming, "a.csv", 200, 500)
    part(incoming, "unfinished.csv.part", 500, 600)

    first = run_dag("data_pipeline")
    assert first.state == "success"
    assert [Path(path).name for path in first.returned["find_files"]] == ["a.csv", "b.csv"]
    assert first.returned["validate_counts"] == {
        "files": 2,
        "read": 600,
        "inserted": 500,
        "updated": 0,
        "unchanged": 100,
        "quarantined": 0,
        "stored": 500,
    }

    again = run_dag("data_pipeline")
    assert again.state == "success"
    total = again.returned["validate_counts"]
    assert (total["inserted"], total["updated"], total["unchanged"]) == (0, 0, 600)
    assert count(engine, "readings") == 500


def test_bad_row_is_quarantined_and_the_rest_loaded(
    run_dag: Callable[..., Any], engine: sa.Engine, incoming: Path
) -> None:
    part(incoming, "a.csv", 0, 99, "meter-x,yesterday,1,230,20,0.9,1,50,1,ok")
    run = run_dag("data_pipeline")
    assert run.state == "success"
    assert run.returned["validate_counts"]["quarantined"] == 1
    assert (count(engine, "readings"), count(engine, "quarantine_readings")) == (99, 1)


def test_too_many_bad_rows_fail_the_run(
    run_dag: Callable[..., Any], engine: sa.Engine, incoming: Path
) -> None:
    part(incoming, "a.csv", 0, 99, "meter-x,yesterday,1,230,20,0.9,1,50,1,ok")
    run = run_dag("data_pipeline", max_quarantined_share=0.005)
    assert run.state == "failed"
    assert run.tasks["ingest"] == "success"
    assert run.tasks["validate_counts"] == "failed"
    assert count(engine, "readings") == 99


def test_unusable_file_fails_the_run_but_keeps_no_other_out(
    run_dag: Callable[..., Any], engine: sa.Engine, incoming: Path
) -> None:
    (incoming / "a.csv").write_bytes(b"\xff\xfe not a table")
    part(incoming, "b.csv", 0, 50)
    run = run_dag("data_pipeline")
    assert run.state == "failed"
    assert run.tasks == {
        "find_files": "success",
        "ingest": "failed",
        "validate_counts": "upstream_failed",
    }
    assert len(run.returned["ingest"]) == 1
    assert count(engine, "readings") == 50


def test_empty_folder_is_a_skip(
    run_dag: Callable[..., Any], engine: sa.Engine, incoming: Path
) -> None:
    run = run_dag("data_pipeline")
    assert run.state == "success"
    assert set(run.tasks.values()) == {"skipped"}


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param("missing", id="missing folder"),
        pytest.param("relative", id="relative folder"),
        pytest.param("unset", id="no folder configured"),
    ],
)
def test_no_folder_is_a_failure_at_once(
    run_dag: Callable[..., Any],
    engine: sa.Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
) -> None:
    told = {"missing": str(tmp_path / "nowhere"), "relative": "incoming"}.get(folder)
    if told:
        monkeypatch.setenv("METER_INCOMING_DIR", told)
    run = run_dag("data_pipeline")
    assert run.state == "failed"
    assert run.tasks["find_files"] == "failed"


def test_parameters_choose_folder_pattern_and_source(
    run_dag: Callable[..., Any], engine: sa.Engine, tmp_path: Path
) -> None:
    part(tmp_path, "north.csv", 0, 20)
    shutil.copy(SAMPLE, tmp_path / "all.csv")
    run = run_dag("data_pipeline", incoming_dir=str(tmp_path), pattern="north*", source="sample")
    assert run.state == "success"
    assert count(engine, "readings") == 20


def test_missing_database_url_is_a_failure(run_dag: Callable[..., Any], incoming: Path) -> None:
    part(incoming, "a.csv", 0, 20)
    run = run_dag("data_pipeline", retries=0)
    assert run.state == "failed"
    assert run.tasks["ingest"] == "failed"
