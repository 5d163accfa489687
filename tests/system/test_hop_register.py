"""Hop 4: what MLflow keeps of the training, read by plain HTTP."""

import hashlib
import json
from types import SimpleNamespace

import pytest
from hops import fetch, left, mlflow, same

API = "/api/2.0/mlflow"


@pytest.fixture(name="result", scope="module", params=(0, 1), ids=("regression", "classification"))
def fixture_result(request: pytest.FixtureRequest, parts: None) -> SimpleNamespace:
    results = json.loads(left("results.json", by="train").read_text("utf-8"))
    return SimpleNamespace(**results[request.param])


def test_run_holds_what_training_returned(result: SimpleNamespace) -> None:
    run = mlflow(f"{API}/runs/get?run_id={result.run_id}")["run"]
    same(f"status of the run of {result.model}", run["info"]["status"], "FINISHED")
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    same(f"decision tag of {result.model}", tags.get("decision"), "promoted", sent=result.reason)
    logged = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    for prefix, metrics in (("", result.metrics), ("baseline_", result.baseline_metrics)):
        for key, value in metrics.items():
            name = f"metric {prefix}{key} of {result.model} in MLflow"
            same(name, logged.get(prefix + key), value, sent=value)


def test_champion_is_the_version_of_that_run(result: SimpleNamespace) -> None:
    version = mlflow(f"{API}/registered-models/alias?name={result.model}&alias=champion")[
        "model_version"
    ]
    tags = {tag["key"]: tag["value"] for tag in version.get("tags", [])}
    same(
        f"champion of {result.model}",
        {"run_id": version["run_id"], "artifact_version": tags.get("artifact_version")},
        {"run_id": result.run_id, "artifact_version": result.version},
        sent=result.version,
    )


def test_files_are_the_ones_that_were_logged(result: SimpleNamespace) -> None:
    run = mlflow(f"{API}/runs/get?run_id={result.run_id}")["run"]
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    path = result.artifact_uri.removeprefix("mlflow-artifacts:/")
    model = fetch(f"/api/2.0/mlflow-artifacts/artifacts/{path}/model.onnx")
    came = hashlib.sha256(model).hexdigest()
    same(f"SHA-256 of {result.model}'s model.onnx", came, tags.get("model_sha256"))
