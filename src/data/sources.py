"""Adapters: files of meter data as their publishers write them -> the reading frame.

An adapter says in which zone and of what length the readings are, and turns the file's own
columns into ``data.readings.COLUMNS``. What a set lacks is missing, never invented.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from data.readings import COLUMNS, KEY, MEASUREMENTS, ReadingError, range_problems
from data.textfile import Rejected, read_table, shown

MISSING = frozenset({"", "?", "NA", "N/A", "NaN", "nan", "null", "NULL"})
# [0-9], since \d also matches the digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_OFFSET = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


class RawColumns:
    """The text columns of a file, and the reason why each row can't be used ("" if it can)."""

    def __init__(self, text: pd.DataFrame) -> None:
        self._text = text
        self.reasons: NDArray[np.object_] = np.full(len(text), "", dtype=object)

    def reject(self, rows: ArrayLike, reason: str) -> None:
        """Give these rows this reason, unless they have one already."""
        self.reasons[np.asarray(rows, dtype=bool) & (self.reasons == "")] = reason

    def text(self, name: str) -> pd.Series:
        """Return a column with its missing marks as NaN."""
        column = self._text[name]
        return pd.Series(column.mask(column.isin(MISSING)))

    def number(self, name: str) -> pd.Series:
        """Return a column as float64; rows with anything but a decimal number are rejected."""
        column = self._text[name].to_numpy(dtype=object)
        number = [_NUMBER.fullmatch(value) is not None for value in column]
        wrong = [not good and value not in MISSING for good, value in zip(number, column)]
        self.reject(wrong, f"{name} is not a number")
        numbers = pd.to_numeric(np.where(number, column, ""), errors="coerce")
        return pd.Series(numbers, index=self._text.index, dtype=np.float64)

    def date(self, column: pd.Series, form: str, reason: str) -> pd.Series:
        """Return dates read in exactly this form; rows where it does not fit are rejected."""
        dates = pd.to_datetime(column, format=form, errors="coerce")
        self.reject(dates.isna(), reason)
        return dates

    def localize(self, local: pd.Series, zone: str) -> pd.Series:
        """Return wall-clock times as instants of ``zone``.

        When clocks go back an hour occurs twice: a label's first row is summer time, its second
        winter time. When they go forward, labels of the hour that was left out are rejected.
        """
        first = (local.groupby(local).cumcount() == 0).to_numpy()
        dates: pd.Series = local.dt.tz_localize(zone, ambiguous=first, nonexistent="NaT")
        self.reject(
            dates.isna() & local.notna(), f"this time does not exist in {zone} (clocks go forward)"
        )
        return dates


@dataclass(frozen=True)
class Source:
    """A kind of file: how to recognise it and how to read it.

    ``pattern`` is the usual file name, ``columns`` what the header must have, ``zone`` the IANA
    zone of the meters, ``interval`` the length of a reading; ``read`` turns the raw columns into
    reading columns (those that it leaves out are missing).
    """

    name: str
    pattern: str
    zone: str
    interval: pd.Timedelta
    columns: tuple[str, ...]
    read: Callable[[RawColumns, "Source"], dict[str, pd.Series | str]]


def _steel(raw: RawColumns, source: Source) -> dict[str, pd.Series | str]:
    """UCI "Steel Industry Energy Consumption" (CC BY 4.0): one plant in Korea, 15 min, 2018.

    ``date`` is d/m/Y and labels the END of the interval; the row that ends a day is labelled 0:00
    with that same day's date, so it means 24:00. Power factors are in per cent.
    """
    label = raw.date(raw.text("date"), "%d/%m/%Y %H:%M", "date is not of the form d/m/Y H:M")
    midnight = (label == label.dt.normalize()).astype(np.int64)
    start = label + pd.to_timedelta(midnight, unit="D") - source.interval
    return {
        "meter_id": "steel-plant",
        "reading_date": raw.localize(start, source.zone),
        "units": raw.number("Usage_kWh"),
        "power_factor": raw.number("Lagging_Current_Power_Factor") / 100,
    }


