"""Small readings, models and registries for the tests of the models; made once per process."""

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

from data.create_datasets import Dataset, create_dataset
from data.features import FEATURES, OPTIONAL
from models.artifact import REGRESSION, ModelArtifact, ModelMetadata, checksum
from models.candidate import Candidate, fit_classification_candidate, fit_regression_candidate
from models.registry import Registry
from monitoring.drift import DriftBaseline

#: A complete request in the twelve fields.
REQUEST = {
    "voltage": 230.0,
    "temperature": 18.0,
    "power_factor": 0.95,
    "load_kw": 2.0,
    "frequency_hz": 50.0,
    "hour": 19,
    "day_of_week": 2,
    "is_weekend": 0,
    "voltage_flag": 1,
    "pf_issue": 0,
    "high_temp": 0,
    "load_intensity": 1.1,
}


def make_readings(days: int = 35, meters: int = 2, noise: float = 0.05) -> pd.DataFrame:
    """Hourly readings with a daily and a weekly shape; `noise` 0 repeats every week exactly."""
    random = np.random.default_rng(7)
    frames = []
    for meter in range(meters):
        starts = pd.date_range("2025-04-07", periods=24 * days, freq="h", tz="Europe/Berlin")
        hour, day = starts.hour.to_numpy(), starts.day_of_week.to_numpy()
        shape = 1 + 0.6 * np.sin(2 * np.pi * (hour - 7) / 24) + 0.4 * (hour == 19)
        units = (meter + 1) * shape * np.where(day >= 5, 0.7, 1.0)
        # A level that wanders makes last week a poor forecast and the last hour a fair one.
        level = np.convolve(random.normal(0, noise, len(units)), 0.95 ** np.arange(100))
        units = np.maximum(units + (meter + 1) * level[: len(units)], 0.01)
        frames.append(
            pd.DataFrame(
                {
                    "meter_id": pd.array([f"MTR-{meter}"] * len(units), dtype="string"),
                    "reading_date": starts,
                    "units": units,
                    "voltage": 230.0 + random.normal(0, 2, len(units)),
                    "temperature": 15.0 + random.normal(0, 3, len(units)),
                    "power_factor": 0.95,
                    "load_kw": units,
                    "frequency_hz": np.nan,
                    "phase": pd.array([1] * len(units), dtype="Int64"),
                    "status": "ok",
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


@cache
def dataset_parts() -> tuple[Dataset, Dataset]:
    """The training and the test part of the small readings."""
    return create_dataset(make_readings()).split()


def fit_candidate(kind: str) -> Candidate:
    """A small model, fitted anew."""
    fit = fit_regression_candidate if kind == REGRESSION else fit_classification_candidate
    return fit(*dataset_parts())


def candidate(kind: str = REGRESSION) -> Candidate:
    """A small model that was really fitted, the same for all tests."""
    return _candidate(kind)


def make_artifact(kind: str = REGRESSION) -> ModelArtifact:
    """The artifact of `candidate(kind)`."""
    return _artifact(kind)


# With all arguments, since a cache takes f() and f(default) for two calls.
_candidate = cache(fit_candidate)


@cache
def _artifact(kind: str) -> ModelArtifact:
    made = candidate(kind)
    return wrap(made.model, made.name, kind)


def wrap(model: bytes, name: str, kind: str, **changes: object) -> ModelArtifact:
    """An artifact around a graph, with plausible metadata."""
    baseline = DriftBaseline.from_matrix(dataset_parts()[0].X, FEATURES, OPTIONAL)
    metadata = ModelMetadata(
        name=name,
        version="20250101T000000Z-test",
        kind=kind,
        created="2025-01-01T00:00:00+00:00",
        git_sha="0" * 40,
        data_hash="1" * 64,
        scikit_learn="1.9.1",
        onnx_opset=21,
        trained_from="2025-04-06T23:00:00+00:00",
        trained_until="2025-04-20T00:00:00+00:00",
        metrics={"mae": 0.5},
        baseline_metrics={"mae": 1.0},
        drift_baseline=baseline.to_dict(),
        model_sha256=checksum(model),
        thresholds={"MTR-0": 1.5},
    )
    return ModelArtifact(model, replace(metadata, **changes))


def constant_graph(*outputs: float, inputs: int = len(FEATURES), names: int = 1) -> bytes:
    """A graph that answers every row of `inputs` numbers with `outputs`, under `names` names."""
    weights = numpy_helper.from_array(np.zeros((inputs, len(outputs)), np.float32), "weights")
    bias = numpy_helper.from_array(np.array(outputs, np.float32), "bias")
    results = [f"answer{index}" for index in range(names)]
    graph = helper.make_graph(
        [
            # Of missing values too: NaN * 0 would be NaN.
            helper.make_node("IsNaN", ["X"], ["missing"]),
            helper.make_node("Cast", ["missing"], ["numbers"], to=TensorProto.FLOAT),
            *(helper.make_node("Gemm", ["numbers", "weights", "bias"], [name]) for name in results),
        ],
        "constant",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, inputs])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, len(outputs)])
            for name in results
        ],
        [weights, bias],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@cache
def _empty_store() -> Path:
    """An MLflow database with its tables: making them takes seconds, copying them none."""
    folder = Path(tempfile.mkdtemp(prefix="meter-mlflow-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Registry(f"sqlite:///{folder / 'mlflow.db'}").champion_number("meter-regression")
    return folder / "mlflow.db"


def store(folder: Path) -> str:
    """The URI of a fresh MLflow SQLite store in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(_empty_store(), folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"
