"""Whether a role of Airflow is alive, asked of a real PostgreSQL."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

DOCKER = Path(__file__).resolve().parents[2] / "docker"


@pytest.fixture(name="jobs")
def fixture_jobs(database_url: str) -> str:
    """A database with the table that Airflow's roles write their heartbeats into."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "CREATE TABLE job (job_type text, hostname text, state text, "
            "latest_heartbeat timestamptz)"
        )
    return database_url


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        pytest.param(None, 1, "no heartbeat", id="none"),
        pytest.param(("DagProcessorJob", "{host}", "running", 5), 0, "last heartbeat", id="young"),
        pytest.param(("DagProcessorJob", "{host}", "running", 90), 1, "last heartbeat", id="old"),
        pytest.param(("DagProcessorJob", "{host}", "failed", 5), 1, "no heartbeat", id="failed"),
        pytest.param(("DagProcessorJob", "other", "running", 5), 1, "no heartbeat", id="host"),
        pytest.param(("SchedulerJob", "{host}", "running", 5), 1, "no heartbeat", id="role"),
    ],
)
def test_role_is_alive_by_its_heartbeat(
    jobs: str, row: tuple[str, str, str, int] | None, code: int, said: str
) -> None:
    if row is not None:
        role, host, state, age = row
        with psycopg.connect(jobs) as connection:
            connection.execute(
                "INSERT INTO job VALUES (%s, %s, %s, now() - %s * interval '1 second')",
                (role, host.format(host=socket.gethostname()), state, age),
            )
    done = heartbeat(jobs)
    assert done.returncode == code and said in done.stdout, done.stdout + done.stderr


def test_heartbeat_that_cannot_be_asked_for_is_none() -> None:
    done = heartbeat("postgresql://nobody@127.0.0.1:9/none")
    assert done.returncode == 1 and "DagProcessorJob: OperationalError" in done.stdout


def heartbeat(url: str) -> subprocess.CompletedProcess[str]:
    address = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return subprocess.run(
        [sys.executable, "-I", str(DOCKER / "heartbeat.py"), "DagProcessorJob"],
        env={**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