def _household(raw: RawColumns, source: Source) -> dict[str, pd.Series | str]:
    """UCI "Individual Household Electric Power Consumption": one house near Paris, 1 min.

    Dates are d/m/Y (1/2/2007 is 1 February), powers are kW (kvar) means of the minute, so a
    reading's kWh is kW / 60; power factor = P / sqrt(P^2 + Q^2), missing when both are 0.
    """
    label = raw.text("Date").str.cat(raw.text("Time"), sep=" ")
    local = raw.date(label, "%d/%m/%Y %H:%M:%S", "Date and Time are not of the form d/m/Y H:M:S")
    active = raw.number("Global_active_power")
    reactive = raw.number("Global_reactive_power")
    apparent = (active**2 + reactive**2) ** 0.5
    return {
        "meter_id": "household",
        "reading_date": raw.localize(local, source.zone),
        "units": active * (source.interval / pd.Timedelta(hours=1)),
        "voltage": raw.number("Voltage"),
        "power_factor": active / apparent.where(apparent > 0),
        "load_kw": active,
    }


def _vic(raw: RawColumns, source: Source) -> dict[str, pd.Series | str]:
    """R package tsibbledata, "vic_elec": operational demand of Victoria, Australia, 30 min.

    ``Time`` is the start in UTC. The publisher documents ``Demand`` as MWh per half-hour, but its
    mean of 4,665 fits average MW only: 4,665 MW is 41 TWh a year, what the state uses, while
    MWh per half-hour would be twice that. So load_kw = Demand * 1000 and
    units = Demand * 0.5 h * 1000.
    """
    form = "Time is not of the form 2012-01-31T13:30:00Z"
    local = raw.date(raw.text("Time"), "%Y-%m-%dT%H:%M:%SZ", form)
    load_kw = raw.number("Demand") * 1000
    return {
        "meter_id": "vic-demand",
        "reading_date": local.dt.tz_localize("UTC").dt.tz_convert(source.zone),
        "units": load_kw * (source.interval / pd.Timedelta(hours=1)),
        "load_kw": load_kw,
        "temperature": raw.number("Temperature"),
    }


def _contract(raw: RawColumns, source: Source) -> dict[str, pd.Series | str]:
    """Files in this project's own columns; reading_date is ISO 8601 with an offset."""
    text = raw.text("reading_date")
    fits = text.str.fullmatch(_OFFSET).fillna(False).astype(bool)
    dates = pd.to_datetime(text.where(fits), format="ISO8601", utc=True, errors="coerce")
    raw.reject(dates.isna(), "reading_date is not ISO 8601 with an offset (2025-01-31T13:00+01:00)")
    return {
        "meter_id": raw.text("meter_id"),
        "reading_date": dates.dt.tz_convert(source.zone),
        **{name: raw.number(name) for name in MEASUREMENTS},
        "phase": raw.number("phase"),
        "status": raw.text("status"),
    }


SOURCES = {
    source.name: source
    for source in (
        Source(
            "steel",
            "steel_industry*.csv",
            "Asia/Seoul",
            pd.Timedelta(minutes=15),
            ("date", "Usage_kWh", "Lagging_Current_Power_Factor"),
            _steel,
        ),
        Source(
            "household",
            "household_power*.csv",
            "Europe/Paris",
            pd.Timedelta(minutes=1),
            ("Date", "Time", "Global_active_power", "Global_reactive_power", "Voltage"),
            _household,
        ),
        Source(
            "vic",
            "vic_electricity*.csv",
            "Australia/Melbourne",
            pd.Timedelta(minutes=30),
            ("Time", "Demand", "Temperature"),
            _vic,
        ),
        Source(
            "sample",
            "sample_readings*.csv",
            "Europe/Berlin",
            pd.Timedelta(hours=1),
            tuple(COLUMNS),
            _contract,
        ),
    )
}


