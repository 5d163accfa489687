"""From readings to features, targets and a time-ordered split: the pandas part of training.

The formulas and the order of the features are in ``data.features``, which serving uses too.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data import features as ft
from data.readings import (
    COLUMNS,
    KEY,
    ReadingError,
    require_columns,
    require_zone,
    validate_readings,
)
from data.sources import Source, read_source

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample_readings.csv"

Ints = NDArray[np.int64]
_DAY = 86_400 * 10**9  # ns
_WINDOWS = {"day": _DAY, "week": 7 * _DAY}  # ns


def load_data(path: str | Path | None = None, source: Source | str | None = None) -> pd.DataFrame:
    """Return the readings of a file (default: the shipped sample); see ``data.sources``.

    Raises ReadingError naming file, line and remedy.
    """
    return read_source(SAMPLE if path is None else path, source)


@dataclass(frozen=True)
class _Meter:
    """The rows ``start:stop`` of one meter in the sorted frame, and its interval in ns."""

    start: int
    stop: int
    step: int


def create_features(
    readings: pd.DataFrame, *, interval: pd.Timedelta | None = None
) -> pd.DataFrame:
    """Return meter_id, reading_date and ``FEATURES`` (float64), sorted by meter and time.

    The row of the interval that starts at t holds only what is known at t:

    - hour, day_of_week (Monday 0), is_weekend: of t, in the zone of ``reading_date``;
    - measurements, flags, load_intensity, units_lag_1: of the reading at exactly t - interval;
    - units_lag_day, units_lag_week: kWh of the reading at exactly t - 24 h, t - 7 d;
    - units_mean_day, units_mean_week: mean kWh of the readings in [t - 24 h, t), [t - 7 d, t)
      whose interval has ended by t, missing ones aside.

    A reading is found by its time, so a gap gives missing values, not those of another interval.
    ``interval`` is the length of a reading; by default, for each meter, the most frequent spacing
    of its readings (the shorter one of equals). Pass it where rows are too few to tell.
    Raises ReadingError for a missing column or zone, or two readings of a meter at one time.
    """
    require_columns(readings, [*KEY, "units", *ft.MEASUREMENTS])
    require_zone(readings)
    frame, codes, times = _sorted(readings)
    # One row of the block per feature: filled in place, and the frame's own storage in the end.
    block = np.full((len(ft.FEATURES), len(frame)), np.nan)
    columns = dict(zip(ft.FEATURES, block))
    index = {name: np.full(len(frame), -1) for name in ("previous", *_WINDOWS)}
    units = _finite(frame["units"])
    for meter in _meters(codes, times, interval):
        _look_back(meter, times[meter.start : meter.stop], units, columns, index)

    for name in ft.MEASUREMENTS:
        columns[name][:] = _take(_finite(frame[name]), index["previous"])
    columns["units_lag_1"][:] = _take(units, index["previous"])
    for window in _WINDOWS:
        columns[f"units_lag_{window}"][:] = _take(units, index[window])
    _derive(columns, frame["reading_date"])
    made = pd.DataFrame(block.T, columns=list(ft.FEATURES), copy=False)
    for position, name in enumerate(KEY):
        made.insert(position, name, frame[name])
    return made


def _look_back(
    meter: _Meter,
    moments: Ints,
    units: ft.Floats,
    columns: dict[str, ft.Floats],
    index: dict[str, Ints],
) -> None:
    """Find, for each reading of a meter, the earlier ones, and fill in the means over windows.

    Running totals start anew with each meter, so no bit of a mean depends on another meter.
    """
    if meter.stop - meter.start == 1:
        return  # nothing is earlier; the interval may be unknown, too
    rows = slice(meter.start, meter.stop)
    present = ~np.isnan(units[rows])
    totals = np.concatenate(([0.0], np.cumsum(np.where(present, units[rows], 0.0))))
    counts = np.concatenate(([0], np.cumsum(present)))
    ended = np.searchsorted(moments, moments - meter.step, side="right")
    index["previous"][rows] = _exact(moments, ended - 1, meter.step, meter.start)
    for name, window in _WINDOWS.items():
        first = np.searchsorted(moments, moments - window, side="left")
        columns[f"units_mean_{name}"][rows] = _mean(totals, counts, first, ended)
        if window >= meter.step:
            index[name][rows] = _exact(moments, first, window, meter.start)


def _derive(columns: dict[str, ft.Floats], dates: pd.Series) -> None:
    """Fill the calendar of the interval itself, and what follows from the measurements."""
    columns["hour"][:] = dates.dt.hour
    columns["day_of_week"][:] = dates.dt.day_of_week
    columns["is_weekend"][:] = ft.is_weekend(columns["day_of_week"])
    columns["voltage_flag"][:] = ft.voltage_flag(columns["voltage"])
    columns["pf_issue"][:] = ft.pf_issue(columns["power_factor"])
    columns["high_temp"][:] = ft.high_temp(columns["temperature"])
    columns["load_intensity"][:] = ft.load_intensity(columns["units_lag_1"], columns["load_kw"])


def next_features(readings: pd.DataFrame, *, interval: pd.Timedelta | None = None) -> pd.DataFrame:
    """Return the features of each meter's next interval (one row a meter), as in create_features.

    The next interval starts when the meter's latest reading ends. A meter with one reading needs
    ``interval``, else ReadingError.
    """
    require_columns(readings, COLUMNS)
    require_zone(readings)
    frame, codes, times = _sorted(readings)
    meters = list(_meters(codes, times, interval))
    alone = [frame["meter_id"].iloc[m.start] for m in meters if m.step <= 0]
    if alone:
        raise ReadingError(f"meter {alone[0]} has one reading only: pass interval=")
    last = frame.iloc[[meter.stop - 1 for meter in meters]]
    steps = pd.to_timedelta([meter.step for meter in meters], unit="ns")
    upcoming = pd.DataFrame(
        {"meter_id": last["meter_id"].array, "reading_date": last["reading_date"].array + steps}
    )
    together = pd.concat([frame, upcoming], ignore_index=True)
    made = create_features(together, interval=interval)
    return made[~made["meter_id"].duplicated(keep="last")].reset_index(drop=True)


def _sorted(readings: pd.DataFrame) -> tuple[pd.DataFrame, Ints, Ints]:
    """Return the readings sorted by meter and time, each row's meter as a number, its time in ns.

    Already sorted input (the usual case) is not copied.
    """
    frame = readings.reset_index(drop=True)
    codes, _ = pd.factorize(frame["meter_id"], sort=True)
    if (codes < 0).any() or frame["reading_date"].isna().any():
        raise ReadingError("a reading has no meter_id or no reading_date: drop it")
    codes = codes.astype(np.int64)
    times = frame["reading_date"].to_numpy("datetime64[ns]").view(np.int64)
    steps = np.diff(codes)
    if ((steps < 0) | ((steps == 0) & (np.diff(times) < 0))).any():
        order = np.lexsort((times, codes))
        frame, codes, times = frame.iloc[order].reset_index(drop=True), codes[order], times[order]
    twice = np.flatnonzero((np.diff(codes) == 0) & (np.diff(times) == 0))
    if twice.size:
        row = frame.iloc[twice[0]]
        raise ReadingError(f"two readings of {row.meter_id} at {row.reading_date}: drop one")
    return frame, codes, times


def _meters(codes: Ints, times: Ints, interval: pd.Timedelta | None) -> Iterator[_Meter]:
    """Yield each meter's rows with its interval: the given one, else its most frequent spacing."""
    given = None if interval is None else int(interval.as_unit("ns").value)
    if given is not None and given <= 0:
        raise ReadingError(f"interval is {interval}: it must be positive")
    edges = np.flatnonzero(np.diff(codes, prepend=-1, append=-1)) if codes.size else codes
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist()):
        yield _Meter(start, stop, _spacing(times[start:stop]) if given is None else given)


