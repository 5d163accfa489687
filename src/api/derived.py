"""The derived fields of a request: each must agree with the measurement that it is derived from.

``data.features`` has the formulas for arrays; here they are comparisons of single numbers (twenty
times faster, a batch has four thousand), with the same thresholds. A test keeps the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from data import features


@dataclass(frozen=True)
class Derived:
    """One derived field: its source field, its formula, and the same formula as JSON Schema.

    ``ranges`` holds, for each value of the field, the schema of the source values that imply it.
    """

    source: str
    formula: Callable[[float], int]
    ranges: Mapping[int, Mapping[str, float]]


def _voltage_flag(volts: float) -> int:
    return 1 + (volts > features.HIGH_VOLTAGE) - (volts < features.LOW_VOLTAGE)


DERIVED: Mapping[str, Derived] = {
    "voltage_flag": Derived(
        "voltage",
        _voltage_flag,
        {
            0: {"exclusiveMaximum": features.LOW_VOLTAGE},
            1: {"minimum": features.LOW_VOLTAGE, "maximum": features.HIGH_VOLTAGE},
            2: {"exclusiveMinimum": features.HIGH_VOLTAGE},
        },
    ),
    "pf_issue": Derived(
        "power_factor",
        lambda factor: int(factor < features.LOW_POWER_FACTOR),
        {
            0: {"minimum": features.LOW_POWER_FACTOR},
            1: {"exclusiveMaximum": features.LOW_POWER_FACTOR},
        },
    ),
    "high_temp": Derived(
        "temperature",
        lambda degrees: int(degrees > features.HIGH_TEMPERATURE),
        {
            0: {"maximum": features.HIGH_TEMPERATURE},
            1: {"exclusiveMinimum": features.HIGH_TEMPERATURE},
        },
    ),
    "is_weekend": Derived(
        "day_of_week",
        lambda day: int(day >= features.FIRST_WEEKEND_DAY),
        {
            0: {"maximum": features.FIRST_WEEKEND_DAY - 1},
            1: {"minimum": features.FIRST_WEEKEND_DAY},
        },
    ),
}


def agreement_schema() -> list[JsonValue]:
    """Return the JSON Schema (an ``allOf`` list) by which derived fields agree with their source.

    So a client can check a request completely before sending it.
    """
    return [
        {
            "anyOf": [
                {"properties": {rule.source: dict(span), name: {"const": value}}}
                for value, span in rule.ranges.items()
            ]
        }
        for name, rule in DERIVED.items()
    ]
