"""The features of the models: their names, their order and their formulas.

Training (``data.create_datasets``) and serving (``api.server``) both use this module, so a formula
exists once. It needs numpy only: the serving image has no pandas.

The row of features that predicts the interval starting at ``t`` holds what is known at ``t``:
the calendar of ``t`` (local time) and measurements of intervals that have ended by then.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

#: V, degrees Celsius, ratio 0-1, kW, Hz: measured in the last finished interval.
MEASUREMENTS = ("voltage", "temperature", "power_factor", "load_kw", "frequency_hz")
#: The twelve fields that a client of the API has to send.
REQUIRED = MEASUREMENTS + (
    "hour",
    "day_of_week",
    "is_weekend",
    "voltage_flag",
    "pf_issue",
    "high_temp",
    "load_intensity",
)
#: kWh per interval; a client that lacks them leaves them out, and they are missing to the model.
OPTIONAL = ("units_lag_day", "units_lag_week", "units_mean_day", "units_mean_week")
#: The order of the columns of a model's input.
FEATURES = REQUIRED + ("units_lag_1",) + OPTIONAL

LOW_VOLTAGE = 180.0  # V
HIGH_VOLTAGE = 250.0  # V
LOW_POWER_FACTOR = 0.85
HIGH_TEMPERATURE = 40.0  # degrees Celsius
LOAD_EPSILON = 1e-5  # kW; keeps load_intensity finite at no load
FIRST_WEEKEND_DAY = 5  # Saturday, as Monday is 0

_LOAD_KW = REQUIRED.index("load_kw")
_LOAD_INTENSITY = REQUIRED.index("load_intensity")
_NAN = float("nan")


def voltage_flag(voltage: Any) -> Any:
    """Return 0 (below 180 V), 1 (normal) or 2 (above 250 V); missing stays NaN.

    Takes a number or an array of volts, returns float64 of the same shape.
    """
    volts = np.asarray(voltage, dtype=np.float64)
    flag = 1.0 + (volts > HIGH_VOLTAGE) - (volts < LOW_VOLTAGE)
    return np.where(np.isnan(volts), np.nan, flag)[()]


def pf_issue(power_factor: Any) -> Any:
    """Return 1 where the power factor (0-1) is below 0.85, else 0; missing stays NaN."""
    factor = np.asarray(power_factor, dtype=np.float64)
    return np.where(np.isnan(factor), np.nan, factor < LOW_POWER_FACTOR)[()]


def high_temp(temperature: Any) -> Any:
    """Return 1 where it is hotter than 40 degrees Celsius, else 0; missing stays NaN."""
    degrees = np.asarray(temperature, dtype=np.float64)
    return np.where(np.isnan(degrees), np.nan, degrees > HIGH_TEMPERATURE)[()]


def is_weekend(day_of_week: Any) -> Any:
    """Return 1 on Saturday and Sunday, else 0 (Monday is 0); missing stays NaN."""
    day = np.asarray(day_of_week, dtype=np.float64)
    return np.where(np.isnan(day), np.nan, day >= FIRST_WEEKEND_DAY)[()]


def load_intensity(units: Any, load_kw: Any) -> Any:
    """Return units (kWh) / (load_kw + 1e-5) of one finished interval, in hours."""
    return np.asarray(units, dtype=np.float64) / (np.asarray(load_kw, np.float64) + LOAD_EPSILON)


def units_from_intensity(intensity: Any, load_kw: Any) -> Any:
    """Return the kWh that ``load_intensity`` was computed from (its inverse)."""
    return np.asarray(intensity, np.float64) * (np.asarray(load_kw, np.float64) + LOAD_EPSILON)


def _request_row(fields: Mapping[str, float | None]) -> list[float]:
    """Return the values of one request in the order of ``FEATURES``, None as NaN."""
    try:
        row = [_NAN if (value := fields[name]) is None else value for name in REQUIRED]
    except KeyError as error:
        raise ValueError(f"request lacks the field {error}: the twelve are {REQUIRED}") from None
    row.append(row[_LOAD_INTENSITY] * (row[_LOAD_KW] + LOAD_EPSILON))
    row += [_NAN if (value := fields.get(name)) is None else value for name in OPTIONAL]
    return row


def request_vector(fields: Mapping[str, float | None]) -> NDArray[np.float32]:
    """Return the model input of one request: float32, shape (17,), in the order of ``FEATURES``.

    ``fields`` holds the twelve required fields (None is missing) and any optional one;
    ``units_lag_1`` comes from load_intensity and load_kw. ValueError names a field that is absent.
    """
    return np.array(_request_row(fields), dtype=np.float32)


def request_matrix(requests: Sequence[Mapping[str, float | None]]) -> NDArray[np.float32]:
    """Return the model input of n requests: float32, shape (n, 17); see ``request_vector``."""
    rows = [_request_row(fields) for fields in requests]
    return np.array(rows, dtype=np.float32).reshape(len(rows), len(FEATURES))
