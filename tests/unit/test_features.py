"""The formulas and the order of the features, and the vector of a request."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data import features as ft

SRC = Path(ft.__file__).parents[1]
NAN = float("nan")
REQUEST = {
    "voltage": 220.5,
    "temperature": 25.0,
    "power_factor": 0.95,
    "load_kw": 2.5,
    "frequency_hz": 50.0,
    "hour": 12,
    "day_of_week": 2,
    "is_weekend": 0,
    "voltage_flag": 1,
    "pf_issue": 0,
    "high_temp": 0,
    "load_intensity": 10.5,
}


def test_order_of_features_is_what_stored_models_expect():
    assert ft.FEATURES == (
        *("voltage", "temperature", "power_factor", "load_kw", "frequency_hz"),
        *("hour", "day_of_week", "is_weekend", "voltage_flag", "pf_issue", "high_temp"),
        *("load_intensity", "units_lag_1"),
        *("units_lag_day", "units_lag_week", "units_mean_day", "units_mean_week"),
    )
    assert set(REQUEST) == set(ft.REQUIRED)


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        pytest.param(ft.voltage_flag, 179.99, 0, id="low"),
        pytest.param(ft.voltage_flag, 180.0, 1, id="180-is-normal"),
        pytest.param(ft.voltage_flag, 250.0, 1, id="250-is-normal"),
        pytest.param(ft.voltage_flag, 250.01, 2, id="high"),
        pytest.param(ft.voltage_flag, NAN, NAN, id="no-voltage"),
        pytest.param(ft.pf_issue, 0.8499, 1, id="poor-factor"),
        pytest.param(ft.pf_issue, 0.85, 0, id="0.85-is-good"),
        pytest.param(ft.pf_issue, NAN, NAN, id="no-factor"),
        pytest.param(ft.high_temp, 40.0, 0, id="40-is-not-hot"),
        pytest.param(ft.high_temp, 40.01, 1, id="hot"),
        pytest.param(ft.high_temp, NAN, NAN, id="no-temperature"),
        pytest.param(ft.is_weekend, 4, 0, id="friday"),
        pytest.param(ft.is_weekend, 5, 1, id="saturday"),
        pytest.param(ft.is_weekend, 6, 1, id="sunday"),
        pytest.param(ft.is_weekend, NAN, NAN, id="no-day"),
    ],
)
def test_flag_of_number_and_array(function, value, expected):
    np.testing.assert_equal(float(function(value)), float(expected))
    several = function(np.array([[value, value]]))
    assert several.shape == (1, 2) and several.dtype == np.float64
    np.testing.assert_equal(several, np.full((1, 2), expected, dtype=float))


@pytest.mark.parametrize(
    ("units", "load_kw"),
    [(26.25, 2.5), (0.0, 0.0), (3.0, 0.0), (4e6, 9e6), (1e-6, 0.3)],
)
def test_load_intensity_and_its_inverse(units, load_kw):
    intensity = ft.load_intensity(units, load_kw)
    assert np.isfinite(intensity)
    assert intensity == units / (load_kw + 1e-5)
    assert ft.units_from_intensity(intensity, load_kw) == pytest.approx(units, rel=1e-12)


def test_missing_measurement_makes_intensity_missing():
    assert np.isnan(ft.load_intensity(NAN, 2.0)) and np.isnan(ft.load_intensity(2.0, NAN))


def test_request_vector_of_the_twelve_fields():
    vector = ft.request_vector(REQUEST)
    assert vector.shape == (17,) and vector.dtype == np.float32
    named = dict(zip(ft.FEATURES, vector.tolist(), strict=True))
    for name, value in REQUEST.items():
        assert named[name] == pytest.approx(value), name
    assert named["units_lag_1"] == pytest.approx(10.5 * 2.50001)
    assert all(np.isnan(named[name]) for name in ft.OPTIONAL)


def test_request_vector_takes_optional_fields_and_missing_values():
    optional = {name: float(value) for value, name in enumerate(ft.OPTIONAL)}
    vector = ft.request_vector({**REQUEST, **optional, "load_kw": None})
    named = dict(zip(ft.FEATURES, vector.tolist(), strict=True))
    assert {name: named[name] for name in ft.OPTIONAL} == optional
    assert np.isnan(named["load_kw"]) and np.isnan(named["units_lag_1"])


@pytest.mark.parametrize("name", ft.REQUIRED)
def test_request_without_a_required_field_is_refused(name):
    with pytest.raises(ValueError, match=f"lacks the field '{name}'"):
        ft.request_vector({key: value for key, value in REQUEST.items() if key != name})


@pytest.mark.parametrize("count", [0, 1, 3])
def test_request_matrix_is_its_vectors(count):
    requests = [{**REQUEST, "hour": hour} for hour in range(count)]
    matrix = ft.request_matrix(requests)
    assert matrix.shape == (count, 17) and matrix.dtype == np.float32
    for row, request in zip(matrix, requests, strict=True):
        np.testing.assert_array_equal(row, ft.request_vector(request))


def test_module_needs_numpy_only():
    code = (
        "import sys, data.features\n"
        "heavy = {'pandas', 'sklearn', 'sqlalchemy', 'psycopg'} & set(sys.modules)\n"
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SRC, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
