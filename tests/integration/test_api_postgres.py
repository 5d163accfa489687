"""Readiness against a real PostgreSQL."""

from sqlalchemy import Engine, text

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
