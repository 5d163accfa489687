"""Known answers: requests and what the champions say to them, to be kept beside the models.

Whoever brings a model into service sends the requests and compares: so it shows whether what
serves is what was exported. The requests lie where the training data lie, since a model that is
only asked far outside of them answers the same to all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from data import features as ft
from models.artifact import HIGH_CONSUMPTION_MODEL, REGRESSION_MODEL, ModelMetadata

ANSWERS_FILE = "answers.json"
ROWS = 20
# For what no meter of the training data measured; the model takes it as any other number.
USUAL: Mapping[str, float] = {
    "voltage": 230.0,
    "temperature": 18.0,
    "power_factor": 0.95,
    "load_kw": 2.0,
    "frequency_hz": 50.0,
    "units_lag_1": 0.5,
}
# The last rows have what training data may lack: one for each side of each threshold.
UNUSUAL: tuple[Mapping[str, float], ...] = (
    {"voltage": 170.0},
    {"voltage": 260.0},
    {"power_factor": 0.7},
    {"temperature": 45.0},
)


class Asked(Protocol):
    """What is needed of a model; ``models.inference.Predictor`` is one."""

    @property
    def metadata(self) -> ModelMetadata:
        """What is known about the model."""

    def predict_one(self, fields: Mapping[str, float | None], /) -> float:
        """Predict one request."""


def known_answers(predictors: Mapping[str, Asked]) -> str:
    """Return the JSON document of both champions, by name: the same text for the same models.

    A list of ROWS objects: `request` is a body of POST /predict, `units_kwh` and
    `high_consumption_probability` are what is answered.
    """
    regression, high = predictors[REGRESSION_MODEL], predictors[HIGH_CONSUMPTION_MODEL]
    answers = []
    for body in requests(regression.metadata.drift_baseline):
        kwh, share = regression.predict_one(body), high.predict_one(body)
        answers.append({"request": body, "units_kwh": kwh, "high_consumption_probability": share})
    return json.dumps(answers, indent=1, sort_keys=True, allow_nan=False) + "\n"


def requests(baseline: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return ROWS different bodies of POST /predict within the distribution of a drift baseline."""
    return [_request(baseline, number) for number in range(ROWS)]


def _request(baseline: Mapping[str, Any], number: int) -> dict[str, float]:
    unusual = UNUSUAL[number - ROWS] if number >= ROWS - len(UNUSUAL) else {}
    measured = {}
    # A step of its own for each, so that they do not all rise together.
    for step, name in enumerate((*ft.MEASUREMENTS, "units_lag_1"), start=1):
        known = unusual.get(name, _quantile(baseline, name, number * step))
        measured[name] = USUAL[name] if known is None else known
    day = number % 7
    intensity = ft.load_intensity(measured.pop("units_lag_1"), measured["load_kw"])
    body = {
        **measured,
        "hour": number * 7 % 24,
        "day_of_week": day,
        "is_weekend": int(ft.is_weekend(day)),
        "voltage_flag": int(ft.voltage_flag(measured["voltage"])),
        "pf_issue": int(ft.pf_issue(measured["power_factor"])),
        "high_temp": int(ft.high_temp(measured["temperature"])),
        "load_intensity": _short(intensity),
    }
    if number % 2:  # every other one comes from a client that knows the past
        for step, name in enumerate(ft.OPTIONAL, start=2):
            value = _quantile(baseline, name, number * step)
            if value is not None:
                body[name] = value
    return body


def _quantile(baseline: Mapping[str, Any], name: str, number: int) -> float | None:
    """One of the quantiles of a feature in training, None if it was always missing."""
    edges = baseline.get(name, {}).get("edges", ())
    return _short(edges[number % len(edges)]) if edges else None


def _short(value: float) -> float:
    return float(f"{value:.6g}")
