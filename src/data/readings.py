"""What a reading is: its columns, their units and what is plausible.

All of it stands in the contract ``data/schemas/readings.yaml``, by which the data stage judges too.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.contract import load_contract

_CONTRACT = load_contract("readings")
_DATES = tuple(
    pd.Timestamp(end).tz_convert("UTC") for end in _CONTRACT.fields["reading_date"].period()
)

STATUSES = _CONTRACT.fields["status"].enum or ()
METER_ID_PATTERN = _CONTRACT.fields["meter_id"].pattern or ""
#: Start of the interval; anything outside is a typing error.
FIRST_DATE, LAST_DATE = _DATES


class ReadingError(ValueError):
    """A file or frame of readings that can't be used; says where and what to do."""


@dataclass(frozen=True)
class Measurement:
    """A number of a reading: its unit and the closed range of plausible values."""

    unit: str
    minimum: float
    maximum: float


#: The columns with a unit, in the order of the file.
MEASUREMENTS = {
    field.name: Measurement(field.unit, *field.limits())
    for field in _CONTRACT.fields.values()
    if field.type == "number"
}
PHASES = _CONTRACT.fields["phase"].enum or ()
KEY = list(_CONTRACT.key)
COLUMNS = list(_CONTRACT.fields)


def require_columns(frame: pd.DataFrame, columns: list[str]) -> None:
    """Raise ReadingError naming the columns that ``frame`` lacks."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ReadingError(f"readings lack the columns {', '.join(missing)}: expected {COLUMNS}")


def require_zone(frame: pd.DataFrame) -> None:
    """Raise ReadingError unless reading_date knows its time zone."""
    if not isinstance(frame["reading_date"].dtype, pd.DatetimeTZDtype):
        raise ReadingError(
            f"reading_date is {frame['reading_date'].dtype}, without a time zone: "
            "use Series.dt.tz_localize with the zone of the meters"
        )


def range_problems(frame: pd.DataFrame) -> NDArray[np.object_]:
    """Return, per row, why a value is not plausible ("" where all are), missing values aside."""
    reasons: NDArray[np.object_] = np.full(len(frame), "", dtype=object)
    for name, limits in MEASUREMENTS.items():
        values = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        outside = ~np.isnan(values) & ~((values >= limits.minimum) & (values <= limits.maximum))
        text = f"{name} is outside {limits.minimum:g} to {limits.maximum:g} {limits.unit}"
        reasons[outside & (reasons == "")] = text
    checks = {
        f"meter_id is missing or not of the form {METER_ID_PATTERN}": ~frame["meter_id"]
        .astype("string")
        .str.fullmatch(METER_ID_PATTERN)
        .fillna(False)
        .astype(bool),
        "reading_date is missing": frame["reading_date"].isna(),
        f"reading_date is outside {FIRST_DATE.year} to {LAST_DATE.year}": (
            (frame["reading_date"] < FIRST_DATE) | (frame["reading_date"] > LAST_DATE)
        ),
        "phase is none of " + ", ".join(map(str, PHASES)): frame["phase"].notna()
        & ~frame["phase"].isin(PHASES),
        "status is none of " + ", ".join(map(str, STATUSES)): frame["status"].notna()
        & ~frame["status"].isin(STATUSES),
    }
    for text, found in checks.items():
        reasons[found.to_numpy(dtype=bool) & (reasons == "")] = text
    return reasons


def validate_readings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ``frame`` itself when it is a valid reading frame, else raise ReadingError.

    Valid: all of ``COLUMNS``, a time zone, plausible values, unique and sorted by ``KEY``.
    """
    require_columns(frame, COLUMNS)
    require_zone(frame)
    reasons = range_problems(frame)
    bad = np.flatnonzero(reasons != "")
    if bad.size:
        raise ReadingError(f"row {bad[0]} ({bad.size} such rows): {reasons[bad[0]]}")
    duplicates = np.flatnonzero(frame.duplicated(KEY).to_numpy())
    if duplicates.size:
        row = frame.iloc[duplicates[0]]
        raise ReadingError(
            f"row {duplicates[0]}: second reading of {row.meter_id} at {row.reading_date}: drop one"
        )
    if not frame[KEY].equals(frame[KEY].sort_values(KEY, ignore_index=True).set_axis(frame.index)):
        raise ReadingError("readings are not sorted: use sort_values(['meter_id', 'reading_date'])")
    return frame