@dataclass(frozen=True)
class ParsedFile:
    """A file as readings (valid, sorted) and the lines that are not among them."""

    frame: pd.DataFrame
    rejected: list[Rejected]
    source: Source
    sha256: str
    name: str


def find_source(header: list[str], name: str) -> Source:
    """Return the source whose columns ``header`` has; ``name`` is the file's, for the error."""
    fits = [source for source in SOURCES.values() if set(source.columns) <= set(header)]
    if len(fits) != 1:
        known = "; ".join(f"{s.name}: {', '.join(s.columns)}" for s in SOURCES.values())
        found = ", ".join(ascii(column)[1:-1] for column in header)[:200]
        raise ReadingError(f"{name}, line 1: unknown header ({found}): known are {known}")
    return fits[0]


def named_source(source: Source | str) -> Source:
    """Return the source of this name; a Source is returned as it is."""
    if isinstance(source, Source):
        return source
    if source not in SOURCES:
        raise ReadingError(f"unknown source {source!r}: known are {', '.join(SOURCES)}")
    return SOURCES[source]


def parse_file(path: str | Path, source: Source | str | None = None) -> ParsedFile:
    """Read a file, setting bad lines aside.

    Without ``source`` it is found by the header. Raises ReadingError for a file that can't be
    trusted or recognised as a whole.
    """
    path = Path(path)
    table = read_table(path)
    chosen = find_source(table.header, shown(path)) if source is None else named_source(source)
    lacking = [name for name in chosen.columns if name not in table.header]
    if lacking:
        raise ReadingError(f"{shown(path)}, line 1: no column {lacking[0]}: not {chosen.name} data")
    raw = RawColumns(pd.DataFrame(table.rows, columns=table.header, dtype="str"))
    frame = _completed(pd.DataFrame(chosen.read(raw, chosen), index=range(len(table.rows))))
    raw.reasons = np.where(raw.reasons != "", raw.reasons, range_problems(frame))
    _reject_repeats(raw, frame, table.lines)
    good = raw.reasons == ""
    rejected = table.rejected + [
        Rejected(table.lines[row], table.texts[row], raw.reasons[row])
        for row in np.flatnonzero(~good).tolist()
    ]
    rejected.sort(key=lambda bad: bad.line)
    frame = frame[good].astype({"phase": "Int64"}).sort_values(KEY, ignore_index=True)
    return ParsedFile(frame, rejected, chosen, table.sha256, shown(path))


def read_source(path: str | Path, source: Source | str | None = None) -> pd.DataFrame:
    """Return the readings of a file; any bad line is a ReadingError naming file, line, remedy."""
    parsed = parse_file(path, source)
    if parsed.rejected:
        bad = parsed.rejected[0]
        raise ReadingError(
            f"{parsed.name}, line {bad.line}: {bad.reason} ({len(parsed.rejected)} bad lines): "
            "correct the file, or load it with data.ingestion, which sets bad lines aside"
        )
    return parsed.frame


def _completed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with all of ``COLUMNS``, absent ones missing, phase still float."""
    for name in COLUMNS:
        if name not in frame:
            frame[name] = np.nan
    return frame[COLUMNS].astype({"meter_id": "str", "status": "str", "phase": np.float64})


def _reject_repeats(raw: RawColumns, frame: pd.DataFrame, lines: list[int]) -> None:
    """Reject all but the first good row of a meter and time, naming the first one's line."""
    good = frame.loc[raw.reasons == "", KEY]
    repeats = good.index[good.duplicated(KEY)]
    if repeats.empty:
        return
    first = pd.Series(good.index, index=good.index).groupby([good[k] for k in KEY]).transform("min")
    for row in repeats:
        raw.reasons[row] = f"repeats the reading of line {lines[first[row]]}"
