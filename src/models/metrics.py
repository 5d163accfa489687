"""How good predictions are: plain numbers under fixed names, the same for model and baseline."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import log_loss, roc_auc_score  # type: ignore[import-untyped]  # no types

# The figure by which models are compared; lower is better for both.
REGRESSION_SCORE = "mae"
CLASSIFICATION_SCORE = "log_loss"

Floats = npt.NDArray[np.float64]


def regression_metrics(target: Floats, predicted: npt.NDArray[np.floating]) -> dict[str, float]:
    """Mean absolute error and root mean squared error in the target's unit, and R².

    Both arguments have shape (n,), n >= 1. R² is left out where the target does not vary, since
    it is not defined there.
    """
    residual = target - predicted
    result = {
        "mae": float(np.abs(residual).mean()),
        "rmse": float(np.sqrt(np.square(residual).mean())),
    }
    spread = float(np.square(target - target.mean()).sum())
    if spread > 0:
        result["r2"] = 1 - float(np.square(residual).sum()) / spread
    return result


def classification_metrics(
    high: npt.NDArray[np.bool_], probability: npt.NDArray[np.floating]
) -> dict[str, float]:
    """Log-loss in nats, Brier score, and the area under the ROC curve.

    Both arguments have shape (n,), n >= 1. The area is left out where all intervals are of one
    kind, since it is not defined there.
    """
    values = np.asarray(probability, np.float64)
    result = {
        "log_loss": float(log_loss(high, values, labels=[False, True])),
        "brier": float(np.square(values - high).mean()),
    }
    if 0 < high.sum() < len(high):
        result["auc"] = float(roc_auc_score(high, values))
    return result


def improvement(score: float, reference: float) -> float:
    """The share by which `score` is lower than `reference` (0.2 is 20 % lower); both > 0."""
    return 1 - score / reference
