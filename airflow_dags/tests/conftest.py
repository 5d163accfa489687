"""Airflow for the tests: a home of its own, no examples, no network, and the DAGs of this folder.

These tests are here and not under ``tests/`` because Airflow pins much of the web stack and so
lives in an environment of its own (`airflow-dev.txt`). ``pytest tests/`` in the developer's
environment neither sees nor skips them; ``.venv-airflow/bin/pytest airflow_dags`` runs them, with
airflow_dags/pytest.ini, and fails rather than skips in any other environment.
"""

import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("airflow") is None:
    raise pytest.UsageError(
        "airflow_dags/tests needs Airflow: sync airflow-dev.txt into .venv-airflow and "
        "run '.venv-airflow/bin/pytest airflow_dags'; this environment is for 'pytest tests/'"
    )

DAGS = Path(__file__).resolve().parents[1]
ROOT = DAGS.parent
HOME = Path(tempfile.mkdtemp(prefix="meter-airflow-"))

# Airflow reads its configuration when it is first imported, so this precedes every import of it.
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME / 'airflow.db'}",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
sys.path.append(str(ROOT / "tests"))


SERVER = os.environ.get("DATABASE_URL")


def pytest_unconfigure() -> None:
    """Remove Airflow's home with its database and logs."""
    shutil.rmtree(HOME, ignore_errors=True)


@dataclass(frozen=True)
class Run:
    """What a DAG run came to: its state, its tasks' states, what they returned."""

    state: str
    tasks: dict[str, str]
    returned: dict[str, Any]


def load_dags() -> Any:
    """The DAGs as Airflow's own processor loads them."""
    from airflow.dag_processing.dagbag import BundleDagBag

    return BundleDagBag(dag_folder=DAGS, bundle_path=DAGS, bundle_name="dags-folder")


@pytest.fixture(scope="session")
def dagbag() -> Any:
    """The DAGs, to look at only: running one leaves its parameters in it."""
    return load_dags()


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's own database, made as ``airflow db migrate`` does."""
    from airflow.utils.db import upgradedb

    upgradedb()


@pytest.fixture
def run_dag(airflow_database: None) -> Callable[..., Run]:
    """Run a DAG with these parameters by ``dag.test()``: real tasks, in this process.

    A mapped task's state is the worst of its instances, what it returned a list.
    """

    def run(dag_id: str, retries: int | None = None, **conf: Any) -> Run:
        dag = load_dags().dags[dag_id]
        if retries is not None:
            for task in dag.tasks:
                task.retries = retries
        return _outcome(dag.test(run_conf=conf))

    return run


def _outcome(dag_run: Any) -> Run:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    worst = ("failed", "upstream_failed", "skipped", "success")
    states: dict[str, str] = {}
    for instance in dag_run.get_task_instances():
        seen = {str(instance.state), states.get(instance.task_id, "success")}
        states[instance.task_id] = min(seen, key=worst.index)
    query = select(XComModel).where(XComModel.dag_id == dag_run.dag_id)
    query = query.where(XComModel.run_id == dag_run.run_id)
    returned: dict[str, Any] = {}
    with create_session() as session:
        for stored in session.scalars(query.order_by(XComModel.map_index)):
            if stored.key == "skipmixin_key":  # Airflow's own note of what a skip skipped
                continue
            assert stored.key == "return_value", f"{stored.task_id} hands on {stored.key} too"
            value = XComModel.deserialize_value(stored)
            assert len(json.dumps(value)) < 4096, f"{stored.task_id} hands on data, not its name"
            if stored.map_index < 0:
                returned[stored.task_id] = value
            else:
                returned.setdefault(stored.task_id, []).append(value)
    return Run(str(dag_run.state), states, returned)


@pytest.fixture(scope="session")
def databases() -> Iterator[Any]:
    """Uniquely named databases on the server of DATABASE_URL, else on a throwaway one."""
    from postgres import Cluster, Databases

    cluster = None if SERVER else Cluster()
    try:
        made = Databases(SERVER or cluster.url)
        yield made
        made.close()
    finally:
        if cluster:
            cluster.close()


@pytest.fixture(scope="session")
def template(databases: Any) -> str:
    """The name of a migrated database to clone."""
    from data import database

    url = databases.create()
    database.migrate(url)
    return str(database.database_url(url).database)


@pytest.fixture(scope="session")
def sample_template(databases: Any, template: str) -> str:
    """The name of a database to clone that holds the shipped sample."""
    from data import database
    from data.create_datasets import SAMPLE
    from data.ingestion import ingest_file

    url = databases.create(template)
    engine = database.engine(url)
    ingest_file(SAMPLE, engine)
    engine.dispose()
    return str(database.database_url(url).database)


@pytest.fixture
def engine(databases: Any, template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A fresh, migrated database, which DATABASE_URL names for the DAGs."""
    yield from _clone(databases, template, monkeypatch)


@pytest.fixture
def stored(databases: Any, sample_template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A database with the sample, which DATABASE_URL names for the DAGs."""
    yield from _clone(databases, sample_template, monkeypatch)


def _clone(databases: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from data import database

    url = databases.create(name)
    monkeypatch.setenv("DATABASE_URL", url)
    made = database.engine(url)
    yield made
    made.dispose()
    databases.drop(url)


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's SQLite store with its tables made, which takes seconds."""
    from models.registry import Registry

    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    Registry(f"sqlite:///{path}").champion_number("meter-regression")
    return path


@pytest.fixture
def registry(empty_registry: Path, tmp_path: Path, isolated: None) -> Any:
    """The registry of this test's own that MLFLOW_TRACKING_URI names; empty."""
    from models.registry import Registry

    shutil.copy(empty_registry, tmp_path / "mlflow.db")
    return Registry()


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches a user's database, registry, models or folders."""
    for name in ("DATABASE_URL", "MODEL_DIR", "METER_INCOMING_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("METER_WORK_DIR", str(tmp_path / "work"))
