"""What is known of the shipped sample, counted from its text alone: no code of src/ is asked."""

import csv
import importlib.util
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from hops import ROOT, SAMPLE

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Line:
    """One reading of the file; `units` is None where the cell is empty."""

    meter: str
    local: datetime
    units: float | None
    fault: bool

    @property
    def instant(self) -> datetime:
        return self.local.astimezone(UTC)


@cache
def lines() -> tuple[Line, ...]:
    """The file, line by line."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        return tuple(
            Line(
                row["meter_id"],
                datetime.fromisoformat(row["reading_date"]),
                float(row["units"]) if row["units"] else None,
                row["status"] == "fault",
            )
            for row in csv.DictReader(file)
        )


@cache
def units() -> dict[tuple[str, datetime], float | None]:
    """kWh of each meter and instant."""
    return {(line.meter, line.instant): line.units for line in lines()}


def learnable() -> list[Line]:
    """The readings that a model may learn from: with kWh, no fault, and with the hour before."""
    return [
        line
        for line in lines()
        if line.units is not None
        and not line.fault
        and units().get((line.meter, line.instant - HOUR)) is not None
    ]


def stated() -> dict[str, int]:
    """Readings of each meter, as the sample's generator states them."""
    path = ROOT / "scripts" / "generate_sample.py"
    spec = importlib.util.spec_from_file_location("generate_sample", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {meter[0]: module.DAYS * 24 for meter in module.METERS}
