"""Loads a file of readings into PostgreSQL: all of its good lines, or nothing.

COPY into a temporary staging table, then an upsert on (meter_id, reading_date), in one transaction.
A bad line goes to ``quarantine_readings`` with its text and reason. The same file twice changes
nothing; a file that breaks half-way, or a lost connection, leaves nothing half-done. Ingestions at
once that share a meter wait for each other at its row in ``meters``; all rows are written in the
order of their keys, so they can't deadlock.

    python -m data.ingestion FILE [--source NAME] [--zone ZONE]
"""

import argparse
import dataclasses
import logging
import sys
import zoneinfo
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from psycopg import Cursor
from psycopg import Error as PsycopgError
from psycopg import sql
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from data import database
from data.readings import COLUMNS, MEASUREMENTS, ReadingError
from data.sources import SOURCES, ParsedFile, Source, named_source, parse_file

LOG = logging.getLogger(__name__)


def _list(*prefix: str, names: Sequence[str] = tuple(COLUMNS)) -> sql.Composed:
    """Return column names as SQL, separated by commas, each after the prefix (an alias)."""
    return sql.SQL(", ").join(sql.Identifier(*prefix, name) for name in names)


_VALUES = COLUMNS[2:]
_STAGE = "CREATE TEMPORARY TABLE staging (LIKE readings) ON COMMIT DROP"
_COPY = sql.SQL("COPY staging ({}) FROM STDIN").format(_list())
# Rows that are there already, unchanged, are left out before the upsert, so that a second run
# writes nothing at all; the condition at its end settles the same for a run at the same time.
# xmax is 0 in a row that was inserted and not in one that was updated.
_UPSERT = sql.SQL("""
    WITH written AS (
        INSERT INTO readings AS kept ({columns})
        SELECT {all_new}
        FROM staging AS new LEFT JOIN readings AS old USING (meter_id, reading_date)
        WHERE old.meter_id IS NULL OR ({old}) IS DISTINCT FROM ({new})
        ORDER BY new.meter_id, new.reading_date
        ON CONFLICT (meter_id, reading_date) DO UPDATE SET ({values}) = ROW ({excluded})
        WHERE ({kept}) IS DISTINCT FROM ({excluded})
        RETURNING xmax = 0 AS inserted
    )
    SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM written
    """).format(
    columns=_list(),
    all_new=_list("new"),
    values=_list(names=_VALUES),
    **{alias: _list(alias, names=_VALUES) for alias in ("old", "new", "kept", "excluded")},
)
_METERS = """
INSERT INTO meters AS kept (meter_id, source, time_zone, interval_seconds)
SELECT DISTINCT meter_id, %s::text, %s::text, %s::integer FROM staging ORDER BY meter_id
ON CONFLICT (meter_id) DO UPDATE
SET source = excluded.source, time_zone = excluded.time_zone,
    interval_seconds = excluded.interval_seconds
WHERE (kept.source, kept.time_zone, kept.interval_seconds)
      IS DISTINCT FROM (excluded.source, excluded.time_zone, excluded.interval_seconds)
"""
_QUARANTINE = """
INSERT INTO quarantine_readings (file_sha256, line, file_name, raw, reason)
VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class IngestionReport:
    """What became of the data lines of a file: read = the sum of the other four."""

    read: int
    inserted: int
    updated: int
    unchanged: int
    quarantined: int


def ingest_file(
    path: str | Path, engine: Engine, source: Source | str | None = None
) -> IngestionReport:
    """Load the file in one transaction.

    Raises ReadingError for a file that can't be used as a whole, SQLAlchemyError or psycopg.Error
    when the database fails; in both cases nothing is changed.
    """
    parsed = parse_file(path, source)
    with engine.begin() as connection:
        cursor = _cursor(connection)
        cursor.execute(_STAGE)
        _copy(cursor, parsed.frame)
        zone, interval = parsed.source.zone, parsed.source.interval
        cursor.execute(_METERS, (parsed.source.name, zone, int(interval.total_seconds())))
        cursor.execute(_UPSERT)
        inserted, updated = cursor.fetchone() or (0, 0)
        cursor.executemany(
            _QUARANTINE,
            [
                (parsed.sha256, bad.line, parsed.name, bad.raw, bad.reason)
                for bad in parsed.rejected
            ],
        )
    return _report(parsed, inserted, updated)


def _report(parsed: ParsedFile, inserted: int, updated: int) -> IngestionReport:
    """Return the counts of a finished run, and log them."""
    good, bad = len(parsed.frame), len(parsed.rejected)
    report = IngestionReport(good + bad, inserted, updated, good - inserted - updated, bad)
    LOG.info("ingested %s (%s): %s", parsed.name, parsed.source.name, report)
    for rejected in parsed.rejected[:10]:
        LOG.warning("%s, line %d: %s", parsed.name, rejected.line, rejected.reason)
    return report


def _cursor(connection: Connection) -> Cursor[tuple[Any, ...]]:
    """Return a psycopg cursor inside the connection's transaction (SQLAlchemy has no COPY)."""
    cursor: Cursor[tuple[Any, ...]] = connection.connection.cursor()  # type: ignore[assignment]
    return cursor


