"""Training against a real MLflow: a SQLite store and, once, a server of its own process."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest

from data.create_datasets import create_dataset, load_data
from data.features import FEATURES
from model_support import REQUEST, constant_graph, make_artifact, make_readings, store, wrap
from models import report
from models.artifact import CLASSIFICATION, REGRESSION, ModelArtifact, ModelError
from models.inference import Predictor, export_champions, load_latest_model
from models.metrics import improvement
from models.registry import Registry, RegistryError, RunRecord
from models.train import main, train_logistic_regression, train_regression
from monitoring.drift import DriftBaseline
from ports import free_port

# MLflow 3.17 uses a loader strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

RECORD = RunRecord("test", "by hand", {"p": 1}, {"mae": 1.0}, {"decision": "by hand"})


@pytest.fixture(name="uri")
def _uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    uri = store(tmp_path / "registry")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.delenv("MODEL_DIR")
    return uri


def enthrone(artifact: ModelArtifact) -> int:
    """Make an artifact the champion without asking whether it is any good."""
    registry, name = Registry(), artifact.metadata.name
    run_id, _ = registry.log_run(RECORD, artifact)
    number = registry.register(name, run_id, {})
    registry.promote(name, number, registry.champion_number(name))
    return number


def test_first_good_model_becomes_champion_and_serves(uri: str) -> None:
    readings = make_readings()
    found = train_regression(readings)
    assert found.registered and found.metrics["mae"] < found.baseline_metrics["mae"]
    assert found.champion_metrics is None and "there was no champion" in found.reason
    predictor = load_latest_model()
    assert predictor.version == found.version
    test = create_dataset(readings).split()[1]
    error = np.abs(predictor.predict(test.X) - test.y).mean()
    assert error == pytest.approx(found.metrics["mae"]), "what is served is what was measured"
    assert predictor.predict_one(REQUEST) >= 0


def test_run_holds_the_decision_with_its_numbers(uri: str, caplog) -> None:
    with caplog.at_level(logging.INFO, "models.train"):
        found = train_logistic_regression(make_readings())
    assert f"meter-high-consumption promoted: {found.reason}" in caplog.text
    client = mlflow.MlflowClient(uri, uri)
    run = client.get_run(found.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["log_loss"] == found.metrics["log_loss"]
    assert run.data.metrics["baseline_log_loss"] == found.baseline_metrics["log_loss"]
    assert run.data.metrics["twelve_log_loss"] == found.twelve_metrics["log_loss"]
    assert run.data.params["high_quantile"] == "0.8"
    assert int(run.data.params["train_rows"]) == found.train_rows
    assert run.data.tags["decision"] == "promoted"
    assert run.data.tags["reason"] == found.reason
    version = client.get_model_version_by_alias("meter-high-consumption", "champion")
    assert version.run_id == found.run_id
    assert version.tags["artifact_version"] == found.version
    assert run.data.tags["registered_version"] == str(version.version)


def test_metadata_say_what_the_model_was_made_from(uri: str, monkeypatch) -> None:
    monkeypatch.setenv("GIT_SHA", "c0ffee")
    train_logistic_regression(make_readings())
    metadata = load_latest_model("meter-high-consumption").metadata
    assert metadata.git_sha == "c0ffee" and len(metadata.data_hash) == 64
    assert metadata.features == FEATURES
    assert set(metadata.thresholds) == {"MTR-0", "MTR-1"}
    assert metadata.trained_from < metadata.trained_until < metadata.created
    assert metadata.trained_from.startswith("2025-04-06T23:00:00+00:00"), "the first has no past"
    drift = DriftBaseline.from_dict(metadata.drift_baseline, FEATURES)
    assert drift.shares[FEATURES.index("frequency_hz")][-1] == 1, "always missing in training"
    assert "units_lag_week" in drift.optional and "voltage" not in drift.optional


def test_same_data_again_do_not_beat_the_champion(uri: str) -> None:
    first = train_regression(make_readings())
    again = train_regression(make_readings())
    assert not again.registered
    assert again.champion_metrics == again.metrics == first.metrics
    assert "does not beat the champion's" in again.reason
    assert load_latest_model().version == first.version
    client = mlflow.MlflowClient(uri, uri)
    assert client.get_run(again.run_id).data.tags["decision"] == "rejected"
    assert client.get_run(again.run_id).data.metrics["champion_mae"] == first.metrics["mae"]
    assert len(client.search_model_versions("name = 'meter-regression'")) == 1


@pytest.mark.parametrize("answer", [1.0, float("nan")], ids=["constant", "no-number"])
def test_worse_champion_is_replaced(uri: str, answer: float) -> None:
    enthrone(wrap(constant_graph(answer), "meter-regression", REGRESSION))
    found = train_regression(make_readings())
    assert found.registered and not found.champion_metrics["mae"] <= found.metrics["mae"]
    assert load_latest_model().version == found.version


def test_champion_that_may_know_the_test_rows_is_pointed_out(uri: str) -> None:
    late = {"trained_until": "2025-12-31T00:00:00+00:00"}
    enthrone(wrap(constant_graph(1.0), "meter-regression", REGRESSION, **late))
    assert "trained on data as late as the test rows" in train_regression(make_readings()).reason


def test_model_that_loses_to_the_baseline_is_not_registered(uri: str) -> None:
    """Readings that repeat every week exactly: last week's are the perfect forecast."""
    found = train_regression(make_readings(noise=0))
    assert not found.registered and found.baseline_metrics["mae"] == pytest.approx(0, abs=1e-6)
    assert "does not beat the baseline's" in found.reason
    with pytest.raises(ModelError, match="no champion is registered"):
        load_latest_model()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"schema_version": 99}, id="schema"),
        pytest.param({"features": FEATURES[::-1]}, id="features"),
    ],
)
def test_champion_of_another_code_does_not_bar_its_successor(uri: str, changes: dict) -> None:
    old = make_artifact()
    enthrone(replace(old, metadata=replace(old.metadata, **changes)))
    with pytest.raises(ModelError, match="train the model again"):
        load_latest_model()
    found = train_regression(make_readings())
    assert found.registered and "the champion is no rival" in found.reason
    assert load_latest_model().version == found.version


