"""Readiness with databases that refuse, hang or are misnamed (a real one: the integration test)."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from api.database import DatabaseProbe
from api.settings import Settings
from api_support import call, make_app


@contextlib.contextmanager
def silent_server() -> Iterator[tuple[int, list[socket.socket]]]:
    """A server that accepts connections and never says a word."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], accepted
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in accepted:
                connection.close()


def ready(url: str, timeout: float = 0.2):
    return call(
        make_app(Settings(database_url=url, database_timeout=timeout)), "GET", "/health/ready"
    )


def test_silent_database_is_not_waited_for() -> None:
    with silent_server() as (port, _):
        started = time.monotonic()
        response = ready(f"postgresql://u:hidden@127.0.0.1:{port}/d")
        assert time.monotonic() - started < 20
    assert response.status_code == 503
    assert response.json()["reasons"] == ["database does not answer within 0.2 s"]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("postgresql://u:hidden@127.0.0.1:1/d", id="nobody listens"),
        pytest.param("postgresql+psycopg://u:hidden@127.0.0.1:1/d", id="with a driver"),
        pytest.param("postgres://u:hidden@127.0.0.1:1/d", id="short scheme"),
        pytest.param("postgresql://u:hidden@127.0.0.1:99999/d", id="no such port"),
        pytest.param("mysql://u:hidden@127.0.0.1/d", id="another database"),
        pytest.param("postgresql://u:hidden@h/d?nonsense=1", id="bad option"),
        pytest.param("nonsense hidden", id="nonsense"),
        pytest.param("postgresql://u:hidden@%zz/d", id="bad escape"),
    ],
)
def test_unusable_database_is_a_reason_without_its_password(url: str) -> None:
    response = ready(url, timeout=2)
    assert response.status_code == 503
    [reason] = response.json()["reasons"]
    assert reason.startswith("database does not answer")
    assert "hidden" not in response.text and "127.0.0.1" not in response.text


def test_predictions_and_liveness_need_no_database() -> None:
    app = make_app(Settings(database_url="postgresql://127.0.0.1:1/d"))
    assert call(app, "GET", "/health/live").status_code == 200
    assert call(app, "GET", "/version").status_code == 200


def test_callers_share_one_attempt_and_its_answer() -> None:
    async def ask(port: int) -> list[str | None]:
        probe = DatabaseProbe(f"postgresql://127.0.0.1:{port}/d", 0.2)
        first = await asyncio.gather(*(probe.reason() for _ in range(50)))
        return [*first, await probe.reason()]

    with silent_server() as (port, accepted):
        reasons = asyncio.run(ask(port))
        assert len(accepted) == 1
    assert set(reasons) == {"database does not answer within 0.2 s"}


def test_caller_that_leaves_does_not_spoil_the_attempt() -> None:
    async def ask(port: int) -> str | None:
        probe = DatabaseProbe(f"postgresql://127.0.0.1:{port}/d", 0.3)
        leaving = asyncio.create_task(probe.reason())
        staying = asyncio.create_task(probe.reason())
        await asyncio.sleep(0.05)
        leaving.cancel()
        return await staying

    with silent_server() as (port, accepted):
        assert asyncio.run(ask(port)) == "database does not answer within 0.3 s"
        assert len(accepted) == 1


def test_old_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.database.FRESH_SECONDS", 0.0)

    async def ask(port: int) -> None:
        probe = DatabaseProbe(f"postgresql://127.0.0.1:{port}/d", 0.05)
        await probe.reason()
        await probe.reason()

    with silent_server() as (port, accepted):
        asyncio.run(ask(port))
        assert len(accepted) == 2
