"""Asks all parts of a deployed system together, as their users do: `smoke.py [CHECK ...]`.

It runs in a container on the environment's network (the service "smoke" of docker/compose.yaml),
needs the standard library and psycopg, and is told by the environment where the parts are:
PREDICTIONS_URL, EXPECTED_DIGEST, ANSWERS (a path), DATABASE_URL, MLFLOW_TRACKING_URI, AIRFLOW_URL,
AIRFLOW_DAGS, AIRFLOW_ADMIN_PASSWORD. A value can be given as a file: NAME_FILE.

A line of JSON for each check: its name, its status, the seconds, and what was sent, came and was
expected. Exit code 0: all is well; 1: something is wrong; 3: something could not be asked.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

# Models compute in float32, whose last digits differ from one kind of processor to another.
TOLERANCE = 1e-6
TIMEOUT = 10.0  # s, of one request
BUSY = 10.0  # s, for what is late on a busy host
PATIENCE = 60.0  # s, for Airflow to have read its DAGs anew
SHOWN = 400  # characters of an answer

Told = Mapping[str, str]


class Wrong(Exception):
    """Something else came than was expected."""

    def __init__(self, what: str, *, sent: object, came: object, expected: object) -> None:
        super().__init__(what)
        self.parts = {"sent": sent, "came": came, "expected": expected}


class NotAsked(Exception):
    """A part is away, or nobody said where it is: nothing was judged."""


def setting(told: Told, name: str) -> str:
    """The value of NAME, or of the file that NAME_FILE names; NotAsked without either."""
    value = told.get(name, "")
    if path := told.get(f"{name}_FILE"):
        try:
            value = Path(path).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise NotAsked(f"read {name}_FILE, {path}: {type(error).__name__}") from None
    if not value:
        raise NotAsked(f"{name} is not set")
    return value


class Part:
    """A part of the system that speaks HTTP."""

    def __init__(self, told: Told, name: str) -> None:
        self.url = setting(told, name).rstrip("/")
        self.headers = {"Connection": "close"}

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and body of the answer; bytes are sent as they are, anything else as JSON."""
        parts = urlsplit(self.url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        headers = dict(self.headers)
        if body is not None and not isinstance(body, bytes):
            body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
        try:
            connection.request(method, parts.path + path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            reason = f"{type(error).__name__}: {error}"
            raise NotAsked(f"{method} {self.url}{path}: no answer ({reason})") from None
        finally:
            connection.close()

    def get(self, path: str, method: str = "GET", body: Any = None, status: int = 200) -> Any:
        """The decoded JSON of an answer that must have this status."""
        came, content = self.ask(method, path, body)
        try:
            if came == status:
                return json.loads(content)
        except ValueError:
            pass
        shown = content[:SHOWN].decode("utf-8", "replace")
        sent = f"{method} {self.url}{path}"
        raise Wrong(
            f"{method} {path}", sent=sent, came=f"{came} {shown}", expected=f"{status} and JSON"
        )


def same(what: str, *, came: object, expected: object, sent: object) -> None:
    """Raise Wrong unless both are equal."""
    if came != expected:
        raise Wrong(what, sent=sent, came=came, expected=expected)


def settle(told: Told, patience: float, look: Callable[[], None]) -> None:
    """Look until nothing is wrong, or so many seconds are over: a busy host answers late."""
    deadline = time.monotonic() + float(told.get("SMOKE_PATIENCE") or patience)
    while True:
        try:
            look()
            return
        except Wrong:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.5)


def version(told: Told) -> None:
    """What serves behind the proxy is the image that was deployed."""
    api, expected = Part(told, "PREDICTIONS_URL"), setting(told, "EXPECTED_DIGEST")
    came = api.get("/version")
    same("digest of what serves", came=came.get("image_digest"), expected=expected, sent="/version")


def endpoints(told: Told) -> None:
    """Every endpoint answers, and a bad request is refused."""
    api = Part(told, "PREDICTIONS_URL")
    same("liveness", came=api.get("/health/live"), expected={"status": "live"}, sent="/health/live")
    settle(told, BUSY, lambda: _ready(api))
    status, content = api.ask("GET", "/metrics")
    if status != 200 or b"predictions_total" not in content:
        shown = content[:SHOWN].decode("utf-8", "replace")
        raise Wrong("metrics", sent="/metrics", came=f"{status} {shown}", expected="200, counters")
    for path in ("/predict", "/predict/batch"):
        refused = {"voltage": "high"}
        came = api.ask("POST", path, refused)[0]
        same(f"refusal of a bad body by {path}", came=came, expected=422, sent=refused)


def _ready(api: Part) -> None:
    ready = {"status": "ready", "reasons": []}
    same("readiness", came=api.get("/health/ready"), expected=ready, sent="/health/ready")


def answers(told: Told) -> None:
    """Predictions are those that training's own models gave, one by one and all at once."""
    api, path = Part(told, "PREDICTIONS_URL"), setting(told, "ANSWERS")
    try:
        known = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise NotAsked(f"read {path}: {type(error).__name__}") from None
    if not known:
        raise NotAsked(f"{path} holds no answers")
    for one in known:
        near("prediction", api.get("/predict", "POST", one["request"]), one, one["request"])
    items = [one["request"] for one in known]
    batch = api.get("/predict/batch", "POST", {"items": items})["predictions"]
    same("answers to a batch", came=len(batch), expected=len(known), sent=f"{len(known)} items")
    for came, one in zip(batch, known, strict=True):
        near("prediction in a batch", came, one, one["request"])


def near(what: str, came: Mapping[str, Any], expected: Mapping[str, Any], sent: object) -> None:
    """Raise Wrong unless both predictions are equal but for rounding."""
    for field in ("units_kwh", "high_consumption_probability"):
        value, wanted = came.get(field), expected[field]
        fine = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not fine or not abs(value - wanted) <= TOLERANCE * max(1.0, abs(wanted)):
            raise Wrong(f"{field} of a {what}", sent=sent, came=value, expected=wanted)


def database(told: Told) -> None:
    """A row that is written is read back, and is gone when its transaction is rolled back."""
    try:
        import psycopg  # pylint: disable=import-outside-toplevel  # the other checks do without
    except ImportError:
        raise NotAsked("psycopg is not installed here") from None
    url = setting(told, "DATABASE_URL")
    password = setting(told, "DATABASE_PASSWORD") if _has(told, "DATABASE_PASSWORD") else None
    row = (f"smoke-{uuid.uuid4().hex}", datetime.fromisoformat("2000-01-01T00:00Z"), "smoke", 1.5)
    select = "SELECT meter_id, reading_date, model_version, units_kwh FROM predictions "
    insert = "INSERT INTO predictions (meter_id, reading_date, model_version, units_kwh) "
    try:
        with psycopg.connect(url, password=password, connect_timeout=5) as connection:
            connection.execute(insert + "VALUES (%s, %s, %s, %s)", row)
            found = connection.execute(select + "WHERE meter_id = %s", row[:1]).fetchall()
            connection.rollback()
        with psycopg.connect(url, password=password, connect_timeout=5) as connection:
            left = connection.execute(select + "WHERE meter_id = %s", row[:1]).fetchall()
    except psycopg.OperationalError as error:
        raise NotAsked(f"PostgreSQL does not answer: {_line(error)}") from None
    except psycopg.Error as error:
        raise Wrong("a row in predictions", sent=row[0], came=_line(error), expected="it") from None
    same("the row that was written", came=found, expected=[row], sent=row[0])
    same("what a rolled back row leaves", came=left, expected=[], sent=row[0])


def mlflow(told: Told) -> None:
    """A run with a metric, a parameter and a file is kept and given back, and then deleted."""
    server, api = Part(told, "MLFLOW_TRACKING_URI"), "/api/2.0/mlflow/runs"
    made = {"experiment_id": "0", "run_name": "smoke", "start_time": int(time.time() * 1000)}
    info = server.get(f"{api}/create", "POST", made)["run"]["info"]
    run = info["run_id"]
    try:
        value = {"run_id": run, "key": "smoke", "value": 0.5, "timestamp": 1, "step": 0}
        server.get(f"{api}/log-metric", "POST", value)
        server.get(f"{api}/log-parameter", "POST", {"run_id": run, "key": "smoke", "value": run})
        came = server.get(f"{api}/get?run_id={run}")["run"]["data"]
        metrics = [(each["key"], each["value"]) for each in came.get("metrics", ())]
        same("the metric that was logged", came=metrics, expected=[("smoke", 0.5)], sent=value)
        params = [each["value"] for each in came.get("params", ())]
        same("the parameter that was logged", came=params, expected=[run], sent=run)
        path = quote(info["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/smoke.txt")
        file = f"/api/2.0/mlflow-artifacts/artifacts/{path}"
        steps = [("PUT", run.encode()), ("GET", None), ("DELETE", None)]
        came = [server.ask(method, file, body) for method, body in steps]
        statuses = [status for status, _ in came]
        same(
            "keeping of a file", came=statuses, expected=[200] * 3, sent=f"PUT, GET, DELETE {file}"
        )
        same("the file that was logged", came=came[1][1].decode(), expected=run, sent=file)
    finally:
        server.get(f"{api}/delete", "POST", {"run_id": run})
    stage = server.get(f"{api}/get?run_id={run}")["run"]["info"]["lifecycle_stage"]
    same("the run that was deleted", came=stage, expected="deleted", sent=run)


def airflow(told: Told) -> None:
    """Every role is alive, and all DAGs were read without an error by the processor that runs."""
    server = Part(told, "AIRFLOW_URL")
    expected = sorted(setting(told, "AIRFLOW_DAGS").split())
    settle(told, BUSY, lambda: _roles(server))
    account = {"username": "admin", "password": setting(told, "AIRFLOW_ADMIN_PASSWORD")}
    token = server.get("/auth/token", "POST", account, 201)["access_token"]
    server.headers["Authorization"] = f"Bearer {token}"
    settle(told, PATIENCE, lambda: _dags(server, expected))


def _roles(server: Part) -> None:
    health = server.get("/api/v2/monitor/health")
    for role in ("metadatabase", "scheduler", "dag_processor"):
        same(f"Airflow's {role}", came=health[role]["status"], expected="healthy", sent="health")


def _dags(server: Part, expected: list[str]) -> None:
    errors = server.get("/api/v2/importErrors?limit=5")["import_errors"]
    found = [f"{each['filename']}: {each['stack_trace'].strip()[-SHOWN:]}" for each in errors]
    same("DAG files that can't be imported", came=found, expected=[], sent="importErrors")
    running = server.get("/api/v2/jobs?job_type=DagProcessorJob&job_state=running&limit=100")
    # What an earlier processor has read says nothing about the files that are there now.
    since = max((job["start_date"] for job in running["jobs"]), default="")
    dags = server.get("/api/v2/dags?limit=500")["dags"]
    read = [dag["dag_id"] for dag in dags if since and (dag["last_parsed_time"] or "") >= since]
    what = f"DAGs that were read since the DAG processor began, {since or 'which does not run'}"
    same(what, came=[name for name in expected if name in read], expected=expected, sent="dags")


def _has(told: Told, name: str) -> bool:
    return bool(told.get(name) or told.get(f"{name}_FILE"))


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:SHOWN]}"