def test_damaged_champion_is_an_error_and_stays(uri: str) -> None:
    old = make_artifact()
    number = enthrone(replace(old, metadata=replace(old.metadata, model_sha256="0" * 64)))
    with pytest.raises(ModelError, match="damaged"):
        train_regression(make_readings())
    assert Registry().champion_number("meter-regression") == number


def test_champion_whose_files_are_lost_is_an_error(uri: str, tmp_path: Path) -> None:
    enthrone(make_artifact())
    for file in (tmp_path / "registry" / "mlartifacts").rglob("model.onnx"):
        file.unlink()
    with pytest.raises(ModelError, match="model.onnx"):
        load_latest_model()


def test_champion_that_changed_meanwhile_is_not_overwritten(uri: str) -> None:
    first = enthrone(make_artifact())
    second = enthrone(make_artifact())
    with pytest.raises(RegistryError, match=f"became version {second} while .* with {first}"):
        Registry().promote("meter-regression", first, replacing=first)
    assert Registry().champion_number("meter-regression") == second


def test_store_that_fails_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_bytes(b"this is no database " * 100)
    with pytest.raises(RegistryError, match="reach MLflow at sqlite:///.*/no.db.*not a database"):
        Registry(f"sqlite:///{tmp_path / 'no.db'}", patience=0.1)


def test_run_whose_files_cannot_be_stored_is_marked_failed(uri: str, monkeypatch) -> None:
    def disk_full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(ModelArtifact, "save", disk_full)
    with pytest.raises(RegistryError, match="log run .*no space left"):
        Registry().log_run(RECORD, make_artifact())
    client = mlflow.MlflowClient(uri, uri)
    (run,) = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert run.info.status == "FAILED"


def test_champions_are_exported_for_the_image(uri: str, tmp_path: Path, monkeypatch) -> None:
    target = tmp_path / "image" / "models"
    enthrone(make_artifact(REGRESSION))
    with pytest.raises(ModelError, match="meter-high-consumption: no champion"):
        export_champions(target)
    assert not target.exists(), "half an export"
    enthrone(make_artifact(CLASSIFICATION))
    versions = export_champions(target)
    assert set(versions) == {"meter-regression", "meter-high-consumption"}
    monkeypatch.setenv("MODEL_DIR", str(target))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for name, version in versions.items():
        assert load_latest_model(name).version == version
    answers = json.loads((target / "answers.json").read_text("utf-8"))
    predictor = load_latest_model("meter-regression")
    assert [predictor.predict_one(each["request"]) for each in answers] == [
        each["units_kwh"] for each in answers
    ]


def test_command_trains_both_on_the_sample(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed.count("champion ") >= 2 and "MAE, kWh" in printed and "log-loss" in printed
    for name in ("meter-regression", "meter-high-consumption"):
        assert 0 <= load_latest_model(name).predict_one(REQUEST)


def test_report_keeps_its_runs_where_told(uri: str) -> None:
    rows = report.train_both("sample", None, uri)
    assert [result.model for _, result in rows] == ["meter-regression", "meter-high-consumption"]
    assert all(name == "sample" and result.registered for name, result in rows)
    client = mlflow.MlflowClient(uri, uri)
    assert client.get_experiment_by_name("report-sample") is not None


def test_steel_regression_beats_the_seasonal_baseline(uri: str, real_data: Path) -> None:
    found = train_regression(load_data(real_data / "steel_industry.csv"))
    baseline = found.baseline_metrics["mae"]
    assert improvement(found.metrics["mae"], baseline) >= 0.6
    assert improvement(found.twelve_metrics["mae"], baseline) >= 0.6
    assert found.metrics["mae"] < found.last_interval_metrics["mae"]
    assert found.test_rows == pytest.approx(35_040 / 5, rel=0.01)


@pytest.mark.parametrize("name", ["steel", "household", "vic"])
def test_high_consumption_model_beats_prevalence(uri: str, real_data: Path, name: str) -> None:
    found = train_logistic_regression(load_data(real_data / report.REAL_SETS[name]))
    assert found.registered and found.metrics["auc"] > 0.95


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow-server")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", store(folder)]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            try:
                Registry(address, patience=150)
            except RegistryError as error:
                pytest.fail(f"{error}\n{(folder / 'log').read_text()[-4000:]}")
            yield address
        finally:
            os.killpg(process.pid, 15)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


def test_server_keeps_the_champion(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.delenv("MODEL_DIR")
    found = train_logistic_regression(make_readings())
    assert found.registered and found.artifact_uri.startswith("mlflow-artifacts:/")
    predictor = load_latest_model("meter-high-consumption")
    assert isinstance(predictor, Predictor) and predictor.version == found.version
    again = train_logistic_regression(make_readings())
    assert not again.registered and again.champion_metrics == found.metrics
