"""Readiness against a real PostgreSQL."""

import pytest
from sqlalchemy import Engine, create_engine, text

import api.database
from api.settings import Settings
from api_support import call, make_app


def ready(url: str):
    app = make_app(Settings(database_url=url, database_timeout=5))
    return call(app, "GET", "/health/ready")


def test_ready_when_the_database_answers(database_url: str) -> None:
    response = ready(database_url)
    assert (response.status_code, response.json()["reasons"]) == (200, [])


def test_driver_in_the_url_is_ignored(database_url: str) -> None:
    plain = database_url.split("://", 1)[1]
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        assert ready(f"{scheme}://{plain}").status_code == 200


def test_not_ready_when_the_database_does_not_exist(database_url: str) -> None:
    response = ready(database_url.rsplit("/", 1)[0] + "/meter_test_absent")
    assert response.status_code == 503
    assert response.json()["reasons"] == ["database does not answer: OperationalError"]


def test_stays_ready_when_the_database_goes_away(
    database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predictions need none, so an outage must not end them; a new server is not ready then."""
    monkeypatch.setattr(api.database, "FRESH_SECONDS", 0)
    app = make_app(Settings(database_url=database_url, database_timeout=5))
    assert call(app, "GET", "/health/ready").json() == {"status": "ready", "reasons": []}
    server = create_engine(engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        allow = f'ALTER DATABASE "{engine.url.database}" ALLOW_CONNECTIONS '
        connection.execute(text(allow + "false"))
        try:
            response = call(app, "GET", "/health/ready")
            assert ready(database_url).status_code == 503
        finally:
            connection.execute(text(allow + "true"))
    server.dispose()
    assert response.status_code == 200
    assert response.json()["reasons"] == ["database does not answer: OperationalError"]
    assert call(app, "GET", "/health/ready").json()["reasons"] == []


def test_asking_leaves_no_connection(database_url: str, engine: Engine) -> None:
    for _ in range(5):
        assert ready(database_url).status_code == 200
    with engine.connect() as connection:
        count = connection.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert count == 0
