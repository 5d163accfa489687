"""The two estimators, and what they learn from.

Every training row is given twice, the second time without the optional features, so that a client
who sends the twelve required fields only gets a prediction that was trained for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import ensemble  # type: ignore[import-untyped]  # no types
from sklearn.compose import ColumnTransformer  # type: ignore[import-untyped]  # no types
from sklearn.impute import SimpleImputer  # type: ignore[import-untyped]  # no types
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # no types
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]  # no types
from sklearn.preprocessing import (  # type: ignore[import-untyped]  # no types
    OneHotEncoder,
    StandardScaler,
)
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # no types

from data.features import FEATURES, OPTIONAL

SEED = 20180101
# An interval is one of high consumption above this quantile of its meter's training part.
HIGH_QUANTILE = 0.8

REGRESSION_PARAMS: Mapping[str, str | int | float] = {
    # The absolute error is what models are judged by, and meters have outliers.
    "loss": "absolute_error",
    "learning_rate": 0.08,
    "max_iter": 200,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 30,
}
CLASSIFICATION_PARAMS: Mapping[str, str | int | float] = {"C": 0.1, "max_iter": 1000}

_CALENDAR: Mapping[str, int] = {"hour": 24, "day_of_week": 7}

# load_kw and units_lag_1 say the same. Where load_kw is the interval's own mean it is constant but
# for rounding, and what is learned from rounding explodes when a client rounds otherwise.
_REDUNDANT = "load_intensity"

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def twelve_only(matrix: Matrix) -> Matrix:
    """A copy of (n, features) rows as the twelve fields alone give them: no optional feature."""
    result = matrix.copy()
    result[:, [FEATURES.index(name) for name in OPTIONAL]] = np.nan
    return result


def doubled(matrix: Matrix) -> Matrix:
    """The (2n, features) rows to train on: all features first, then the twelve only."""
    return np.concatenate([matrix, twelve_only(matrix)])


def fit_regression(matrix: Matrix, target: Floats) -> Any:
    """Fit gradient-boosted trees to (n, features) rows and their kWh of shape (n,)."""
    model = ensemble.HistGradientBoostingRegressor(
        **REGRESSION_PARAMS, early_stopping=False, random_state=SEED
    )
    rows = doubled(matrix)
    rows[:, FEATURES.index(_REDUNDANT)] = 0
    # Binning refuses a column without any value; a constant gives no split either way.
    rows[:, np.isnan(rows).all(axis=0)] = 0
    # One thread: two that wait for each other on busy cores took 20 times as long as one.
    with threadpool_limits(1, user_api="openmp"):
        return model.fit(rows, np.tile(target, 2))


def fit_classification(matrix: Matrix, high: Flags) -> Any:
    """Fit a logistic regression to (n, features) rows and whether each is high, shape (n,)."""
    calendar = [FEATURES.index(name) for name in _CALENDAR]
    unused = [*calendar, FEATURES.index(_REDUNDANT)]
    numbers = [index for index in range(len(FEATURES)) if index not in unused]
    # Consumption is no straight line over the hours of a day, so each has a weight of its own.
    slots = [[float(value) for value in range(size)] for size in _CALENDAR.values()]
    encoder = OneHotEncoder(categories=slots, handle_unknown="ignore", sparse_output=False)
    scaler = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    columns = ColumnTransformer([("calendar", encoder, calendar), ("numbers", scaler, numbers)])
    model = make_pipeline(columns, LogisticRegression(**CLASSIFICATION_PARAMS, random_state=SEED))
    return model.fit(doubled(matrix), np.tile(high, 2))


def high_thresholds(meters: pd.Series, target: Floats) -> dict[str, float]:
    """kWh of each meter's HIGH_QUANTILE; `meters` and `target` have shape (n,)."""
    quantiles = pd.Series(target).groupby(meters.astype(str).to_numpy()).quantile(HIGH_QUANTILE)
    return {str(meter): float(value) for meter, value in quantiles.items()}


def is_high(
    meters: pd.Series, target: Floats, thresholds: Mapping[str, float]
) -> tuple[Flags, Flags]:
    """Which rows are high, and which have a threshold at all (their meter was in training).

    Both have shape (n,); a row of an unknown meter is not high.
    """
    limits = meters.astype(str).map(thresholds).to_numpy(np.float64)
    return target > limits, ~np.isnan(limits)
