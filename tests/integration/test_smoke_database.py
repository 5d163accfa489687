"""The smoke test's round trip, on a real PostgreSQL."""

from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import psycopg
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(name="smoke")
def fixture_smoke(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import smoke  # type: ignore[import-not-found]  # is a script

    return smoke


def rows(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT * FROM predictions").fetchall()


def test_row_goes_and_comes_and_leaves_nothing(smoke: ModuleType, database_url: str) -> None:
    assert smoke.judge("database", {"DATABASE_URL": database_url})["status"] == "passed"
    assert rows(database_url) == []


def test_password_may_be_a_file(smoke: ModuleType, database_url: str, tmp_path: Path) -> None:
    parts, secret = urlsplit(database_url), tmp_path / "PASSWORD"
    secret.write_text(f"{parts.password or 'any'}\n", "utf-8")
    user = f"{parts.username}@" if parts.username else ""
    bare = parts._replace(netloc=user + parts.netloc.rpartition("@")[2]).geturl()
    told = {"DATABASE_URL": bare, "DATABASE_PASSWORD_FILE": str(secret)}
    assert smoke.judge("database", told)["status"] == "passed"


def test_missing_table_is_wrong(smoke: ModuleType, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE predictions")
    outcome = smoke.judge("database", {"DATABASE_URL": database_url})
    assert outcome["status"] == "failed" and "UndefinedTable" in outcome["came"]


def test_row_that_another_hand_changes_is_wrong(smoke: ModuleType, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.units_kwh := 2 * NEW.units_kwh; RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER spoil BEFORE INSERT ON predictions "
            "FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
    outcome = smoke.judge("database", {"DATABASE_URL": database_url})
    assert (outcome["status"], outcome["message"]) == ("failed", "the row that was written")
    assert rows(database_url) == []
