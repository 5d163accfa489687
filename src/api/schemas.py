"""What requests and answers look like; the OpenAPI document is made from these models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from api.derived import DERIVED, agreement_schema

MAX_BATCH = 1000
# kWh of one interval, and the same over the smallest divisor of load_intensity (1e-5 kW).
MAX_UNITS = 10_000_000
MAX_INTENSITY = 1_000_000_000_000

EXAMPLE: dict[str, JsonValue] = {
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


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# JSON knows one kind of number, and to JSON Schema 12.0 is an integer; "12" and true are not.
Whole = Annotated[int, BeforeValidator(_whole)]
Flag = Annotated[Whole, Field(ge=0, le=1)]
Lag = Annotated[float, Field(ge=0, le=MAX_UNITS)]


def _optional_kwh(what: str) -> Any:
    return Field(
        default=None,
        description=f"{what}, in kWh. Default null: unknown, the model does without it.",
        json_schema_extra={"x-unit": "kWh"},
    )


class MeterFeatures(BaseModel):
    """Everything that the prediction of one interval of one meter needs.

    Measurements (voltage to frequency_hz, load_intensity and the flags derived from them) are of
    the last finished interval; hour, day_of_week and is_weekend are of the interval to be
    predicted, in the meter's local time. Numbers are never read from strings, unknown fields, NaN
    and infinity are refused, and so is a derived field that contradicts its measurement.
    """

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={"allOf": agreement_schema(), "examples": [EXAMPLE]},
    )

    voltage: float = Field(
        ge=0, le=1000, description="Voltage in V.", json_schema_extra={"x-unit": "V"}
    )
    temperature: float = Field(
        ge=-60,
        le=70,
        description="Outdoor temperature in degrees Celsius.",
        json_schema_extra={"x-unit": "°C"},
    )
    power_factor: float = Field(
        ge=0,
        le=1,
        description="Power factor, from 0 to 1.",
        json_schema_extra={"x-unit": "1"},
    )
    load_kw: float = Field(
        ge=0, le=20_000_000, description="Load in kW.", json_schema_extra={"x-unit": "kW"}
    )
    frequency_hz: float = Field(
        ge=40, le=70, description="Mains frequency in Hz.", json_schema_extra={"x-unit": "Hz"}
    )
    hour: Whole = Field(ge=0, le=23, description="Local hour at the start of the interval.")
    day_of_week: Whole = Field(ge=0, le=6, description="Local day of the week: 0 is Monday.")
    is_weekend: Flag = Field(description="1 if day_of_week is 5 or 6, else 0.")
    voltage_flag: Whole = Field(
        ge=0, le=2, description="0 low (below 180 V), 1 normal, 2 high (above 250 V)."
    )
    pf_issue: Flag = Field(description="1 if power_factor is below 0.85, else 0.")
    high_temp: Flag = Field(description="1 if temperature is above 40 degrees Celsius, else 0.")
    load_intensity: float = Field(
        ge=0,
        le=MAX_INTENSITY,
        description="kWh of the finished interval / (load_kw + 0.00001), in hours.",
        json_schema_extra={"x-unit": "h"},
    )
    units_lag_day: Lag | None = _optional_kwh("Consumption of the same interval a day earlier")
    units_lag_week: Lag | None = _optional_kwh("Consumption of the same interval a week earlier")
    units_mean_day: Lag | None = _optional_kwh("Mean consumption per interval of the last 24 hours")
    units_mean_week: Lag | None = _optional_kwh("Mean consumption per interval of the last 7 days")

    @field_validator(*DERIVED)
    @classmethod
    def _agrees(cls, value: int, info: ValidationInfo) -> int:
        """Refuse a derived field that contradicts its source (the error names the field)."""
        rule = DERIVED[str(info.field_name)]
        source = info.data.get(rule.source)
        if source is not None and value != (expected := rule.formula(source)):
            raise PydanticCustomError(
                "contradiction",
                "{field} is {value}, but {source} {given} makes it {expected}",
                {
                    "field": info.field_name,
                    "value": value,
                    "source": rule.source,
                    "given": source,
                    "expected": expected,
                },
            )
        return value


class BatchRequest(BaseModel):
    """One to a thousand independent requests."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    items: list[MeterFeatures] = Field(
        min_length=1, max_length=MAX_BATCH, description="The answer keeps this order."
    )


class Values(BaseModel):
    """What the two models say about one interval."""

    units_kwh: float = Field(
        ge=0,
        description="Predicted consumption of the interval in kWh.",
        json_schema_extra={"x-unit": "kWh"},
    )
    high_consumption_probability: float = Field(
        ge=0,
        le=1,
        description="Probability that the interval is one of high consumption for its meter.",
    )


class _Versions(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    model_version: str = Field(description="Version of the model behind units_kwh.")
    high_consumption_model_version: str = Field(
        description="Version of the model behind high_consumption_probability."
    )


class Prediction(Values, _Versions):
    """The answer to one request."""


class BatchPrediction(_Versions):
    """The answers to a batch, in its order."""

    predictions: list[Values]


class ErrorAnswer(BaseModel):
    """Why a request was refused, as a sentence."""

    detail: str


class BadField(BaseModel):
    """One field that is not as the schema asks."""

    loc: list[int | str] = Field(description='Where: "body", then names and list positions.')
    msg: str
    type: str = Field(description='A stable name, for example "missing" or "contradiction".')


class InvalidAnswer(BaseModel):
    """Every bad field of a body."""

    detail: list[BadField] = Field(description="At most the first hundred.")
    errors: int = Field(description="How many there are in all.")


class Live(BaseModel):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """Whether requests can be answered, and if not, why."""

    status: Literal["ready", "not ready"]
    reasons: list[str] = Field(
        default=[], description="What is lacking; when ready, what predictions can do without."
    )


class Version(BaseModel):
    """What exactly is running; null is what the process was not told or has not loaded."""

    model_config = ConfigDict(protected_namespaces=())

    git_sha: str | None
    image_digest: str | None
    model_version: str | None
    high_consumption_model_version: str | None
