"""The server as a process on a real socket, with real model files, and how it ends."""

import json
import threading
import time
from pathlib import Path

import pytest

from api.schemas import EXAMPLE
from api.settings import MAX_BODY_BYTES
from api_support import (
    EXAMPLE_BYTES,
    Server,
    answer,
    raw_post,
    write_models,
)
from data.features import LOAD_EPSILON

# A server whose model takes a second; batches are worked on in a thread, single requests are not.
SLOW = """
import time, uvicorn
from api.logs import log_config
from api_support import make_app
def slow(matrix):
    print("predicting", flush=True, file=__import__("sys").stderr)
    time.sleep(1)
    return matrix[:, 0]
uvicorn.run(make_app(units=slow), port=0, log_config=log_config(), timeout_graceful_shutdown=20)
"""


@pytest.fixture(name="server", scope="module")
def fixture_server(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    with Server(MODEL_DIR=str(folder), GIT_SHA="abc123") as server:
        server.wait_ready()
        yield server


def test_real_models_predict(server: Server) -> None:
    status, prediction = server.request("POST", "/predict", EXAMPLE)
    assert status == 200
    assert prediction == {
        "units_kwh": pytest.approx(10.5 * (2.5 + LOAD_EPSILON)),
        "high_consumption_probability": pytest.approx(0.95),
        "model_version": "r7",
        "high_consumption_model_version": "c3",
    }


def test_batch_of_a_thousand_keeps_its_order(server: Server) -> None:
    items = [{**EXAMPLE, "load_intensity": float(i)} for i in range(1000)]
    status, body = server.request("POST", "/predict/batch", {"items": items})
    assert status == 200
    assert [p["units_kwh"] for p in body["predictions"]] == pytest.approx(
        [i * (2.5 + LOAD_EPSILON) for i in range(1000)]
    )


def test_version_of_the_process(server: Server) -> None:
    assert server.request("GET", "/version") == (
        200,
        {
            "git_sha": "abc123",
            "image_digest": None,
            "model_version": "r7",
            "high_consumption_model_version": "c3",
        },
    )


def test_connection_is_reused_after_an_idle_pause(server: Server) -> None:
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(raw_post(EXAMPLE_BYTES))
            assert answer(connection)[0] == 200
            # uvicorn's own keep-alive would be 5 s; the setting's value is a unit test.
            time.sleep(0.2)


def test_huge_declared_body_is_refused_and_the_connection_goes_on(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(raw_post(b"x" * (3 * MAX_BODY_BYTES)))
        status, _, body = answer(connection)
        assert status == 413 and b"1000000 bytes" in body
        connection.sendall(raw_post(EXAMPLE_BYTES))
        assert answer(connection)[0] == 200


def test_refusal_comes_before_the_body_is_sent(server: Server) -> None:
    head = raw_post(b"x" * (MAX_BODY_BYTES + 1), extra=b"Expect: 100-continue\r\n")
    with server.connect() as connection:
        connection.sendall(head[: head.index(b"\r\n\r\n") + 4])
        assert answer(connection)[0] == 413


def test_endless_chunked_body_is_refused(server: Server) -> None:
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with server.connect() as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(17):
            connection.sendall(chunk)
        assert answer(connection)[0] == 413


def test_head_on_the_wire(server: Server) -> None:
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(b"HEAD /health/live HTTP/1.1\r\nHost: api\r\n\r\n")
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(1)
            assert head.startswith(b"HTTP/1.1 200") and b"content-length: 17" in head.lower()


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GARBAGE\r\n\r\n", id="no HTTP"),
        pytest.param(b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", id="NUL in the path"),
        pytest.param(
            b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="two lengths",
        ),
        pytest.param(
            b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", id="length -1"
        ),
    ],
)
def test_broken_http_is_a_400_and_harms_nobody(server: Server, request_bytes: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(request_bytes)
        assert answer(connection)[0] == 400
    assert server.request("GET", "/health/live")[0] == 200


def test_client_that_leaves_half_way_harms_nobody(server: Server) -> None:
    for _ in range(20):
        with server.connect() as connection:
            connection.sendall(raw_post(EXAMPLE_BYTES)[:-50])
    assert server.request("POST", "/predict", EXAMPLE)[0] == 200
    assert not any("Traceback" in line for line in server.lines)


def test_log_is_one_json_object_a_line(server: Server) -> None:
    server.request("POST", "/predict", EXAMPLE)
    lines = [json.loads(line) for line in list(server.lines)]
    requests = [line for line in lines if line["logger"] == "api.access"]
    assert requests and requests[-1]["path"] == "/predict"
    assert not any(line["logger"] == "uvicorn.access" for line in lines)


def test_sigterm_answers_the_request_in_flight() -> None:
    with Server("-c", SLOW) as server:
        items = [EXAMPLE] * 60
        answers = []

        def ask() -> None:
            answers.append(server.request("POST", "/predict/batch", {"items": items}))

        asking = threading.Thread(target=ask)
        asking.start()
        wait_for(server, "predicting")
        server.terminate()
        asking.join(60)
        assert [status for status, _ in answers] == [200]
        assert len(answers[0][1]["predictions"]) == 60
        assert server.process.wait(60) == -15  # uvicorn's own end; the server's is 0, below
        with pytest.raises(OSError):
            server.connect()


def test_sigterm_answers_a_request_that_is_still_being_sent(tmp_path: Path) -> None:
    write_models(tmp_path)
    with Server(MODEL_DIR=str(tmp_path)) as server:
        server.wait_ready()
        request = raw_post(EXAMPLE_BYTES)
        with server.connect() as connection, server.connect() as idle:
            connection.sendall(request[:-20])
            idle.sendall(raw_post(EXAMPLE_BYTES))
            assert answer(idle)[0] == 200
            server.terminate()
            wait_for(server, "Shutting down")
            assert idle.recv(1) == b""  # an idle connection is closed at once
            connection.sendall(request[-20:])
            status, headers, _ = answer(connection)
        assert (status, headers["connection"]) == (200, "close")
        assert server.process.wait(60) == 0


def test_drain_is_bounded(tmp_path: Path) -> None:
    write_models(tmp_path)
    command = ("-m", "api.server", "--port", "0", "--drain", "1")
    with Server(*command, MODEL_DIR=str(tmp_path)) as server:
        server.wait_ready()
        with server.connect() as connection:
            connection.sendall(raw_post(EXAMPLE_BYTES)[:-20])
            started = time.monotonic()
            server.request("GET", "/health/live")
            server.terminate()
            server.process.wait(60)
            assert time.monotonic() - started < 20  # the default is 30


def test_server_without_models_starts_and_finds_them_later(tmp_path: Path) -> None:
    code = (
        "import uvicorn; from api.logs import log_config; from api.server import create_app; "
        "from api.settings import Settings; "
        "uvicorn.run(create_app(Settings(model_retry=0.1)), port=0, log_config=log_config())"
    )
    with Server("-c", code, MODEL_DIR=str(tmp_path)) as server:
        assert server.request("GET", "/health/live")[0] == 200
        status, body = wait_until_tried(server)
        assert status == 503
        assert [reason.split(":")[0] for reason in body["reasons"]] == [
            "model meter-regression",
            "model meter-high-consumption",
        ]
        assert server.request("POST", "/predict", EXAMPLE)[0] == 503
        write_models(tmp_path)
        server.wait_ready()
        assert server.request("POST", "/predict", EXAMPLE)[0] == 200


def wait_until_tried(server: Server) -> tuple[int, dict[str, list[str]]]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status, body = server.request("GET", "/health/ready")
        if not any("not loaded yet" in reason for reason in body["reasons"]):
            return status, body
        time.sleep(0.05)
    raise AssertionError(f"models were never tried: {body}")


def wait_for(server: Server, text: str) -> None:
    deadline = time.monotonic() + 60
    while not any(text in line for line in list(server.lines)):
        assert time.monotonic() < deadline, "".join(server.lines)
        time.sleep(0.02)
