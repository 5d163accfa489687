"""What a model has to beat: forecasts that need no learning.

The seasonal naive forecast repeats the same slot of an earlier day or week (Hyndman and
Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, section 5.2); the prevalence
forecast gives every interval the share of high ones in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.features import FEATURES

LAGS = ("units_lag_day", "units_lag_week")
LAST = "units_lag_1"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SeasonalBaseline:
    """Repeats the slot of a day ago or of a week ago, whichever was better in training."""

    lag: str

    @classmethod
    def fit(cls, matrix: npt.NDArray[np.float32], target: Floats) -> SeasonalBaseline:
        """Choose the lag of the smaller mean absolute error on (n, features) rows.

        Both are judged on the rows that have both; without any, on those that each has. Raises
        ValueError when no row has either.
        """
        errors = {lag: np.abs(_column(matrix, lag) - target) for lag in LAGS}
        shared = ~np.isnan(sum(errors.values()))
        if shared.any():
            scores = {lag: float(error[shared].mean()) for lag, error in errors.items()}
        else:
            scores = {
                lag: float(np.nanmean(error))
                for lag, error in errors.items()
                if not np.isnan(error).all()
            }
        if not scores:
            raise ValueError("no reading has one a day or a week before it: give more days")
        return cls(min(scores, key=scores.__getitem__))

    def predict(self, matrix: npt.NDArray[np.float32]) -> Floats:
        """kWh of each row, shape (n,).

        Where the chosen slot is missing the other one stands in, then the last interval, which
        every row has: the baseline answers every row that the model answers.
        """
        other = LAGS[1 - LAGS.index(self.lag)]
        result = _column(matrix, self.lag)
        for name in (other, LAST):
            result = np.where(np.isnan(result), _column(matrix, name), result)
        return result


def persistence(matrix: npt.NDArray[np.float32]) -> Floats:
    """kWh of the last finished interval, shape (n,): reported beside the seasonal baseline."""
    return _column(matrix, LAST)


def prevalence(high: npt.NDArray[np.bool_]) -> float:
    """The share of high intervals in training; ValueError when it is 0, 1 or of no row."""
    share = float(high.mean()) if len(high) else 0.0
    if not 0 < share < 1:
        raise ValueError(f"{high.sum()} of {len(high)} intervals are high: both kinds are needed")
    return share


def _column(matrix: npt.NDArray[np.float32], name: str) -> Floats:
    return matrix[:, FEATURES.index(name)].astype(np.float64)
