"""What the hops share: the directory, how a test tells what went wrong, and the parts they talk to.

A hop is one file of tests here and one step of the integration stage (`mage integration`). What it
leaves in METER_HOP_DIR a later one takes; nothing is made a second time by a fixture.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from server_process import Server

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample_readings.csv"
DIRECTORY = "METER_HOP_DIR"
LOG_LINES = 8  # of a part's log, at the end of the message that it is down


class PartDown(Exception):
    """A part of the system did not come up or went away: nothing was judged.

    The stage makes it an error, not a finding; the message ends with the end of the part's log.
    """


class Mismatch(AssertionError):
    """Something else came than was expected; `what` is a sentence without its end."""

    def __init__(self, what: str, *, came: object, expected: object, sent: object = None) -> None:
        super().__init__(what)
        self.parts = {"sent": sent, "came": came, "expected": expected}


def same(what: str, came: object, expected: object, sent: object = None) -> None:
    """Raise Mismatch unless both are equal."""
    if came != expected:
        raise Mismatch(what, came=came, expected=expected, sent=sent)


def within(what: str, came: float, low: float, high: float) -> None:
    """Raise Mismatch unless low <= came <= high."""
    if not low <= came <= high:
        raise Mismatch(what, came=came, expected=f"{low} to {high}")


def directory() -> Path:
    """The directory that all hops of a run share."""
    return Path(os.environ[DIRECTORY])


def left(name: str, by: str) -> Path:
    """What an earlier hop left; AssertionError when it did not."""
    path = directory() / name
    assert (
        path.exists()
    ), f"the hop {by} left no {name}: run `mage integration`, which runs all hops"
    return path


def leave(name: str, content: Any) -> None:
    """Leave JSON for later hops."""
    path = directory() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a module of src/ as a user would, in an interpreter of its own."""
    told = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=told,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def mlflow(path: str, body: Mapping[str, Any] | None = None, method: str | None = None) -> Any:
    """One request to the run's MLflow (https://mlflow.org/docs/latest/rest-api.html), decoded.

    Plain HTTP, so that what the code under test stored is read by other code than its own.
    """
    return json.loads(fetch(path, body, method))


def fetch(path: str, body: Mapping[str, Any] | None = None, method: str | None = None) -> bytes:
    """The same, as it came; OSError when it is refused."""
    request = urllib.request.Request(
        os.environ["MLFLOW_TRACKING_URI"] + path,
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=30) as response:
        content: bytes = response.read()
    return content


def mlflow_down() -> str | None:
    """Why MLflow keeps no run, None when it does: it is asked to keep one."""
    api = "/api/2.0/mlflow/runs/"
    try:
        made = mlflow(api + "create", {"experiment_id": "0", "run_name": "is it there?"})
        run_id = made["run"]["info"]["run_id"]
        read = mlflow(f"{api}get?run_id={run_id}")["run"]["info"]["run_id"]
        mlflow(api + "delete", {"run_id": run_id})
    except (OSError, ValueError, KeyError) as error:
        log = tail(os.environ.get("METER_MLFLOW_LOG", ""))
        return f"MLflow at {os.environ['MLFLOW_TRACKING_URI']} keeps no run ({error}){log}"
    return None if read == run_id else "MLflow gives back another run than it was given"


def database_down() -> str | None:
    """Why PostgreSQL does not answer, None when it does."""
    try:
        with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=5) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        log = tail(os.environ.get("METER_POSTGRES_LOG", ""))
        return f"PostgreSQL does not answer: {' '.join(str(error).split())}{log}"
    return None


def parts_down() -> list[str]:
    """Why parts that this hop was given are not there."""
    asked = []
    if os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http"):
        asked.append(mlflow_down())
    if os.environ.get("DATABASE_URL"):
        asked.append(database_down())
    return [why for why in asked if why]


def tail(log: str | list[str]) -> str:
    """The end of a log, to be put at the end of a message."""
    if isinstance(log, str):
        try:
            log = Path(log).read_text("utf-8", "replace").splitlines() if log else []
        except OSError as error:
            log = [f"its log can't be read: {error}"]
    lines = [line.strip() for line in log if line.strip()][-LOG_LINES:]
    return "; the end of its log: " + " / ".join(lines) if lines else "; it logged nothing"


class Uvicorn(Server):
    """The API as a process on a free port; PartDown when it does not come up."""

    def __enter__(self) -> "Uvicorn":
        try:
            super().__enter__()
        except AssertionError:
            raise PartDown(f"uvicorn did not come up{tail(self.lines)}") from None
        return self

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and decoded JSON; PartDown when the server is gone."""
        try:
            return self.request(method, path, body)
        except OSError as error:
            raise PartDown(f"uvicorn went away ({error}){tail(self.lines)}") from None


def serving(models: Path, **environment: str) -> Uvicorn:
    """A server of these models, not started yet; the database is the hop's, if it has one."""
    told = {"DATABASE_URL": os.environ.get("DATABASE_URL", ""), "GIT_SHA": "integration"}
    return Uvicorn(MODEL_DIR=str(models), **told, **environment)
