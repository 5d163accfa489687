"""The tests' own PostgreSQL: throwaway, swept after a kill, and never another's database."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import postgres
from postgres import Cluster, Databases

TESTS = Path(postgres.__file__).parent
OWNER = "import sys, time; sys.path.insert(0, {tests!r}); import postgres; {code}; time.sleep(60)"


def start(code):
    """Start a process that owns something; return it and the line that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(tests=str(TESTS), code=code)],
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().strip()


def kill(process):
    process.kill()
    process.wait()
    process.stdout.close()


def name_of(url):
    return conninfo_to_dict(url)["dbname"]


def names(url):
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def test_databases_of_the_killed_are_dropped_and_those_of_the_living_kept(server_url, databases):
    code = f"d = postgres.Databases({server_url!r}); d.create(); print(d.create(), flush=True)"
    process, url = start(code)
    own = databases.create()
    base = name_of(url).rpartition("_")[0]
    try:
        other = Databases(server_url)
        assert {f"{base}_0", f"{base}_1"} <= names(server_url)
    finally:
        kill(process)
    deadline = time.monotonic() + 20  # the server notices the lost connection by itself
    while base in str(names(server_url)) and time.monotonic() < deadline:
        other.sweep()
        time.sleep(0.05)
    other.close()
    assert base not in str(names(server_url))
    assert name_of(own) in names(server_url)
    databases.drop(own)


@pytest.mark.parametrize("name", ["postgres", "production", "meter_test", "meter_test_1_2_x"])
def test_no_other_database_is_ever_dropped(databases, server_url, name):
    with pytest.raises(ValueError, match="is not a test database"):
        databases.drop(f"{server_url.rpartition('/')[0]}/{name}")
    assert "postgres" in names(server_url)


def test_database_name_tells_its_owner(databases):
    url = databases.create()
    assert f"_{os.getpid()}_" in url and postgres.BASE.fullmatch(name_of(url))
    databases.drop(url)


def test_cluster_is_gone_after_close():
    cluster = Cluster()
    with psycopg.connect(cluster.url) as connection:
        (version,) = connection.execute("SHOW server_version_num").fetchone()
    assert int(version) >= 150_000
    cluster.close()
    assert not cluster.folder.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(cluster.url, connect_timeout=2)


def test_cluster_of_the_killed_is_swept_and_that_of_the_living_kept():
    process, told = start("c = postgres.Cluster(); print(c.folder, c.url, flush=True)")
    folder, url = told.split()
    try:
        postgres.sweep_clusters()
        psycopg.connect(url).close()  # its owner lives
    finally:
        kill(process)
    postgres.sweep_clusters()
    assert not Path(folder).exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)


def test_interrupted_start_leaves_nothing(monkeypatch):
    made = []

    def interrupt(cluster, _):
        made.append(cluster.folder)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    monkeypatch.setattr(Cluster, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Cluster()
    assert made and not made[0].exists()


def test_no_server_programs_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("METER_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(pytest.UsageError, match="install PostgreSQL 15 .* or set DATABASE_URL"):
        postgres.server_programs()


def test_server_that_does_not_answer_is_a_usage_error():
    with pytest.raises(pytest.UsageError, match="does not answer") as raised:
        Databases("postgresql://u:geheim@127.0.0.1:1/d")
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")], ids=["locally", "in-ci"]
)
def test_real_data_is_skipped_locally_and_failed_in_ci(tmp_path, ci, outcome):
    (tmp_path / "conftest.py").write_text("from conftest_of_the_project import *\n")
    (tmp_path / "conftest_of_the_project.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text("def test_it(real_data):\n    pass\n")
    path = os.pathsep.join([str(tmp_path), str(TESTS), str(TESTS.parent / "src")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={
            **os.environ,
            **{"CI": ci, "METER_DATA_DIR": "", "PYTHONPATH": path},
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # loading them takes seconds
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout, done.stdout
    assert "METER_DATA_DIR (not set) lacks steel_industry.csv" in done.stdout


def test_tests_see_no_store_of_the_user():
    assert os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:////")
    assert "stores" in os.environ["MODEL_DIR"]
    assert "DATABASE_URL" not in os.environ