CHECKS: Mapping[str, Callable[[Told], None]] = {
    check.__name__: check for check in (version, endpoints, answers, database, mlflow, airflow)
}


def judge(name: str, told: Told) -> dict[str, Any]:
    """Run one check; what became of it, as it is printed."""
    begin = time.monotonic()
    outcome: dict[str, Any] = {"check": name, "status": "passed"}
    try:
        CHECKS[name](told)
    except Wrong as error:
        outcome |= {"status": "failed", "message": str(error), **error.parts}
    except NotAsked as error:
        outcome |= {"status": "error", "message": str(error)}
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        outcome |= {"status": "failed", "message": f"an answer has another form: {_line(error)}"}
    except Exception as error:  # pylint: disable=broad-exception-caught  # nothing was judged
        outcome |= {"status": "error", "message": _line(error)}
    return outcome | {"seconds": round(time.monotonic() - begin, 3)}


def main(arguments: list[str], told: Told) -> int:
    """Run the named checks, or all, and return the exit code."""
    unknown = [name for name in arguments if name not in CHECKS]
    if unknown:
        print(f"smoke: no check {unknown[0]!r}: there are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    statuses = []
    for name in arguments or CHECKS:
        outcome = judge(name, told)
        statuses.append(outcome["status"])
        print(json.dumps(outcome, default=str), flush=True)
    return 3 if "error" in statuses else 1 if "failed" in statuses else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