def _spacing(moments: Ints) -> int:
    """Return the most frequent spacing in ns (the shortest of equals); 0 for a single reading."""
    spacings, frequency = np.unique(np.diff(moments), return_counts=True)
    return int(spacings[np.argmax(frequency)]) if spacings.size else 0


def _exact(moments: Ints, index: Ints, distance: int, start: int) -> Ints:
    """Return ``start + index`` where that reading is exactly ``distance`` before, else -1."""
    found = (index >= 0) & (moments[np.maximum(index, 0)] == moments - distance)
    return np.where(found, start + index, -1)


def _mean(totals: ft.Floats, counts: Ints, first: Ints, ended: Ints) -> ft.Floats:
    """Return the means of the readings ``first:ended`` from running totals, NaN where none is."""
    number = counts[ended] - counts[first]
    present = number > 0
    return np.where(present, (totals[ended] - totals[first]) / np.where(present, number, 1), np.nan)


def _take(values: ft.Floats, index: Ints) -> ft.Floats:
    """Return ``values[index]``, NaN where the index is -1."""
    return np.where(index >= 0, values[index], np.nan) if values.size else values


def _finite(column: pd.Series) -> ft.Floats:
    """Return a column as float64 with NaN for all that is not a finite number."""
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


@dataclass(frozen=True)
class Dataset:
    """What a model learns from: n rows in the order of ``reading_date`` within each meter.

    X: float32 (n, 17), columns ``data.features.FEATURES``; y: float64 (n,), kWh of the interval;
    meta: meter_id and reading_date of each row.
    """

    X: NDArray[np.float32]  # pylint: disable=invalid-name  # scikit-learn's name for it
    y: ft.Floats
    meta: pd.DataFrame

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: NDArray[np.bool_] | Ints) -> "Dataset":
        """Return the data set of these rows (mask or positions)."""
        return Dataset(self.X[rows], self.y[rows], self.meta.iloc[rows].reset_index(drop=True))

    def split(self, test_fraction: float = 0.2) -> tuple["Dataset", "Dataset"]:
        """Return the earlier and the later part; see ``time_split``."""
        late = (self.meta["reading_date"] >= cut_off(self.meta, test_fraction)).to_numpy()
        return self.take(~late), self.take(late)


