"""The request schema: what is accepted, what is refused, and that the error names the field."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.derived import DERIVED
from api.schemas import EXAMPLE, MAX_BATCH, MAX_INTENSITY, MAX_UNITS, BatchRequest, MeterFeatures
from api.server import MeterFeatures as FromServer
from data import features, readings

# field, the smallest and the largest accepted value, a step beyond them
RANGES = [
    ("voltage", 0, 1000, 0.001),
    ("temperature", -60, 70, 0.001),
    ("power_factor", 0, 1, 0.001),
    ("load_kw", 0, 20_000_000, 0.1),
    ("frequency_hz", 40, 70, 0.001),
    ("hour", 0, 23, 1),
    ("day_of_week", 0, 6, 1),
    ("load_intensity", 0, MAX_INTENSITY, 1),
    ("units_lag_day", 0, MAX_UNITS, 0.1),
    ("units_lag_week", 0, MAX_UNITS, 0.1),
    ("units_mean_day", 0, MAX_UNITS, 0.1),
    ("units_mean_week", 0, MAX_UNITS, 0.1),
]


def consistent(**changes: object) -> dict[str, object]:
    """The example with changes, its derived fields adapted to them."""
    fields: dict[str, object] = {**EXAMPLE, **changes}
    for name, rule in DERIVED.items():
        if name not in changes:
            fields[name] = rule.formula(fields[rule.source])  # type: ignore[arg-type]
    return fields


def bad_fields(fields: dict[str, object]) -> dict[str, str]:
    """What is refused: error type by field."""
    with pytest.raises(ValidationError) as caught:
        MeterFeatures.model_validate_json(json.dumps(fields))
    return {str(error["loc"][0]): error["type"] for error in caught.value.errors()}


def test_documented_example_is_accepted() -> None:
    meter = FromServer(
        voltage=220.5,
        temperature=25.0,
        power_factor=0.95,
        load_kw=2.5,
        frequency_hz=50.0,
        hour=12,
        day_of_week=2,
        is_weekend=0,
        voltage_flag=1,
        pf_issue=0,
        high_temp=0,
        load_intensity=10.5,
    )
    assert meter.model_dump(exclude_none=True) == EXAMPLE
    assert [getattr(meter, name) for name in features.OPTIONAL] == [None] * 4


def test_fields_are_the_features_of_the_models() -> None:
    names = tuple(MeterFeatures.model_fields)
    assert names == features.REQUIRED + features.OPTIONAL
    required = tuple(n for n, f in MeterFeatures.model_fields.items() if f.is_required())
    assert required == features.REQUIRED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}={value}")
        for name, low, high, _ in RANGES
        for value in (low, high)
    ],
)
def test_ends_of_ranges_are_accepted(name: str, value: float) -> None:
    meter = MeterFeatures.model_validate_json(json.dumps(consistent(**{name: value})))
    assert getattr(meter, name) == value


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        pytest.param(name, value, error, id=f"{name}={value}")
        for name, low, high, step in RANGES
        for value, error in ((low - step, "greater_than_equal"), (high + step, "less_than_equal"))
    ],
)
def test_beyond_ranges_is_refused_by_name(name: str, value: float, error: str) -> None:
    assert bad_fields(consistent(**{name: value})) == {name: error}


@pytest.mark.parametrize("name", [name for name in readings.MEASUREMENTS if name != "units"])
def test_ranges_are_those_of_a_reading(name: str) -> None:
    low, high = next((low, high) for field, low, high, _ in RANGES if field == name)
    limits = readings.MEASUREMENTS[name]
    assert (low, high) == (limits.minimum, limits.maximum)


def test_units_range_is_that_of_a_reading() -> None:
    assert MAX_UNITS == readings.MEASUREMENTS["units"].maximum
    assert MAX_INTENSITY == pytest.approx(MAX_UNITS / features.LOAD_EPSILON)


@pytest.mark.parametrize("name", features.REQUIRED)
def test_each_of_the_twelve_is_required(name: str) -> None:
    fields = {key: value for key, value in EXAMPLE.items() if key != name}
    assert bad_fields(fields) == {name: "missing"}
    refused = bad_fields({**EXAMPLE, name: None})
    assert set(refused) == {name} and refused[name] in {"float_type", "int_type"}


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        pytest.param("voltage", "220.5", "float_type", id="number as text"),
        pytest.param("hour", "12", "int_type", id="whole number as text"),
        pytest.param("hour", 12.5, "int_type", id="fraction of an hour"),
        pytest.param("is_weekend", False, "int_type", id="boolean for a flag"),
        pytest.param("voltage", True, "float_type", id="boolean for a measurement"),
        pytest.param("voltage", [220.5], "float_type", id="list"),
        pytest.param("voltage", math.nan, "finite_number", id="NaN"),
        pytest.param("voltage", math.inf, "finite_number", id="infinity"),
        pytest.param("units_lag_day", math.nan, "finite_number", id="NaN in an optional field"),
        pytest.param("load_intensity", math.inf, "finite_number", id="infinite intensity"),
        pytest.param("voltage_flag", 3, "less_than_equal", id="no such voltage flag"),
        pytest.param("pf_issue", -1, "greater_than_equal", id="negative flag"),
        pytest.param("high_temp", 2, "less_than_equal", id="flag of 2"),
        pytest.param("units_lag_1", 26.25, "extra_forbidden", id="derivable lag"),
        pytest.param("meter_id", "A-17", "extra_forbidden", id="unknown field"),
    ],
)
def test_wrong_kind_is_refused_by_name(name: str, value: object, error: str) -> None:
    assert bad_fields({**EXAMPLE, name: value}) == {name: error}


def test_whole_number_with_a_fraction_is_an_integer() -> None:
    meter = MeterFeatures.model_validate_json(json.dumps({**EXAMPLE, "hour": 12.0}))
    assert meter.hour == 12 and isinstance(meter.hour, int)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        pytest.param({"voltage": 179.9, "voltage_flag": 1}, "voltage_flag", id="low voltage"),
        pytest.param({"voltage": 180.0, "voltage_flag": 0}, "voltage_flag", id="180 V is normal"),
        pytest.param({"voltage": 250.0, "voltage_flag": 2}, "voltage_flag", id="250 V is normal"),
        pytest.param({"voltage": 250.1, "voltage_flag": 1}, "voltage_flag", id="high voltage"),
        pytest.param({"power_factor": 0.84, "pf_issue": 0}, "pf_issue", id="poor factor"),
        pytest.param({"power_factor": 0.85, "pf_issue": 1}, "pf_issue", id="0.85 is fine"),
        pytest.param({"temperature": 40.1, "high_temp": 0}, "high_temp", id="hot"),
        pytest.param({"temperature": 40.0, "high_temp": 1}, "high_temp", id="40 is not hot"),
        pytest.param({"day_of_week": 5, "is_weekend": 0}, "is_weekend", id="Saturday"),
        pytest.param({"day_of_week": 4, "is_weekend": 1}, "is_weekend", id="Friday"),
    ],
)
def test_contradiction_names_the_derived_field(changes: dict[str, object], name: str) -> None:
    assert bad_fields(consistent(**changes)) == {name: "contradiction"}


def test_contradiction_says_what_was_expected() -> None:
    with pytest.raises(ValidationError, match="voltage_flag is 1, but voltage 150.0 makes it 0"):
        MeterFeatures(**{**EXAMPLE, "voltage": 150.0})  # type: ignore[arg-type]


def test_bad_source_is_the_only_error() -> None:
    assert bad_fields({**EXAMPLE, "voltage": -5}) == {"voltage": "greater_than_equal"}


FORMULAS = {
    "voltage_flag": features.voltage_flag,
    "pf_issue": features.pf_issue,
    "high_temp": features.high_temp,
    "is_weekend": features.is_weekend,
}


@pytest.mark.parametrize("name", FORMULAS)
@given(value=st.one_of(st.floats(-100, 1100), st.sampled_from([0.85, 40.0, 180.0, 250.0, 4, 5])))
def test_derived_formulas_equal_those_of_training(name: str, value: float) -> None:
    assert DERIVED[name].formula(value) == FORMULAS[name](value)


@pytest.mark.parametrize(
    ("count", "error"),
    [
        pytest.param(0, "too_short", id="none"),
        pytest.param(MAX_BATCH + 1, "too_long", id="one too many"),
    ],
)
def test_batch_size_is_bounded(count: int, error: str) -> None:
    with pytest.raises(ValidationError) as caught:
        BatchRequest.model_validate_json(json.dumps({"items": [EXAMPLE] * count}))
    assert [found["type"] for found in caught.value.errors()] == [error]


@pytest.mark.parametrize("count", [1, MAX_BATCH])
def test_batch_sizes_within_bounds(count: int) -> None:
    batch = BatchRequest.model_validate_json(json.dumps({"items": [EXAMPLE] * count}))
    assert len(batch.items) == count


def test_schema_tells_units_ranges_and_agreement() -> None:
    schema = MeterFeatures.model_json_schema()
    assert schema["additionalProperties"] is False
    for name, low, high, _ in RANGES[:8]:
        declared = schema["properties"][name]
        assert (declared["minimum"], declared["maximum"]) == (low, high)
        assert declared["description"]
    units = {name: schema["properties"][name]["x-unit"] for name in features.MEASUREMENTS}
    assert units == {
        name: limit.unit for name, limit in readings.MEASUREMENTS.items() if name != "units"
    }
    assert len(schema["allOf"]) == len(DERIVED)
    assert schema["examples"] == [EXAMPLE]
