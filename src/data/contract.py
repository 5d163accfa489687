"""Reads the data contracts by which the data stage judges, so that ingestion judges alike.

A contract is a Table Schema descriptor, ``data/schemas/NAME.yaml``; docs/data-contracts.md tells
its keys. The data stage reads it strictly; this reader takes what Python needs of it: the limits,
patterns and categories of its fields.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

#: Names the directory of the descriptors, for where it is not data/schemas beside src.
VARIABLE = "METER_CONTRACTS"


class ContractError(ValueError):
    """A contract that can't be used; says which, and what to do."""


@dataclass(frozen=True)
class Field:
    """One column. Limits and categories are None where there are none."""

    name: str
    type: str
    unit: str
    required: bool
    pattern: str | None
    minimum: float | datetime | None
    maximum: float | datetime | None
    enum: tuple[str, ...] | tuple[int, ...] | None

    def limits(self) -> tuple[float, float]:
        """Return the closed range of a number; ContractError if an end is open."""
        if isinstance(self.minimum, float) and isinstance(self.maximum, float):
            return self.minimum, self.maximum
        raise ContractError(f"{self.name} needs a minimum and a maximum: add them to its contract")

    def period(self) -> tuple[datetime, datetime]:
        """Return the first and the last moment of a datetime; ContractError if an end is open."""
        if isinstance(self.minimum, datetime) and isinstance(self.maximum, datetime):
            return self.minimum, self.maximum
        raise ContractError(f"{self.name} needs a minimum and a maximum: add them to its contract")


@dataclass(frozen=True)
class Contract:
    """One data set: its fields by name, in the file's order, and those of its primary key."""

    name: str
    fields: dict[str, Field]
    key: tuple[str, ...]


def directory() -> Path:
    """Return the directory of the descriptors: METER_CONTRACTS, else data/schemas beside src."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(__file__).resolve().parents[2] / "data" / "schemas"


def load_contract(name: str) -> Contract:
    """Return the contract NAME.yaml; ContractError names the file and what is wrong with it."""
    path = directory() / f"{name}.yaml"
    try:
        schema = _mapping(path.read_text("utf-8"))["schema"]
        fields = [_field(column) for column in schema["fields"]]
        key = schema.get("primaryKey", [])
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ContractError(
            f"{path}: {reason}: set {VARIABLE} to the contracts' directory"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise ContractError(f"{path} is not YAML: {text}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        text = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ContractError(f"{path} is no contract: {text}: run mage data") from None
    return Contract(
        name=name,
        fields={field.name: field for field in fields},
        key=(key,) if isinstance(key, str) else tuple(key),
    )


def _mapping(text: str) -> Any:
    """Return the document with every scalar as the text that is written, as in a cell."""
    loader = yaml.BaseLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _field(column: dict[str, Any]) -> Field:
    """Return the field of a descriptor's entry."""
    kind = column.get("type", "any")
    limits = column.get("constraints", {})
    layout = column.get("format", "default")
    enum = limits.get("enum")
    return Field(
        name=column["name"],
        type=kind,
        unit=column.get("unit", ""),
        required=limits.get("required") == "true",
        pattern=limits.get("pattern"),
        minimum=_limit(kind, layout, limits.get("minimum")),
        maximum=_limit(kind, layout, limits.get("maximum")),
        enum=None if enum is None else tuple(map(int, enum) if kind == "integer" else enum),
    )


def _limit(kind: str, layout: str, text: str | None) -> float | datetime | None:
    """Return a minimum or maximum of a number or a datetime; None for other types."""
    if text is None:
        return None
    if kind in ("number", "integer"):
        return float(text)
    if kind == "datetime":
        if layout == "default":
            return datetime.fromisoformat(text)
        return datetime.strptime(text, layout)
    return None
