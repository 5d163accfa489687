"""The schema: how a database gets it, and that it only ever expands."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from data import database

ROOT = Path(database.__file__).parents[2]
#: What the release before this one can live with.
EXPANDING = (
    r"BEGIN|COMMIT",
    r"CREATE (TABLE|INDEX|VIEW) .*",
    r"ALTER TABLE \w+ ADD COLUMN \w+ [\w()]+( DEFAULT [\w'.()-]+)?",
    r"ALTER TABLE \w+ ADD COLUMN \w+ [\w()]+ DEFAULT [\w'.()-]+ NOT NULL",
    r"(INSERT INTO|UPDATE) alembic_version .*",
    r"SELECT pg_advisory_xact_lock.*",
    r"COMMENT ON .*",
)


def contracting(script):
    """Return the statements of a migration that the release before could break on."""
    text = re.sub(r"--[^\n]*", "", script)
    statements = [" ".join(part.split()) for part in text.split(";")]
    allowed = re.compile("|".join(f"(?:{form})" for form in EXPANDING), re.IGNORECASE)
    return [found for found in statements if found and not allowed.fullmatch(found)]


def alembic(*arguments, url=""):
    """Run alembic at the root of the repository as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(name="empty_url")
def empty_url_fixture(databases):
    url = databases.create()
    yield url
    databases.drop(url)


def test_alembic_upgrade_head_at_the_root(empty_url):
    for _ in range(2):
        done = alembic("upgrade", "head", url=empty_url)
        assert done.returncode == 0, done.stderr
    made = database.engine(empty_url)
    assert set(sa.inspect(made).get_table_names()) == {
        *database.metadata.tables,
        "alembic_version",
    }
    made.dispose()


def test_alembic_without_a_database_is_a_clear_error():
    done = alembic("upgrade", "head")
    assert done.returncode and "no database is configured: set DATABASE_URL" in done.stderr


def test_migrated_schema_is_that_of_the_code(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, database.metadata) == []
        inspector = sa.inspect(connection)
        for name, table in database.metadata.tables.items():
            keys = inspector.get_pk_constraint(name)["constrained_columns"]
            assert keys == [column.name for column in table.primary_key]


def test_migrations_at_once(empty_url):
    with ThreadPoolExecutor(1) as pool:  # Alembic's context is global: the rival is a process
        rival = pool.submit(alembic, "upgrade", "head", url=empty_url)
        database.migrate(empty_url)
        assert rival.result().returncode == 0, rival.result().stderr
    database.migrate(empty_url)


def test_migrations_only_expand():
    done = alembic("upgrade", "head", "--sql", url="postgresql://u:p@h/d")
    assert done.returncode == 0, done.stderr
    assert "CREATE TABLE readings" in done.stdout
    assert contracting(done.stdout) == []


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE readings",
        "ALTER TABLE readings DROP COLUMN units",
        "ALTER TABLE readings ALTER COLUMN units TYPE integer",
        "ALTER TABLE readings RENAME COLUMN units TO kwh",
        "ALTER TABLE readings RENAME TO reading",
        "ALTER TABLE readings ALTER COLUMN units SET NOT NULL",
        "ALTER TABLE readings ADD COLUMN site TEXT NOT NULL",
        "ALTER TABLE readings ADD CONSTRAINT c CHECK (units > 0)",
        "ALTER TABLE readings ADD COLUMN site TEXT, DROP COLUMN units",
        "CREATE UNIQUE INDEX i ON readings (units)",
        "TRUNCATE readings",
        "DELETE FROM readings",
    ],
)
def test_contracting_statement_would_be_seen(statement):
    assert contracting(f"BEGIN;\n-- a comment\n{statement};\nCOMMIT;\n") == [statement]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE readings ADD COLUMN site TEXT",
        "ALTER TABLE readings ADD COLUMN site VARCHAR(20) DEFAULT 'x'",
        "ALTER TABLE readings ADD COLUMN checked BOOLEAN DEFAULT false NOT NULL",
        "CREATE INDEX i ON readings (reading_date)",
    ],
)
def test_expanding_statement_is_allowed(statement):
    assert contracting(f"{statement};") == []


def test_versions_have_no_downgrade():
    for path in (database.MIGRATIONS / "versions").glob("0*.py"):
        assert "def downgrade" not in path.read_text("utf-8"), path.name


@pytest.mark.parametrize(
    "values",
    [
        pytest.param("'M', now(), -1, NULL, 'ok'", id="negative-units"),
        pytest.param("'M', now(), 'infinity', NULL, 'ok'", id="infinite-units"),
        pytest.param("'M', now(), 'nan', NULL, 'ok'", id="nan-units"),
        pytest.param("'M', now(), 1, 4, 'ok'", id="phase"),
        pytest.param("'M', now(), 1, 1, 'broken'", id="status"),
        pytest.param("NULL, now(), 1, 1, 'ok'", id="no-meter"),
    ],
)
def test_database_refuses_what_is_no_reading(engine, values):
    statement = (
        f"INSERT INTO readings (meter_id, reading_date, units, phase, status) VALUES ({values})"
    )
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(sa.text(statement))
