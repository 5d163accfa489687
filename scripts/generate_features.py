#!/usr/bin/env python3
"""Writes a feature table of any size, to measure validators on.

A hundred meters are read every hour for 10,000 hours; the columns are what create_features makes of
these readings, and the target. That is a million rows (about 120 MB). More rows repeat them under
other meter names, so the key (meter_id, reading_date) is unique whatever the size.
scripts/peers/features.yaml is the contract of the file. The same numbers always make the same file.

Usage: generate_features.py [--rows N] [--spoil KIND] FILE
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
# pylint: disable=wrong-import-position
from data import features as ft  # noqa: E402
from data.create_datasets import create_features  # noqa: E402

SEED = 20250106
METERS = 100  # in a block
HOURS = 10_000  # of each meter, after the first day, whose look-back would be missing
BLOCK = METERS * HOURS
FIRST = pd.Timestamp("2024-01-01", tz="UTC")
#: What the file holds besides the key and the target; calendar and flags are whole numbers.
NAMES = (*ft.REQUIRED, "units_lag_1", "units_lag_day")
WHOLE = ("hour", "day_of_week", "is_weekend", "voltage_flag", "pf_issue", "high_temp")
MISSING = 0.003  # share of measurements
#: How a file may be spoiled: the column, and the cell that its last row gets there.
SPOILS = {
    "type": ("voltage", "high"),
    "range": ("power_factor", "1.001"),
    "required": ("units", ""),
    "date": ("reading_date", "2025-02-30T00:00:00+00:00"),
    "integer": ("hour", "7.5"),
}


def readings(rng: np.random.Generator) -> pd.DataFrame:
    """Return one day more than HOURS of METERS: a daily wave, weather, and noise."""
    hours = HOURS + 24
    moments = pd.date_range(FIRST, periods=hours, freq="h")
    clock = np.asarray(moments.hour, dtype=np.float64)
    degrees = 10 + 8 * np.sin((clock - 9) / 24 * 2 * np.pi) + rng.normal(0, 3, hours)
    shape = (METERS, hours)
    mean = rng.lognormal(0.5, 1, (METERS, 1))
    units = mean * (1 + 0.6 * np.sin((clock - 13) / 24 * 2 * np.pi)) * rng.lognormal(0, 0.3, shape)
    values = {
        "units": np.round(units, 3),
        "voltage": np.round(231 - units / mean + rng.normal(0, 1.8, shape), 1),
        "temperature": np.round(degrees + rng.normal(0, 0.2, shape), 1),
        "power_factor": np.round(np.clip(rng.normal(0.92, 0.03, shape), 0.6, 1), 3),
        "load_kw": np.round(units * rng.lognormal(0, 0.08, shape) + 0.001, 3),
        "frequency_hz": np.round(rng.normal(50, 0.02, shape), 2),
    }
    for name in ("voltage", "temperature", "power_factor", "frequency_hz"):
        values[name][rng.random(shape) < MISSING] = np.nan
    frame = pd.DataFrame({name: value.ravel() for name, value in values.items()})
    frame.insert(0, "reading_date", moments[np.tile(np.arange(hours), METERS)])
    frame.insert(0, "meter_id", np.repeat([f"MTR-00-{n:04d}" for n in range(METERS)], hours))
    return frame


def block() -> tuple[bytes, bytes]:
    """Return the header and a million lines; the name of every meter starts with MTR-00-."""
    made = readings(np.random.default_rng(SEED))
    table = create_features(made, interval=pd.Timedelta(hours=1))
    late: NDArray[np.bool_] = np.tile(np.arange(HOURS + 24) >= 24, METERS)
    dates = table["reading_date"][: HOURS + 24].dt.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_numpy()
    columns = {
        "meter_id": pa.array(table["meter_id"][late]),
        "reading_date": pa.array(np.tile(dates[24:], METERS)),
    }
    for name in NAMES:
        values = pa.array(table[name].to_numpy()[late], from_pandas=True)
        columns[name] = values.cast(pa.int64()) if name in WHOLE else values
    columns["units"] = pa.array(made["units"].to_numpy()[late])
    out = io.BytesIO()
    csv.write_csv(pa.table(columns), out, csv.WriteOptions(quoting_style="none"))
    header, lines = out.getvalue().split(b"\n", 1)
    return header.replace(b'"', b""), lines


def spoil(line: bytes, kind: str, earlier: bytes) -> bytes:
    """Return a line that breaks the contract; kind "key" repeats the earlier line."""
    if kind == "key":
        return earlier
    name, cell = SPOILS[kind]
    cells = line.rstrip(b"\n").split(b",")
    cells[["meter_id", "reading_date", *NAMES, "units"].index(name)] = cell.encode()
    return b",".join(cells) + b"\n"


def write(path: Path, rows: int, kind: str | None) -> None:
    """Write the file; the last row is spoiled if a kind is given."""
    header, lines = block()
    first = lines[: lines.index(b"\n") + 1]
    with path.open("wb") as file:
        file.write(header + b"\n")
        for number, start in enumerate(range(0, rows, BLOCK)):
            text = lines.replace(b"MTR-00-", b"MTR-%02d-" % number)
            if rows - start < BLOCK:
                text = b"".join(text.splitlines(keepends=True)[: rows - start])
            if kind and rows - start <= BLOCK:
                last = text.rindex(b"\n", 0, -1) + 1
                text = text[:last] + spoil(text[last:], kind, first)
            file.write(text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=BLOCK)
    parser.add_argument("--spoil", choices=[*SPOILS, "key"], help="break one rule in the last row")
    options = parser.parse_args(arguments)
    if not 2 <= options.rows <= 100 * BLOCK:
        parser.error(f"--rows is {options.rows}: give 2 to {100 * BLOCK}")
    write(options.file, options.rows, options.spoil)
    return 0


if __name__ == "__main__":
    sys.exit(main())
