"""How long the models take; the limits are judged by the pipeline's benchmark stage.

Each benchmark checks the answer, so that an empty loop can't pass for a fast model.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.features import FEATURES, OPTIONAL, request_matrix
from model_support import REQUEST, make_artifact
from models.artifact import CLASSIFICATION, REGRESSION
from models.inference import Predictor, load_latest_model
from monitoring.drift import DriftBaseline, DriftMonitor

NAMES = {REGRESSION: "meter-regression", CLASSIFICATION: "meter-high-consumption"}


def measure(benchmark, action: Callable, rounds: int, warmup: int = 20):
    """Run `action` once a round, so that the percentiles are those of single calls."""
    return benchmark.pedantic(action, rounds=rounds, iterations=1, warmup_rounds=warmup)


@pytest.fixture(name="model_dir", params=[REGRESSION, CLASSIFICATION])
def _model_dir(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = NAMES[request.param]
    make_artifact(request.param).save(tmp_path / name)
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    return name


def test_model_load(benchmark, model_dir: str) -> None:
    predictor = measure(benchmark, lambda: load_latest_model(model_dir), rounds=50, warmup=3)
    assert predictor.metadata.name == model_dir


def test_single_prediction(benchmark, model_dir: str) -> None:
    predictor = load_latest_model(model_dir)
    answer = measure(benchmark, lambda: predictor.predict_one(REQUEST), rounds=5000)
    assert answer == predictor.predict_one(REQUEST) and np.isfinite(answer)


def test_batch_of_100(benchmark, model_dir: str) -> None:
    predictor = load_latest_model(model_dir)
    requests = [{**REQUEST, "hour": index % 24} for index in range(100)]
    answer = measure(benchmark, lambda: predictor.predict(request_matrix(requests)), rounds=1000)
    assert answer.shape == (100,) and len(set(answer.tolist())) > 1


def test_drift_observation(benchmark) -> None:
    rows = np.random.default_rng(0).normal(size=(5000, len(FEATURES)))
    baseline = DriftBaseline.from_matrix(rows, FEATURES, OPTIONAL)
    monitor = DriftMonitor(baseline)
    row = rows[:1].astype(np.float32)
    measure(benchmark, lambda: monitor.observe(row), rounds=5000)
    for _ in range(1000):  # a full window, also where the benchmark ran only once
        monitor.observe(row)
    assert monitor.psi()["voltage"] > 1, "one and the same row is a drift"


def test_predictor_answers_a_year_at_once(benchmark) -> None:
    predictor = Predictor(make_artifact())
    rows = np.zeros((8760, len(FEATURES)), np.float32)
    assert measure(benchmark, lambda: predictor.predict(rows), 20, 2).shape == (8760,)
