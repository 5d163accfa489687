"""The smoke test of a deploy, against small servers that are right, wrong, or away."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
DIGEST = "sha256:" + "7" * 64
CANARY = "canary-of-the-admin"
NOWHERE = "http://127.0.0.1:9"
REQUESTS = [{"load_kw": 1.0}, {"load_kw": 2.0}]


@dataclass
class Small:
    """A server whose answers are a table; of each request a status and a value, or a function."""

    table: dict[str, Any]
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked.append(f"{method} {path}")
        found = self.table.get(f"{method} {urlsplit(path).path}", (404, {"detail": "Not Found"}))
        status, value = found(body) if callable(found) else found
        return status, value if isinstance(value, bytes) else json.dumps(value).encode()


@pytest.fixture(name="smoke")
def fixture_smoke(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import smoke  # type: ignore[import-not-found]  # is a script

    return smoke


@pytest.fixture(name="serve")
def fixture_serve() -> Iterator[Callable[[dict[str, Any]], Small]]:
    servers: list[ThreadingHTTPServer] = []

    def serve(table: dict[str, Any]) -> Small:
        small = Small(table)

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                small.tokens.append(self.headers.get("Authorization", ""))
                status, content = small.answer(self.command, self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        small.url = f"http://127.0.0.1:{server.server_port}"
        return small

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def predicted(request: dict[str, float]) -> dict[str, float]:
    return {"units_kwh": request["load_kw"] / 4, "high_consumption_probability": 0.25}


def api() -> dict[str, Any]:
    def one(body: bytes) -> tuple[int, Any]:
        request = json.loads(body)
        return (200, predicted(request)) if "load_kw" in request else (422, {"detail": []})

    def many(body: bytes) -> tuple[int, Any]:
        items = json.loads(body).get("items")
        found = (200, {"predictions": [predicted(item) for item in items]}) if items else None
        return found or (422, {"detail": []})

    return {
        "GET /version": (200, {"image_digest": DIGEST}),
        "GET /health/live": (200, {"status": "live"}),
        "GET /health/ready": (200, {"status": "ready", "reasons": []}),
        "GET /metrics": (200, b"predictions_total 0\n"),
        "POST /predict": one,
        "POST /predict/batch": many,
    }


def tracking() -> dict[str, Any]:
    runs, files = "/api/2.0/mlflow/runs", "/api/2.0/mlflow-artifacts/artifacts/0/r1/artifacts"
    state = {"stage": "active", "value": 0.0, "file": b""}

    def log(body: bytes) -> tuple[int, Any]:
        state["value"] = json.loads(body)["value"]
        return 200, {}

    def put(body: bytes) -> tuple[int, Any]:
        state["file"] = body
        return 200, b""

    def delete(_: bytes) -> tuple[int, Any]:
        state["stage"] = "deleted"
        return 200, {}

    def get(_: bytes) -> tuple[int, Any]:
        data = {
            "metrics": [{"key": "smoke", "value": state["value"]}],
            "params": [{"key": "smoke", "value": "r1"}],
        }
        return 200, {"run": {"info": {"lifecycle_stage": state["stage"]}, "data": data}}

    info = {"run_id": "r1", "artifact_uri": "mlflow-artifacts:/0/r1/artifacts"}
    return {
        f"POST {runs}/create": (200, {"run": {"info": info}}),
        f"POST {runs}/log-metric": log,
        f"POST {runs}/log-parameter": (200, {}),
        f"GET {runs}/get": get,
        f"PUT {files}/smoke.txt": put,
        f"GET {files}/smoke.txt": lambda _: (200, state["file"]),
        f"DELETE {files}/smoke.txt": (200, b""),
        f"POST {runs}/delete": delete,
    }


def scheduling() -> dict[str, Any]:
    def token(body: bytes) -> tuple[int, Any]:
        right = json.loads(body) == {"username": "admin", "password": CANARY}
        return (201, {"access_token": "t"}) if right else (401, {"detail": "Invalid credentials"})

    def dag(name: str, at: str) -> dict[str, str]:
        return {"dag_id": name, "last_parsed_time": at}

    well = {"status": "healthy"}
    return {
        "GET /api/v2/monitor/health": (
            200,
            {"metadatabase": well, "scheduler": well, "dag_processor": well, "triggerer": {}},
        ),
        "POST /auth/token": token,
        "GET /api/v2/importErrors": (200, {"import_errors": []}),
        "GET /api/v2/jobs": (200, {"jobs": [{"start_date": "2026-01-01T10:00:00Z"}]}),
        "GET /api/v2/dags": (
            200,
            {"dags": [dag("b", "2026-01-01T10:00:05Z"), dag("a", "2026-01-01T10:00:04Z")]},
        ),
    }


PARTS = {
    "PREDICTIONS_URL": api,
    "MLFLOW_TRACKING_URI": tracking,
    "AIRFLOW_URL": scheduling,
}
HTTP = ["version", "endpoints", "answers", "mlflow", "airflow"]


@pytest.fixture(name="told")
def fixture_told(serve: Callable[[dict[str, Any]], Small], tmp_path: Path) -> dict[str, str]:
    answers, secret = tmp_path / "answers.json", tmp_path / "ADMIN"
    answers.write_text(json.dumps([{"request": r, **predicted(r)} for r in REQUESTS]), "utf-8")
    secret.write_text(f"{CANARY}\n", "utf-8")
    return {
        "EXPECTED_DIGEST": DIGEST,
        "ANSWERS": str(answers),
        "AIRFLOW_DAGS": "a b",
        "AIRFLOW_ADMIN_PASSWORD_FILE": str(secret),
        "SMOKE_PATIENCE": "0.1",
        **{name: serve(make()).url for name, make in PARTS.items()},
    }


@pytest.mark.parametrize("name", HTTP)
def test_what_is_right_passes(smoke: ModuleType, told: dict[str, str], name: str) -> None:
    outcome = smoke.judge(name, told)
    assert outcome.pop("seconds") < 5
    assert outcome == {"check": name, "status": "passed"}


@pytest.mark.parametrize(
    ("check", "part", "path", "late"),
    [
        pytest.param(
            *("endpoints", "PREDICTIONS_URL", "GET /health/ready"),
            {"status": "ready", "reasons": ["database does not answer within 1 s"]},
            id="slow database",
        ),
        pytest.param(
            *("airflow", "AIRFLOW_URL", "GET /api/v2/monitor/health"),
            {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}},
            id="late heartbeat",
        ),
    ],
)
def test_what_is_late_passes(
    smoke: ModuleType,
    serve: Callable[[dict[str, Any]], Small],
    told: dict[str, str],
    check: str,
    part: str,
    path: str,
    late: dict[str, Any],
) -> None:
    right = PARTS[part]()
    answers = [(200, late), right[path]]
    told[part] = serve({**right, path: lambda _: answers.pop(0)}).url
    assert smoke.judge(check, told | {"SMOKE_PATIENCE": "10"})["status"] == "passed"
    assert not answers


NOT_WELL = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}}
BROKEN = {"filename": "b.py", "stack_trace": "Traceback\nImportError: no c\n"}


@pytest.mark.parametrize(
    ("check", "part", "changed", "message", "came"),
    [
        pytest.param(
            *("version", "PREDICTIONS_URL"),
            {"GET /version": (200, {"image_digest": "sha256:0"})},
            *("digest of what serves", "sha256:0"),
            id="another image",
        ),
        pytest.param(
            *("version", "PREDICTIONS_URL"),
            {"GET /version": (200, [])},
            *("an answer has another form", None),
            id="another form",
        ),
        pytest.param(
            *("endpoints", "PREDICTIONS_URL"),
            {"GET /health/ready": (503, {"status": "not ready"})},
            *("GET /health/ready", '503 {"status": "not ready"}'),
            id="not ready",
        ),
        pytest.param(
            *("endpoints", "PREDICTIONS_URL"),
            {"GET /metrics": (200, b"# nothing")},
            *("metrics", "200 # nothing"),
            id="no metrics",
        ),
        pytest.param(
            *("endpoints", "PREDICTIONS_URL"),
            {"POST /predict": (200, {})},
            *("refusal of a bad body by /predict", 200),
            id="takes anything",
        ),
        pytest.param(
            *("answers", "PREDICTIONS_URL"),
            {"POST /predict": (200, {"units_kwh": 0.25002, "high_consumption_probability": 0.25})},
            *("units_kwh of a prediction", 0.25002),
            id="another prediction",
        ),
        pytest.param(
            *("answers", "PREDICTIONS_URL"),
            {"POST /predict": (200, {"units_kwh": 0.25, "high_consumption_probability": None})},
            *("high_consumption_probability of a prediction", None),
            id="no number",
        ),
        pytest.param(
            *("answers", "PREDICTIONS_URL"),
            {"POST /predict/batch": (200, {"predictions": [predicted(REQUESTS[0])]})},
            *("answers to a batch", 1),
            id="half a batch",
        ),
        pytest.param(
            *("answers", "PREDICTIONS_URL"),
            {"POST /predict/batch": (200, {"predictions": [predicted(REQUESTS[0])] * 2})},
            *("units_kwh of a prediction in a batch", 0.25),
            id="batch out of order",
        ),
        pytest.param(
            *("mlflow", "MLFLOW_TRACKING_URI"),
            {"POST /api/2.0/mlflow/runs/log-metric": (200, {})},
            *("the metric that was logged", [("smoke", 0.0)]),
            id="metric lost",
        ),
        pytest.param(
            *("mlflow", "MLFLOW_TRACKING_URI"),
            {"PUT /api/2.0/mlflow-artifacts/artifacts/0/r1/artifacts/smoke.txt": (500, b"")},
            *("keeping of a file", [500, 200, 200]),
            id="file refused",
        ),
        pytest.param(
            *("mlflow", "MLFLOW_TRACKING_URI"),
            {"POST /api/2.0/mlflow/runs/delete": (200, {})},
            *("the run that was deleted", "active"),
            id="not deleted",
        ),
        pytest.param(
            *("airflow", "AIRFLOW_URL"),
            {"GET /api/v2/monitor/health": (200, NOT_WELL)},
            *("Airflow's scheduler", "unhealthy"),
            id="scheduler",
        ),
        pytest.param(
            *("airflow", "AIRFLOW_URL"),
            {"GET /api/v2/importErrors": (200, {"import_errors": [BROKEN]})},
            *("DAG files that can't be imported", ["b.py: Traceback\nImportError: no c"]),
            id="import error",
        ),
        pytest.param(
            *("airflow", "AIRFLOW_URL"),
            {"GET /api/v2/jobs": (200, {"jobs": [{"start_date": "2026-01-01T10:00:05Z"}]})},
            *("DAGs that were read since the DAG processor began, 2026-01-01T10:00:05Z", ["b"]),
            id="read before",
        ),
        pytest.param(
            *("airflow", "AIRFLOW_URL"),
            {"GET /api/v2/jobs": (200, {"jobs": []})},
            *("DAGs that were read since the DAG processor began, which does not run", []),
            id="no processor",
        ),
    ],
)
def test_what_is_wrong_fails(
    smoke: ModuleType,
    serve: Callable[[dict[str, Any]], Small],
    told: dict[str, str],
    check: str,
    part: str,
    changed: dict[str, Any],
    message: str,
    came: object,
) -> None:
    told[part] = serve({**PARTS[part](), **changed}).url
    outcome = smoke.judge(check, told)
    assert (outcome["status"], outcome.get("came")) == ("failed", came), outcome
    assert outcome["message"].startswith(message)


@pytest.mark.parametrize(
    ("check", "changed", "message"),
    [
        pytest.param("version", {"EXPECTED_DIGEST": ""}, "EXPECTED_DIGEST is not", id="untold"),
        pytest.param("endpoints", {"PREDICTIONS_URL": NOWHERE}, "GET .* no answer", id="api away"),
        pytest.param("answers", {"ANSWERS": "/nowhere"}, "read /nowhere", id="no answers"),
        pytest.param("answers", {"ANSWERS": "{empty}"}, "holds no answers", id="empty answers"),
        pytest.param("mlflow", {"MLFLOW_TRACKING_URI": NOWHERE}, "POST .* no answer", id="mlflow"),
        pytest.param("airflow", {"AIRFLOW_URL": NOWHERE}, "GET .* no answer", id="airflow away"),
        pytest.param(
            "airflow",
            {"AIRFLOW_ADMIN_PASSWORD_FILE": "/nowhere"},
            "read AIRFLOW_ADMIN_PASSWORD_FILE, /nowhere: FileNotFoundError",
            id="no secret",
        ),
        pytest.param(
            "database",
            {"DATABASE_URL": "postgresql://u:canary@127.0.0.1:9/d"},
            "PostgreSQL does not answer: ",
            id="database away",
        ),
    ],
)
def test_what_cannot_be_asked_is_an_error(
    smoke: ModuleType,
    told: dict[str, str],
    tmp_path: Path,
    check: str,
    changed: dict[str, str],
    message: str,
) -> None:
    (tmp_path / "empty").write_text("[]", "utf-8")
    told |= {name: value.format(empty=tmp_path / "empty") for name, value in changed.items()}
    outcome = smoke.judge(check, told)
    assert outcome["status"] == "error"
    assert re.search(message, outcome["message"]), outcome
    assert "canary" not in json.dumps(outcome)


def test_run_of_mlflow_is_deleted_after_a_failure(
    smoke: ModuleType, serve: Callable[[dict[str, Any]], Small], told: dict[str, str]
) -> None:
    server = serve({**tracking(), "POST /api/2.0/mlflow/runs/log-metric": (500, {})})
    outcome = smoke.judge("mlflow", told | {"MLFLOW_TRACKING_URI": server.url})
    assert outcome["status"] == "failed"
    assert server.asked[-1] == "POST /api/2.0/mlflow/runs/delete"


def test_wrong_password_is_in_no_outcome(smoke: ModuleType, told: dict[str, str]) -> None:
    del told["AIRFLOW_ADMIN_PASSWORD_FILE"]
    outcome = smoke.judge("airflow", told | {"AIRFLOW_ADMIN_PASSWORD": "canary"})
    assert (outcome["status"], outcome["message"]) == ("failed", "POST /auth/token")
    assert "canary" not in json.dumps(outcome)


def run(*checks: str, told: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "smoke.py"), *checks],
        env=told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("changed", "code", "statuses"),
    [
        pytest.param({}, 0, ["passed", "passed"], id="all well"),
        pytest.param({"EXPECTED_DIGEST": "other"}, 1, ["failed", "passed"], id="wrong"),
        pytest.param({"MLFLOW_TRACKING_URI": NOWHERE}, 3, ["passed", "error"], id="away"),
        pytest.param(
            {"EXPECTED_DIGEST": "other", "MLFLOW_TRACKING_URI": ""},
            *(3, ["failed", "error"]),
            id="wrong and away",
        ),
    ],
)
def test_exit_code_and_lines(
    told: dict[str, str], changed: dict[str, str], code: int, statuses: list[str]
) -> None:
    done = run("version", "mlflow", told=told | changed)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["status"] for line in lines] == statuses, done.stdout
    assert [line["check"] for line in lines] == ["version", "mlflow"]
    assert done.returncode == code
    assert CANARY not in done.stdout + done.stderr


def test_unknown_check_is_a_mistake_of_the_caller(told: dict[str, str]) -> None:
    done = run("verson", told=told)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no check 'verson': there are version, endpoints" in done.stderr


def test_without_names_all_checks_run(told: dict[str, str]) -> None:
    told["DATABASE_URL"] = "postgresql://u@127.0.0.1:9/d"
    checks = [json.loads(line)["check"] for line in run(told=told).stdout.splitlines()]
    assert checks == ["version", "endpoints", "answers", "database", "mlflow", "airflow"]
