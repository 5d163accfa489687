"""The way to the registry: patience, limits and silence about passwords."""

import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from models import registry
from models.registry import Registry, RegistryError, redact

CLOSED = "http://127.0.0.1:9"


@contextmanager
def server(statuses: list[int]) -> Iterator[str]:
    """An HTTP server that answers with each status in turn, the last one for ever."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server calls
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:  # the name that http.server calls
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()


def test_unreachable_server_is_an_error_in_bounded_time() -> None:
    start = time.monotonic()
    with pytest.raises(RegistryError, match=f"{CLOSED} for 0.5 s: .*refused.*MLFLOW_TRACKING_URI"):
        Registry(CLOSED, patience=0.5)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("sqlite:////dev/null/mlflow.db", id="sqlite"),
        pytest.param("postgresql://u:geheim@127.0.0.1:9/mlflow", id="postgresql"),
        pytest.param("nonsense://u:geheim@127.0.0.1:9/mlflow", id="unknown"),
    ],
)
def test_unreachable_database_is_an_error_in_bounded_time(uri: str) -> None:
    start = time.monotonic()
    with pytest.raises(RegistryError, match="reach MLflow at .* for 0.3 s") as caught:
        Registry(uri, patience=0.3)
    assert time.monotonic() - start < 60
    assert "geheim" not in str(caught.value)


def test_default_patience_is_a_few_seconds() -> None:
    assert 1 <= registry.PATIENCE <= 10


@pytest.mark.parametrize("name", ["%s", "user:%s", "user:%s%%40x"])
def test_error_names_the_server_without_credentials(name: str) -> None:
    uri = f"http://{name % 'geheim'}@127.0.0.1:9"
    with pytest.raises(RegistryError) as caught:
        Registry(uri, patience=0.05)
    assert "geheim" not in str(caught.value) and CLOSED in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_broken_server_is_an_error() -> None:
    with server([503]) as uri, pytest.raises(RegistryError, match="it answers 503"):
        Registry(uri, patience=2)  # its last question has half a second, also on a busy machine


@pytest.mark.parametrize(
    "statuses",
    [pytest.param([200], id="at-once"), pytest.param([503, 503, 200], id="after-a-while"),
     pytest.param([401], id="wants-credentials")],
)  # fmt: skip
def test_server_that_answers_is_found(statuses: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(registry, "_client", opened.append)
    with server(statuses) as uri:
        assert Registry(uri, patience=3).uri == uri
    assert opened == [uri]


@pytest.mark.parametrize(
    ("argument", "environment", "wanted"),
    [
        pytest.param("sqlite:///a.db", "sqlite:///b.db", "sqlite:///a.db", id="argument"),
        pytest.param(None, "sqlite:///b.db", "sqlite:///b.db", id="environment"),
        pytest.param(None, "", registry.DEFAULT_URI, id="default"),
    ],
)
def test_where_the_registry_is(
    argument: str | None, environment: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(registry, "_client", opened.append)
    monkeypatch.setattr(registry, "_probe_database", lambda uri, timeout: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", environment)
    assert Registry(argument).uri == wanted
    assert opened == [wanted]
    assert registry.DEFAULT_URI.startswith("sqlite:////")


@pytest.mark.parametrize(
    ("text", "uri", "wanted"),
    [
        pytest.param("at http://h:1", "http://h:1", "at http://h:1", id="nothing"),
        pytest.param("at http://u:pw@h:1/x", "http://u:pw@h:1", "at http://h:1/x", id="uri"),
        pytest.param(
            'user "u" password "p@ss"', "postgresql://u:p%40ss@h/d", 'user "u" password "***"',
            id="decoded",
        ),
        pytest.param("p%40ss", "postgresql://u:p%40ss@h/d", "***", id="encoded"),
        pytest.param("see http://a:b@c", "http://[", "see http://c", id="malformed-uri"),
    ],
)  # fmt: skip
def test_redact(text: str, uri: str, wanted: str) -> None:
    assert redact(text, uri) == wanted


def test_limits_hold_during_a_call_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    seen: dict[str, str] = {}
    monkeypatch.setattr(registry, "_client", lambda uri: seen.update(os.environ))
    Registry("sqlite://")
    assert seen["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
    assert seen["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7", "what the user set holds"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
