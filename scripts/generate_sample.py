#!/usr/bin/env python3
"""Writes the shipped sample, data/sample_readings.csv and data/sample_customers.csv.

Four meters, 105 days, one reading an hour (10,080 rows) in Berlin local time, across the start of
summer time. The consumption has a daily, a weekly and a temperature structure and noise that
persists for some hours. Nothing is measured: the numbers are made, always the same ones.

Usage: generate_sample.py [--check]    --check writes nothing, exits 1 when a file differs
"""

import argparse
import math
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

SEED = 20250106
DAYS = 105
START = datetime(2025, 1, 5, 23, tzinfo=UTC)  # Monday 6 January, midnight in Berlin
ZONE = ZoneInfo("Europe/Berlin")
HEADER = (
    "meter_id,reading_date,units,voltage,temperature,power_factor,load_kw,frequency_hz,phase,status"
)
#: meter, connection type, tariff, kWh of an average hour, kWh more per degree of cold, phase
METERS = (
    ("MTR-0001", "residential", "day-night", 0.55, 0.035, 1),
    ("MTR-0002", "residential", "flat", 0.80, 0.055, 2),
    ("MTR-0003", "commercial", "business", 6.50, 0.120, 3),
    ("MTR-0004", "industrial", "industry", 38.00, 0.250, 1),
)
#: Share of an average hour by local hour, working day and weekend.
SHAPES = {
    "residential": (
        "0.45 0.40 0.38 0.37 0.40 0.55 1.00 1.45 1.20 0.90 0.80 0.85 "
        "1.00 0.90 0.80 0.85 1.05 1.50 1.95 2.10 1.85 1.50 1.00 0.65",
        "0.55 0.48 0.42 0.40 0.40 0.42 0.55 0.85 1.30 1.55 1.50 1.50 "
        "1.60 1.40 1.20 1.10 1.20 1.50 1.80 1.90 1.70 1.40 1.10 0.80",
    ),
    "commercial": (
        "0.35 0.33 0.32 0.32 0.34 0.45 0.75 1.20 1.65 1.85 1.90 1.90 "
        "1.80 1.85 1.85 1.80 1.70 1.55 1.20 0.80 0.55 0.45 0.40 0.37",
        "0.33 0.32 0.31 0.31 0.31 0.33 0.36 0.42 0.55 0.65 0.70 0.70 "
        "0.68 0.62 0.55 0.48 0.42 0.40 0.38 0.36 0.35 0.34 0.33 0.33",
    ),
    "industrial": (
        "0.55 0.52 0.50 0.50 0.55 0.80 1.25 1.50 1.60 1.60 1.55 1.40 "
        "1.45 1.60 1.60 1.50 1.35 1.25 1.20 1.15 1.10 1.00 0.80 0.65",
        "0.40 0.38 0.38 0.38 0.38 0.40 0.45 0.50 0.55 0.55 0.55 0.52 "
        "0.50 0.50 0.48 0.45 0.42 0.40 0.40 0.40 0.40 0.40 0.40 0.40",
    ),
}


def temperatures(rng: random.Random) -> list[float]:
    """Return the degrees Celsius of every hour: a warming season, a daily wave, slow weather."""
    values, weather = [], 0.0
    for hour in range(DAYS * 24):
        weather = 0.985 * weather + rng.gauss(0, 0.55)
        local = (START + timedelta(hours=hour)).astimezone(ZONE)
        wave = 3.5 * math.sin((local.hour - 9) / 24 * 2 * math.pi)
        values.append(1.0 + 11.0 * hour / (DAYS * 24) + wave + weather)
    return values


def readings(rng: random.Random) -> Iterator[str]:
    """Yield the lines of the readings, by meter and time."""
    degrees = temperatures(rng)
    for meter_id, kind, _, mean, heating, phase in METERS:
        shapes = [[float(share) for share in shape.split()] for shape in SHAPES[kind]]
        drift = 0.0
        for hour, temperature in enumerate(degrees):
            local = (START + timedelta(hours=hour)).astimezone(ZONE)
            drift = 0.8 * drift + rng.gauss(0, 0.07)
            share = shapes[local.weekday() >= 5][local.hour]
            units = mean * share * math.exp(drift) + heating * max(0.0, 16.0 - temperature)
            yield reading(rng, meter_id, local, units, temperature, phase, units / mean)


def reading(
    rng: random.Random,
    meter_id: str,
    local: datetime,
    units: float,
    temperature: float,
    phase: int,
    strain: float,
) -> str:
    """Return one line: the measurements that go with the units, some estimated, faulty, missing."""
    chance = rng.random()
    status = "fault" if chance < 0.002 else "estimated" if chance < 0.012 else "ok"
    values = {
        "units": f"{units:.3f}",
        "voltage": f"{231 - 2.2 * strain + rng.gauss(0, 1.8):.1f}",
        "temperature": f"{temperature + rng.gauss(0, 0.2):.1f}",
        "power_factor": f"{min(1.0, max(0.6, 0.93 - 0.02 * strain + rng.gauss(0, 0.025))):.3f}",
        "load_kw": f"{units * math.exp(rng.gauss(0, 0.08)):.3f}",
        "frequency_hz": f"{50 + rng.gauss(0, 0.02):.2f}",
    }
    if status == "fault":
        values["units"] = ""
    for name in ("voltage", "temperature", "power_factor", "frequency_hz"):
        if rng.random() < 0.003:
            values[name] = ""
    date = local.isoformat(timespec="minutes")
    return ",".join([meter_id, date, *values.values(), str(phase), status])


def files() -> dict[str, str]:
    """Return the text of each sample file by name."""
    rng = random.Random(SEED)  # nosec B311  # made-up data, not a secret
    customers = [f"{meter_id},{kind},{tariff}" for meter_id, kind, tariff, *_ in METERS]
    return {
        "sample_readings.csv": "\n".join([HEADER, *readings(rng)]) + "\n",
        "sample_customers.csv": "\n".join(["meter_id,connection_type,tariff", *customers]) + "\n",
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with --check compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--to", type=Path, default=Path(__file__).resolve().parents[1] / "data")
    options = parser.parse_args(arguments)
    stale = 0
    for name, text in files().items():
        path = options.to / name
        if not options.check:
            path.write_text(text, encoding="utf-8", newline="\n")
        elif not path.is_file() or path.read_bytes() != text.encode():
            print(f"{path} differs from its generator: run {Path(__file__).name}", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
