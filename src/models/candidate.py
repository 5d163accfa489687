"""A fitted model on its way to be judged: what it was fitted to, and what it has to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from data.create_datasets import Dataset
from data.readings import ReadingError
from models import baselines, learning, metrics
from models.artifact import (
    CLASSIFICATION,
    HIGH_CONSUMPTION_MODEL,
    REGRESSION,
    REGRESSION_MODEL,
)
from models.export import export_model
from models.results import Metrics


@dataclass(frozen=True)
class Candidate:
    """A fitted model with all that judging it takes; `measure` scores predictions of `test`."""

    name: str
    kind: str
    score: str
    model: bytes
    params: Mapping[str, str | int | float]
    train: Dataset
    test: Dataset
    measure: Callable[[learning.Matrix], Metrics]
    baseline: str
    baseline_metrics: Metrics
    last_interval_metrics: Metrics | None
    thresholds: Mapping[str, float]


def fit_regression_candidate(train: Dataset, test: Dataset) -> Candidate:
    """Fit the regression to `train` and its baseline; both are to be judged on `test`."""
    try:
        baseline = baselines.SeasonalBaseline.fit(train.X, train.y)
    except ValueError as error:
        raise ReadingError(str(error)) from error
    estimator = learning.fit_regression(train.X, train.y)
    return Candidate(
        name=REGRESSION_MODEL,
        kind=REGRESSION,
        score=metrics.REGRESSION_SCORE,
        model=export_model(estimator, REGRESSION, learning.doubled(test.X)),
        params=learning.REGRESSION_PARAMS,
        train=train,
        test=test,
        measure=lambda predicted: metrics.regression_metrics(test.y, predicted),
        baseline=f"seasonal naive ({baseline.lag})",
        baseline_metrics=metrics.regression_metrics(test.y, baseline.predict(test.X)),
        last_interval_metrics=metrics.regression_metrics(test.y, baselines.persistence(test.X)),
        thresholds={},
    )


def fit_classification_candidate(train: Dataset, test: Dataset) -> Candidate:
    """Fit the classification to `train` and its baseline; both are to be judged on `test`.

    Test rows of meters that training has not seen have no threshold and are left out.
    """
    thresholds = learning.high_thresholds(train.meta["meter_id"], train.y)
    high, _ = learning.is_high(train.meta["meter_id"], train.y, thresholds)
    test_high, known = learning.is_high(test.meta["meter_id"], test.y, thresholds)
    if not known.any():
        raise ReadingError("no meter of the last fifth was there before: give more readings")
    test, test_high = test.take(known), test_high[known]
    try:
        share = baselines.prevalence(high)
    except ValueError as error:
        raise ReadingError(str(error)) from error
    estimator = learning.fit_classification(train.X, high)
    constant = np.full(len(test), share)
    return Candidate(
        name=HIGH_CONSUMPTION_MODEL,
        kind=CLASSIFICATION,
        score=metrics.CLASSIFICATION_SCORE,
        model=export_model(estimator, CLASSIFICATION, learning.doubled(test.X)),
        params={**learning.CLASSIFICATION_PARAMS, "high_quantile": learning.HIGH_QUANTILE},
        train=train,
        test=test,
        measure=lambda predicted: metrics.classification_metrics(test_high, predicted),
        baseline="prevalence",
        baseline_metrics=metrics.classification_metrics(test_high, constant),
        last_interval_metrics=None,
        thresholds=thresholds,
    )