def create_dataset(readings: pd.DataFrame, *, interval: pd.Timedelta | None = None) -> Dataset:
    """Return features and target of every reading that a model may learn from.

    Kept are rows with a target, not marked as fault, and with the interval before them
    (units_lag_1), without which there is nothing to predict from.
    """
    require_columns(readings, COLUMNS)
    made = create_features(readings, interval=interval)
    frame, _, _ = _sorted(readings)
    target = _finite(frame["units"])
    fault = frame["status"].eq("fault").fillna(False).to_numpy(bool)
    keep = ~np.isnan(target) & ~fault & made["units_lag_1"].notna().to_numpy()
    matrix = made.loc[keep, list(ft.FEATURES)].to_numpy(np.float32)
    return Dataset(matrix, target[keep], made.loc[keep, KEY].reset_index(drop=True))


def cut_off(frame: pd.DataFrame, test_fraction: float) -> pd.Timestamp:
    """Return the instant from which rows belong to the test part.

    Raises ReadingError when a part would be empty.
    """
    if not 0 < test_fraction < 1:
        raise ReadingError(f"test_fraction is {test_fraction}: it must lie between 0 and 1")
    dates = frame["reading_date"].sort_values(ignore_index=True)
    position = round(len(dates) * (1 - test_fraction))
    if position >= len(dates) or dates.iloc[0] == dates.iloc[position]:
        raise ReadingError(f"{len(dates)} rows are too few to split by time: give more readings")
    return pd.Timestamp(dates.iloc[position])


def time_split(
    frame: pd.DataFrame, test_fraction: float = 0.2
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (train, test): all rows before one instant, and all from it on.

    The instant is that of the row after the first 1 - ``test_fraction`` of all meters' rows.
    """
    late = frame["reading_date"] >= cut_off(frame, test_fraction)
    return frame[~late], frame[late]


def write_dataset(dataset: Dataset, path: str | Path) -> None:
    """Write what a model learns from as CSV: ``KEY``, ``FEATURES`` and the target ``units``.

    A missing value is an empty cell, an instant has its offset; ``data/schemas/features.yaml`` is
    the contract of this file. Values are what the model sees, in single precision.
    """
    table = pd.DataFrame(dataset.X, columns=list(ft.FEATURES))
    dates = dataset.meta["reading_date"].map(lambda date: date.isoformat())
    for position, (name, column) in enumerate(
        {"meter_id": dataset.meta["meter_id"], "reading_date": dates}.items()
    ):
        table.insert(position, name, column.to_numpy())
    table.assign(units=dataset.y).to_csv(path, index=False, lineterminator="\n")


def data_hash(readings: pd.DataFrame) -> str:
    """Return the SHA-256 (hex) of the readings' content.

    Row order, index, column order, time resolution and the sign of zero don't matter; the zone
    does, since the calendar features depend on it.
    """
    validate = readings.sort_values(KEY, ignore_index=True)
    validate_readings(validate)
    digest = hashlib.sha256(str(validate["reading_date"].dt.tz).encode())
    for name in COLUMNS:
        column = validate[name]
        digest.update(f"\n{name}:{len(column)}:".encode())
        if name == "reading_date":
            digest.update(column.to_numpy("datetime64[ns]").astype("<i8").tobytes())
        elif name in ("meter_id", "status"):
            digest.update("\0".join(column.fillna("")).encode())
        else:
            values = column.to_numpy(dtype="<f8", na_value=np.nan) + 0.0
            digest.update(np.where(np.isnan(values), np.nan, values).tobytes())
    return digest.hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; exit code 0 written, 2 bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m data.create_datasets", description="Write the feature table of readings."
    )
    parser.add_argument("readings", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args(arguments)
    try:
        dataset = create_dataset(load_data(options.readings))
        write_dataset(dataset, options.output)
    except (ReadingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(dataset)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