def _copy(cursor: Cursor[tuple[Any, ...]], frame: pd.DataFrame) -> None:
    """Write the frame into the staging table; floats keep every bit."""
    columns: list[Iterable[object]] = []
    for name in COLUMNS:
        column = frame[name]
        if name == "reading_date":
            columns.append(column.dt.tz_convert("UTC").dt.to_pydatetime())
        else:
            columns.append(column.astype(object).where(column.notna(), None))
    with cursor.copy(_COPY) as copy:
        for row in zip(*columns, strict=True):
            copy.write_row(row)


def load_readings(
    engine: Engine,
    *,
    meter_ids: Sequence[str] | None = None,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
    zone: str | None = None,
) -> pd.DataFrame:
    """Return stored readings as a reading frame, sorted by meter and time.

    ``since`` is inclusive, ``until`` exclusive; without ``meter_ids`` all meters. The frame is in
    the meters' own zone; when they have different ones, ReadingError asks for one or for fewer.
    """
    table = database.readings
    query = sa.select(*(table.c[name] for name in COLUMNS)).order_by(
        table.c.meter_id.collate("C"), table.c.reading_date
    )
    zones = sa.select(database.meters.c.time_zone).distinct().order_by("time_zone")
    if meter_ids is not None:
        query = query.where(table.c.meter_id.in_(list(meter_ids)))
        zones = zones.where(database.meters.c.meter_id.in_(list(meter_ids)))
    if since is not None:
        query = query.where(table.c.reading_date >= since.to_pydatetime())
    if until is not None:
        query = query.where(table.c.reading_date < until.to_pydatetime())
    with engine.connect() as connection:
        known = connection.scalars(zones).all()
        rows = connection.execute(query).all()
    if zone is None and len(known) > 1:
        raise ReadingError(f"meters lie in {', '.join(known)}: choose meter_ids of one, or zone=")
    return _frame(rows, zone or (known[0] if known else "UTC"))


def _frame(rows: Sequence[sa.Row[Any]], zone: str) -> pd.DataFrame:
    """Return rows of the table as a reading frame in ``zone``."""
    frame = pd.DataFrame(rows, columns=COLUMNS)
    dates = pd.to_datetime(frame["reading_date"], utc=True).dt.as_unit("us")
    frame["reading_date"] = dates.dt.tz_convert(zone)
    floats = {name: np.float64 for name in MEASUREMENTS}
    return frame.astype({"meter_id": "str", "status": "str", "phase": "Int64", **floats})


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; exit code 0 loaded, 2 bad input or configuration, 3 database failed."""
    parser = argparse.ArgumentParser(prog="python -m data.ingestion", description="Load readings.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--source", choices=sorted(SOURCES), help="default: by the file's header")
    parser.add_argument("--zone", help="IANA zone of the meters, if not the source's own")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    engine = None
    try:
        source = _chosen(options.file, options.source, options.zone)
        engine = database.engine()
        report = ingest_file(options.file, engine, source)
    except (ReadingError, database.DatabaseNotConfigured) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (SQLAlchemyError, PsycopgError) as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        print(f"error: the database failed, nothing was loaded: {cause}", file=sys.stderr)
        return 3
    finally:
        if engine is not None:
            engine.dispose()
    print(
        f"{report.read} read: {report.inserted} inserted, {report.updated} updated, "
        f"{report.unchanged} unchanged, {report.quarantined} quarantined"
    )
    return 2 if report.quarantined == report.read else 0


def _chosen(path: Path, name: str | None, zone: str | None) -> Source | None:
    """Return the source that the options name, None to find it by the header."""
    if zone is None:
        return None if name is None else named_source(name)
    if zone not in zoneinfo.available_timezones():
        raise ReadingError(f"unknown zone {zone!r}: give an IANA name such as Europe/Berlin")
    source = named_source(name) if name else parse_file(path).source
    return dataclasses.replace(source, zone=zone)


if __name__ == "__main__":
    sys.exit(main())
