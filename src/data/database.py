"""The PostgreSQL store: where it is, its tables, and how it gets them.

The address comes from ``DATABASE_URL`` only, its password perhaps from ``DATABASE_PASSWORD``; each
can be given as a file (``DATABASE_URL_FILE``). This module is part of the serving image too (the
API asks whether the database answers), so Alembic is imported where it is used.
"""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from data.environment import SettingError, database_address

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
DRIVER = "postgresql+psycopg"
CONNECT_TIMEOUT = 5  # s, unless the address says otherwise


class DatabaseNotConfigured(RuntimeError):
    """DATABASE_URL is absent or not the address of a PostgreSQL database."""


# Names as PostgreSQL itself gives them, so that a constraint is the same wherever it was made.
metadata = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

customers = sa.Table(
    "customers",
    metadata,
    sa.Column("meter_id", sa.Text, primary_key=True),
    sa.Column("connection_type", sa.Text),
    sa.Column("tariff", sa.Text),
)

#: What a timestamptz does not keep: the zone whose clocks a meter's calendar features follow.
meters = sa.Table(
    "meters",
    metadata,
    sa.Column("meter_id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("time_zone", sa.Text, nullable=False),
    sa.Column("interval_seconds", sa.Integer, nullable=False),
)

readings = sa.Table(
    "readings",
    metadata,
    sa.Column("meter_id", sa.Text, primary_key=True),
    sa.Column("reading_date", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("units", sa.Double),
    sa.Column("voltage", sa.Double),
    sa.Column("temperature", sa.Double),
    sa.Column("power_factor", sa.Double),
    sa.Column("load_kw", sa.Double),
    sa.Column("frequency_hz", sa.Double),
    sa.Column("phase", sa.SmallInteger),
    sa.Column("status", sa.Text),
    sa.CheckConstraint("units >= 0 AND units < 'infinity'", name="units"),
    sa.CheckConstraint("power_factor BETWEEN 0 AND 1", name="power_factor"),
    sa.CheckConstraint("phase BETWEEN 1 AND 3", name="phase"),
    sa.CheckConstraint("status IN ('ok', 'estimated', 'fault')", name="status"),
)

quarantine_readings = sa.Table(
    "quarantine_readings",
    metadata,
    sa.Column("file_sha256", sa.Text, primary_key=True),
    sa.Column("line", sa.Integer, primary_key=True),
    sa.Column("file_name", sa.Text, nullable=False),
    sa.Column("raw", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column(
        "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
    ),
)

predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("meter_id", sa.Text, primary_key=True),
    sa.Column("reading_date", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("model_version", sa.Text, primary_key=True),
    sa.Column("units_kwh", sa.Double, nullable=False),
    sa.Column("high_consumption_probability", sa.Double),
    sa.Column(
        "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
    ),
)


def database_url(url: str | None = None) -> URL:
    """Return the address (default: ``DATABASE_URL``) with the psycopg 3 driver.

    Raises DatabaseNotConfigured, which never repeats the address: it holds a password.
    """
    try:
        text = database_address() if url is None else url
    except SettingError as error:
        raise DatabaseNotConfigured(str(error)) from None
    remedy = "set DATABASE_URL to postgresql://user:password@host:5432/name"
    if not text:
        raise DatabaseNotConfigured(f"no database is configured: {remedy}")
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseNotConfigured(f"DATABASE_URL is not an address: {remedy}") from None
    if parsed.drivername.partition("+")[0] not in ("postgres", "postgresql"):
        raise DatabaseNotConfigured(f"DATABASE_URL is not PostgreSQL's: {remedy}")
    if not parsed.database:
        raise DatabaseNotConfigured(f"DATABASE_URL names no database: {remedy}")
    return parsed.set(drivername=DRIVER)


def engine(url: str | None = None) -> Engine:
    """Return an engine for the address (default: ``DATABASE_URL``); nothing is connected yet.

    Parameters stay out of error messages; a server that does not answer is given up after 5 s.
    """
    address = database_url(url)
    wait = {} if "connect_timeout" in address.query else {"connect_timeout": CONNECT_TIMEOUT}
    return sa.create_engine(address, pool_pre_ping=True, hide_parameters=True, connect_args=wait)


def migrate(url: str | None = None, revision: str = "head") -> None:
    """Bring the database to the newest schema; a second call changes nothing."""
    # pylint: disable=import-outside-toplevel  # the serving image has no Alembic
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = database_url(url).render_as_string(hide_password=False)
    command.upgrade(config, revision)
