"""Hop 5: the champions out of MLflow, as the files that the serving image is made of."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hops import SAMPLE, Mismatch, directory, left, same
from trained import artifact_of_run, leave_trained, left_results

from data.create_datasets import Dataset, create_dataset
from models.artifact import MODEL_NAMES, REGRESSION_MODEL
from models.inference import export_champions, load_latest_model


@pytest.fixture(name="test_rows", scope="module")
def fixture_test_rows(parts: None) -> Dataset:
    readings = pd.read_parquet(left("readings.parquet", by="features"))
    test = create_dataset(readings).split()[1]
    results = left_results()
    same("rows that training did not see", len(test), results[0].test_rows)
    logged = directory() / "logged"
    artifacts = [artifact_of_run(each.artifact_uri, logged / each.model) for each in results]
    leave_trained("sample", SAMPLE, readings, test, results, artifacts)
    return test


@pytest.fixture(name="models", scope="module")
def fixture_models(parts: None) -> Path:
    target = directory() / "models" / "sample"
    versions = export_champions(target)
    expected = {result.model: result.version for result in left_results()}
    same("versions of the exported champions", versions, expected)
    return target


def test_exported_and_registered_models_are_the_same(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in MODEL_NAMES:
        monkeypatch.delenv("MODEL_DIR", raising=False)
        registered = load_latest_model(name)
        monkeypatch.setenv("MODEL_DIR", str(models))
        exported = load_latest_model(name)
        what = f"{name} in MODEL_DIR against the registry's champion"
        same(what, exported.metadata, registered.metadata)


def test_loaded_model_is_as_good_as_training_says(
    models: Path, test_rows: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_DIR", str(models))
    predictor = load_latest_model(REGRESSION_MODEL)
    came = float(np.abs(predictor.predict(test_rows.X) - test_rows.y).mean())
    (result,) = [each for each in left_results() if each.model == REGRESSION_MODEL]
    if abs(came - result.metrics["mae"]) > 1e-9:
        raise Mismatch(
            "mean absolute error of the loaded regression",
            sent=f"{len(test_rows)} rows that training did not see",
            came=came,
            expected=result.metrics["mae"],
        )
