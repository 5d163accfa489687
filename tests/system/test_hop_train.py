"""Hop 3: both models, on the readings that came out of PostgreSQL, into MLflow."""

import pandas as pd
import pytest
import sample
from hops import left, same, within
from trained import leave_results

from data.create_datasets import cut_off
from models.artifact import CLASSIFICATION, HIGH_CONSUMPTION_MODEL, REGRESSION, REGRESSION_MODEL
from models.results import TrainingResult
from models.train import TRAINERS

# Of the sample, whose readings and seed never change. The bounds leave room for another version of
# scikit-learn, not for another feature; docs/results/training.md has the figures of this one.
BOUNDS = {
    (REGRESSION_MODEL, "mae"): (0.60, 0.80),
    (REGRESSION_MODEL, "r2"): (0.98, 1.0),
    (HIGH_CONSUMPTION_MODEL, "log_loss"): (0.22, 0.29),
    (HIGH_CONSUMPTION_MODEL, "auc"): (0.89, 0.95),
}


@pytest.fixture(name="results", scope="module")
def fixture_results(parts: None) -> dict[str, TrainingResult]:
    readings = pd.read_parquet(left("readings.parquet", by="features"))
    results = [TRAINERS[kind](readings) for kind in (REGRESSION, CLASSIFICATION)]
    leave_results(results)
    return {result.model: result for result in results}


def test_both_models_become_champions(results: dict[str, TrainingResult]) -> None:
    for model in (REGRESSION_MODEL, HIGH_CONSUMPTION_MODEL):
        same(
            f"decision on {model}, the first one in an empty registry",
            (results[model].registered, results[model].champion_metrics),
            (True, None),
            sent=results[model].reason,
        )


def test_rows_are_those_of_the_feature_table(results: dict[str, TrainingResult]) -> None:
    rows = len(sample.learnable())
    for result in results.values():
        came = result.train_rows + result.test_rows
        same(f"rows that {result.model} was trained and tested on", came, rows)


def test_last_fifth_by_time_is_for_testing(results: dict[str, TrainingResult]) -> None:
    instants = pd.DataFrame({"reading_date": [line.instant for line in sample.learnable()]})
    later = int((instants["reading_date"] >= cut_off(instants, 0.2)).sum())
    came = results[REGRESSION_MODEL].test_rows
    same("rows that training did not see", came, later, sent=f"{len(instants)} rows")


@pytest.mark.parametrize(("model", "metric"), BOUNDS)
def test_metrics_are_the_known_ones(
    results: dict[str, TrainingResult], model: str, metric: str
) -> None:
    name = f"{metric} of {model} on the sample"
    within(name, results[model].metrics[metric], *BOUNDS[model, metric])
