"""The training and inference DAGs end to end: sample, PostgreSQL, MLflow's SQLite store."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("meter-regression", "meter-high-consumption")


def predictions(engine: sa.Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(
            connection.execute(sa.text("SELECT * FROM predictions ORDER BY meter_id, created_at"))
        )


def test_from_readings_to_champions_to_predictions(
    run_dag: Callable[..., Any], engine: sa.Engine, tmp_path: Path
) -> None:
    from data.create_datasets import load_data, next_features
    from data.features import FEATURES
    from models.inference import load_latest_model
    from models.registry import Registry

    # The registry doesn't exist yet here: the DAG makes it.
    ingestion = run_dag(
        "data_pipeline", incoming_dir=str(ROOT / "data"), pattern="sample_readings.csv"
    )
    assert ingestion.state == "success"
    with engine.connect() as connection:
        newest = dict(
            connection.execute(
                sa.text("SELECT meter_id, max(reading_date) FROM readings GROUP BY 1")
            ).all()
        )

    training = run_dag("training_pipeline")
    assert training.state == "success"
    assert training.returned["check_registry"] == dict.fromkeys(MODELS)
    assert training.returned["take_snapshot"]["meters"] == len(newest)
    decided = training.returned["decide"]
    for name in MODELS:
        champion = Registry().champion(name)
        assert champion is not None
        assert decided[name]["decision"] == "promoted"
        assert decided[name]["champion_after"] == champion.number == 1
        assert decided[name]["run_id"] == champion.run_id
        assert champion.artifact.metadata.data_hash == (
            training.returned["take_snapshot"]["data_hash"]
        )
    assert list((tmp_path / "work").iterdir()) == []

    inference = run_dag("inference_pipeline")
    assert inference.state == "success"
    report = inference.returned["validate_predictions"]
    assert (report["predicted"], report["changed"]) == (len(newest), len(newest))
    made = predictions(engine)
    assert {row.meter_id for row in made} == set(newest)
    for row in made:
        assert (row.reading_date - newest[row.meter_id]).total_seconds() == 3600
        assert row.units_kwh >= 0
        assert 0 <= row.high_consumption_probability <= 1
        versions = inference.returned["load_champions"]
        assert row.model_version == "+".join(versions[name] for name in MODELS)

    # What was predicted from the last week of the database is what the whole file gives.
    upcoming = next_features(load_data())
    expected = load_latest_model().predict(upcoming[list(FEATURES)].to_numpy("float32"))
    assert [row.units_kwh for row in made] == pytest.approx(expected.tolist(), rel=1e-6)

    again = run_dag("inference_pipeline")
    assert again.returned["validate_predictions"]["changed"] == 0
    assert predictions(engine) == made

    # A correction that arrives late corrects the prediction, and that one only.
    corrected = sorted(newest)[0]
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE readings SET units = units * 3 + 1 "
                "WHERE meter_id = :meter AND reading_date = :last"
            ),
            {"meter": corrected, "last": newest[corrected]},
        )
    after = run_dag("inference_pipeline")
    assert after.returned["validate_predictions"]["changed"] == 1
    differing = [new for new, old in zip(predictions(engine), made, strict=True) if new != old]
    assert [row.meter_id for row in differing] == [corrected]

    # The same readings again: equal, not better, hence not promoted, and the run is no failure.
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE readings SET units = (units - 1) / 3 "
                "WHERE meter_id = :meter AND reading_date = :last"
            ),
            {"meter": corrected, "last": newest[corrected]},
        )
    second = run_dag("training_pipeline")
    assert second.state == "success"
    for name in MODELS:
        assert second.returned["decide"][name]["decision"] == "rejected"
        assert "does not beat the champion" in second.returned["decide"][name]["reason"]
        assert second.returned["decide"][name]["champion_after"] == 1


def test_training_on_the_sample_needs_no_database(
    run_dag: Callable[..., Any], registry: Any
) -> None:
    run = run_dag("training_pipeline", readings="sample")
    assert run.state == "success"
    assert {one["decision"] for one in run.returned["decide"].values()} == {"promoted"}


@pytest.mark.parametrize(
    "conf",
    [
        pytest.param({"min_rows": 1_000_000}, id="too few"),
        pytest.param({"zone": "Asia/Seoul"}, id="no meter in the zone"),
    ],
)
def test_too_few_readings_train_nothing(
    run_dag: Callable[..., Any], stored: sa.Engine, registry: Any, conf: dict[str, Any]
) -> None:
    run = run_dag("training_pipeline", **conf)
    assert run.state == "failed"
    assert run.tasks["take_snapshot"] == "failed"
    assert run.tasks["train_regression"] == "upstream_failed"


def test_failed_training_fails_the_run_and_leaves_no_file(
    run_dag: Callable[..., Any], registry: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import jobs.training as job

    def broken(_: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr(job, "TRAINERS", {**job.TRAINERS, "regression": broken})
    run = run_dag("training_pipeline", readings="sample")
    assert run.state == "failed"
    assert run.tasks["train_regression"] == "failed"
    assert run.tasks["train_high_consumption"] == "success"
    assert run.tasks["decide"] == "upstream_failed"
    assert run.tasks["remove_snapshot"] == "success"
    assert list((tmp_path / "work").iterdir()) == []


def test_registry_out_of_reach_fails_before_any_work(
    run_dag: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{taken.getsockname()[1]}")
        run = run_dag("training_pipeline", retries=0, readings="sample")
    assert run.state == "failed"
    assert run.tasks["check_registry"] == "failed"
    assert run.tasks["take_snapshot"] == "upstream_failed"


def test_inference_without_champions_is_a_failure(
    run_dag: Callable[..., Any], stored: sa.Engine, registry: Any
) -> None:
    run = run_dag("inference_pipeline", retries=0)
    assert run.state == "failed"
    assert run.tasks["load_champions"] == "failed"
    assert predictions(stored) == []
