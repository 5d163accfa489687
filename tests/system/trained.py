"""What training hands on: results, requests with the predictions that are expected, the champion.

The stage reads `trained/<set>.json` (internal/handover in the pipeline): the models of one data
set with their metrics, and where their files and the requests are.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from hops import ROOT, fetch, leave, left

from api.schemas import EXAMPLE
from data import features as ft
from data.create_datasets import Dataset, create_features
from models.artifact import (
    CLASSIFICATION,
    HIGH_CONSUMPTION_MODEL,
    REGRESSION_MODEL,
    ModelArtifact,
    ModelError,
)
from models.inference import Predictor

# The field of the API's answer that each model is behind.
ANSWERS = {
    REGRESSION_MODEL: "units_kwh",
    HIGH_CONSUMPTION_MODEL: "high_consumption_probability",
}
REQUESTS = 200  # of a set; the benchmark sends them, too
WHOLE = ("hour", "day_of_week", "is_weekend", "voltage_flag", "pf_issue", "high_temp")
FIELDS = ft.REQUIRED + ft.OPTIONAL


def artifact_of_run(uri: str, folder: Path) -> ModelArtifact:
    """The model files of a training run, fetched from the MLflow server by plain HTTP."""
    path = uri.removeprefix("mlflow-artifacts:/")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.onnx", "metadata.json"):
        content = fetch(f"/api/2.0/mlflow-artifacts/artifacts/{path}/{name}")
        (folder / name).write_bytes(content)
    return ModelArtifact.load(folder)


def requests(readings: pd.DataFrame, test: Dataset) -> list[dict[str, Any]]:
    """Bodies for /predict from the first readings that training has not seen.

    Where a data set lacks a measurement, which a client has to send, it is the documented
    example's. Beside the body there are the model's input, by name, and whether it was completed.
    """
    chosen = test.meta.iloc[np.linspace(0, len(test) - 1, REQUESTS).astype(int)]
    made = create_features(readings).merge(chosen, on=["meter_id", "reading_date"])
    return [_request(row._asdict()) for row in made.itertuples(index=False)]


def _request(row: Mapping[str, Any]) -> dict[str, Any]:
    missing = [name for name in ft.MEASUREMENTS if math.isnan(row[name])]
    values = {name: float(row[name]) for name in ft.FEATURES}
    values |= {name: float(EXAMPLE[name]) for name in missing}
    values["voltage_flag"] = float(ft.voltage_flag(values["voltage"]))
    values["pf_issue"] = float(ft.pf_issue(values["power_factor"]))
    values["high_temp"] = float(ft.high_temp(values["temperature"]))
    if "load_kw" in missing:
        values["load_intensity"] = float(ft.load_intensity(row["units_lag_1"], values["load_kw"]))
    body = {name: values[name] for name in FIELDS if not math.isnan(values[name])}
    body |= {name: int(body[name]) for name in WHOLE}
    inputs = {name: None if math.isnan(value) else value for name, value in values.items()}
    return {"body": body, "inputs": inputs, "completed": missing}


def predict(artifact: ModelArtifact, rows: list[dict[str, Any]]) -> list[float]:
    """What training's model says of the inputs, one by one.

    The columns are put in the order that the model's own metadata state, not by serving's code,
    and cast to float32 as training casts them.
    """
    predictor, order = Predictor(artifact), artifact.metadata.features
    matrix = np.array([[row["inputs"][name] for name in order] for row in rows], np.float64)
    return [float(predictor.predict(row[np.newaxis].astype(np.float32))[0]) for row in matrix]


def leave_trained(
    name: str,
    data: Path,
    readings: pd.DataFrame,
    test: Dataset,
    results: list[Any],
    artifacts: list[ModelArtifact],
) -> None:
    """Leave what later hops and stages need of one data set."""
    rows = requests(readings, test)
    leave(f"requests/{name}.json", [row["body"] for row in rows])
    expected = {ANSWERS[made.metadata.name]: predict(made, rows) for made in artifacts}
    leave(f"expected/{name}.json", expected)
    inside = data.is_relative_to(ROOT)
    leave(
        f"trained/{name}.json",
        {
            "name": name,
            "data": data.relative_to(ROOT).as_posix() if inside else str(data),
            "data_sha256": hashlib.sha256(data.read_bytes()).hexdigest(),
            "models": f"models/{name}",
            "requests": f"requests/{name}.json",
            "trained": [
                {
                    "name": result.model,
                    "kind": made.metadata.kind,
                    "version": result.version,
                    "score": result.score,
                    "train_rows": result.train_rows,
                    "test_rows": result.test_rows,
                    "metrics": _plain(result.metrics),
                    "baseline_metrics": _plain(result.baseline_metrics),
                    "champion_metrics": champion_metrics(name, made, test),
                }
                for result, made in zip(results, artifacts, strict=True)
            ],
        },
    )


def champion_metrics(name: str, made: ModelArtifact, test: Dataset) -> dict[str, float] | None:
    """The last champion's metrics on the same test rows, None when there is none that fits."""
    told = os.environ.get("METER_CHAMPION_DIR")
    folder = ROOT / (told or "") / "models" / name / made.metadata.name
    if not told or not folder.is_dir():
        return None
    try:
        champion = Predictor(ModelArtifact.read(folder))
    except ModelError:  # of another code: nothing can serve it any more
        return None
    # Here, since they import scikit-learn, which takes seconds and is not needed otherwise.
    from models import learning, metrics

    if made.metadata.kind != CLASSIFICATION:
        return _plain(metrics.regression_metrics(test.y, champion.predict(test.X)))
    high, known = learning.is_high(test.meta["meter_id"], test.y, made.metadata.thresholds)
    return _plain(metrics.classification_metrics(high[known], champion.predict(test.X[known])))


def _plain(values: Mapping[str, float]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items()}


def leave_results(results: list[Any]) -> None:
    """Leave what training says of both models."""
    leave("results.json", [asdict(result) for result in results])


def left_results() -> list[SimpleNamespace]:
    """What training said of both models: the fields of models.results.TrainingResult."""
    told = json.loads(left("results.json", by="train").read_text("utf-8"))
    return [SimpleNamespace(**result) for result in told]
