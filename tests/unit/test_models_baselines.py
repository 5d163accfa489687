"""The forecasts without learning, on rows small enough to check by eye."""

import numpy as np
import pytest

from data.features import FEATURES
from models.baselines import SeasonalBaseline, persistence, prevalence

NAN = np.nan


def rows(day: list[float], week: list[float], last: list[float] | None = None) -> np.ndarray:
    matrix = np.full((len(day), len(FEATURES)), NAN, np.float32)
    matrix[:, FEATURES.index("units_lag_day")] = day
    matrix[:, FEATURES.index("units_lag_week")] = week
    matrix[:, FEATURES.index("units_lag_1")] = last or [9.0] * len(day)
    return matrix


@pytest.mark.parametrize(
    ("day", "week", "target", "chosen"),
    [
        pytest.param([1, 2], [3, 3], [1, 2], "units_lag_day", id="day-is-better"),
        pytest.param([1, 2], [3, 3], [3, 4], "units_lag_week", id="week-is-better"),
        pytest.param([1, 1], [1, 1], [1, 1], "units_lag_day", id="tie"),
        # The day is perfect where the week is missing, which must not count.
        pytest.param([5, 5, 3], [NAN, NAN, 2], [5, 5, 1], "units_lag_week", id="shared-rows-only"),
        pytest.param([1, 1], [NAN, NAN], [2, 2], "units_lag_day", id="no-week-yet"),
        pytest.param([NAN, NAN], [1, 1], [2, 2], "units_lag_week", id="no-day"),
        pytest.param([1, NAN], [NAN, 2], [3, 3], "units_lag_week", id="never-both"),
    ],
)
def test_better_season_is_chosen(day, week, target, chosen) -> None:
    assert SeasonalBaseline.fit(rows(day, week), np.array(target, float)).lag == chosen


def test_no_season_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="give more days"):
        SeasonalBaseline.fit(rows([NAN], [NAN]), np.array([1.0]))


@pytest.mark.parametrize(
    ("lag", "wanted"),
    [
        pytest.param("units_lag_day", [1.0, 2.0, 30.0, 400.0], id="day"),
        pytest.param("units_lag_week", [10.0, 2.0, 30.0, 400.0], id="week"),
    ],
)
def test_missing_season_is_stood_in_for(lag: str, wanted: list[float]) -> None:
    matrix = rows([1, 2, NAN, NAN], [10, NAN, 30, NAN], [100, 200, 300, 400])
    assert SeasonalBaseline(lag).predict(matrix).tolist() == wanted


def test_persistence_repeats_the_last_interval() -> None:
    assert persistence(rows([1, 2], [3, 4], [5, 6])).tolist() == [5.0, 6.0]


def test_prevalence_is_the_share_of_high_intervals() -> None:
    assert prevalence(np.array([True, False, False, False])) == 0.25


@pytest.mark.parametrize("high", [[], [True, True], [False]], ids=["none", "all", "no-high"])
def test_prevalence_needs_both_kinds(high: list[bool]) -> None:
    with pytest.raises(ValueError, match="both kinds are needed"):
        prevalence(np.array(high, bool))
