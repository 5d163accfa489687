"""Metrics against figures worked out by hand."""

import math

import numpy as np
import pytest

from models.metrics import classification_metrics, improvement, regression_metrics


def test_regression_metrics_by_hand() -> None:
    found = regression_metrics(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 6.0], np.float32))
    assert found == pytest.approx({"mae": 1.0, "rmse": math.sqrt(3), "r2": 1 - 9 / 2})


def test_r2_of_a_constant_target_is_left_out() -> None:
    found = regression_metrics(np.array([2.0, 2.0]), np.array([1.0, 2.0]))
    assert found == pytest.approx({"mae": 0.5, "rmse": math.sqrt(0.5)})


def test_classification_metrics_by_hand() -> None:
    high = np.array([True, False, True, False])
    found = classification_metrics(high, np.array([0.8, 0.4, 0.6, 0.7]))
    losses = [-math.log(share) for share in (0.8, 0.6, 0.6, 0.3)]
    # Of the four pairs of a high and a normal interval three are ranked rightly.
    wanted = {
        "log_loss": sum(losses) / 4,
        "brier": (0.04 + 0.16 + 0.16 + 0.49) / 4,
        "auc": 3 / 4,
    }
    assert found == pytest.approx(wanted)


@pytest.mark.parametrize("high", [True, False])
def test_auc_of_one_kind_is_left_out(high: bool) -> None:
    found = classification_metrics(np.array([high, high]), np.array([0.5, 0.5]))
    assert found == pytest.approx({"log_loss": math.log(2), "brier": 0.25})


@pytest.mark.parametrize(
    ("score", "reference", "wanted"),
    [
        pytest.param(0.8, 1.0, 0.2, id="lower"),
        pytest.param(3.0, 2.0, -0.5, id="higher"),
        pytest.param(2.0, 2.0, 0.0, id="equal"),
    ],
)
def test_improvement_is_a_share_of_the_reference(score, reference, wanted) -> None:
    assert improvement(score, reference) == pytest.approx(wanted)
