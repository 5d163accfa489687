"""Where the database is, and that its address stays secret."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from data import database
from data.database import DatabaseNotConfigured, database_url, engine

SRC = Path(database.__file__).parents[1]
SECRET = "geheim%2F1"


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+psycopg2", database.DRIVER]
)
def test_address_uses_psycopg_3(scheme):
    url = database_url(f"{scheme}://u:{SECRET}@db.example:5433/meters?sslmode=require")
    assert url.drivername == "postgresql+psycopg"
    assert (url.host, url.port, url.database, url.password) == (
        *("db.example", 5433),
        *("meters", "geheim/1"),
    )
    assert url.query["sslmode"] == "require"


def test_address_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@h/from_environment")
    assert engine().url.database == "from_environment"
    assert database_url("postgres://u:p@h/given").database == "given"


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "geheim",
        "http://u:geheim@h/d",
        "sqlite:///geheim.db",
        "postgresql://u:geheim@h:port/d",
        "postgresql://u:geheim@h",
    ],
)
def test_other_addresses_are_refused_without_repeating_them(url):
    with pytest.raises(DatabaseNotConfigured, match="set DATABASE_URL to postgresql://") as raised:
        engine(url)
    assert "geheim" not in str(raised.value)


def test_password_is_in_no_representation():
    made = engine(f"postgresql://u:{SECRET}@127.0.0.1:1/d?connect_timeout=1")
    with pytest.raises(sa.exc.OperationalError) as raised, made.connect():
        pass
    for text in (repr(made), str(made.url), repr(raised.value), str(raised.value)):
        assert "geheim" not in text


def test_module_needs_no_alembic_and_no_pandas():
    code = (
        "import sys, data.database\n"
        "heavy = {'alembic', 'pandas', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SRC, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
