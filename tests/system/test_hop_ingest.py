"""Hop 1: the sample's file, by the command of the operators, into PostgreSQL."""

from collections import Counter
from datetime import UTC

import pytest
import sample
import sqlalchemy as sa
from hops import ROOT, SAMPLE, Mismatch, run, same
from sqlalchemy.engine import Engine

from data import database

COMMAND = ("data.ingestion", str(SAMPLE.relative_to(ROOT)))


@pytest.fixture(name="said", scope="module")
def fixture_said(engine: Engine) -> str:
    """What the command says of the first time, on a database that was just migrated."""
    database.migrate()
    done = run(*COMMAND)
    same(f"exit code of {' '.join(COMMAND)}", (done.returncode, done.stderr), (0, ""))
    return done.stdout.strip()


def test_file_is_what_its_generator_states() -> None:
    counted = Counter(line.meter for line in sample.lines())
    same("readings of each meter in the sample's file", dict(counted), sample.stated())


def test_every_line_is_inserted(said: str) -> None:
    count = len(sample.lines())
    expected = f"{count} read: {count} inserted, 0 updated, 0 unchanged, 0 quarantined"
    same("the report of the ingestion", said, expected, sent=str(SAMPLE.name))


def test_every_reading_is_stored_as_it_was_sent(said: str, engine: Engine) -> None:
    table = database.readings
    with engine.connect() as connection:
        rows = connection.execute(sa.select(table.c.meter_id, table.c.reading_date, table.c.units))
        stored = {(meter, date.astimezone(UTC)): units for meter, date, units in rows}
    sent = sample.units()
    same("rows in the table readings", len(stored), len(sent))
    for key, units in sent.items():
        if key not in stored or stored[key] != units:
            meter, instant = key
            raise Mismatch(
                f"kWh of meter {meter} at {instant.isoformat()} in the table readings",
                sent=units,
                came=stored.get(key, "no such row"),
                expected=units,
            )
