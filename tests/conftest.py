"""What every test gets: isolation from the user's own stores, real data, throwaway databases."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from data import database
from postgres import Cluster, Databases

REAL_SETS = ("steel_industry.csv", "household_power.csv", "vic_electricity.csv")


# Read before any test: the fixture isolated_stores takes it away from the code under test.
DATABASE_URL = os.environ.get("DATABASE_URL")
CLUSTER = pytest.StashKey[Cluster]()
SERVER = "METER_TEST_SERVER"  # how the controller of pytest-xdist hands its server to its workers


def pytest_configure(config: pytest.Config) -> None:
    """Start one server for all workers when tests run in parallel."""
    workers = getattr(config.option, "numprocesses", None) or getattr(config.option, "tx", None)
    if workers and not hasattr(config, "workerinput") and not config.option.collectonly:
        _server(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """Hand the server to a worker of pytest-xdist."""
    node.workerinput[SERVER] = _server(node.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the server that these tests started."""
    if cluster := config.stash.get(CLUSTER, None):
        cluster.close()


def _server(config: pytest.Config) -> str:
    """Return the address of the server to test on, starting one if none is configured."""
    given = getattr(config, "workerinput", {}).get(SERVER) or DATABASE_URL
    if given:
        return given
    if CLUSTER not in config.stash:
        config.stash[CLUSTER] = Cluster()
    return config.stash[CLUSTER].url


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> str:
    """The address of the PostgreSQL server; create nothing there except by ``databases``."""
    return _server(request.config)


@pytest.fixture(scope="session")
def databases(server_url: str) -> Iterator[Databases]:
    """Uniquely named databases, dropped in the end."""
    made = Databases(server_url, os.environ.get("PYTEST_XDIST_WORKER", ""))
    yield made
    made.close()


@pytest.fixture(scope="session")
def template(databases: Databases) -> str:
    """The name of a migrated database to clone; nobody connects to it."""
    url = databases.create()
    database.migrate(url)
    return str(database.database_url(url).database)


@pytest.fixture
def database_url(databases: Databases, template: str) -> Iterator[str]:
    """The address of a fresh, migrated database of this test's own."""
    url = databases.create(template)
    yield url
    databases.drop(url)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated database of this test's own."""
    made = database.engine(database_url)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all tests' stores."""
    return tmp_path_factory.mktemp("stores")


@pytest.fixture(autouse=True)
def isolated_stores(stores: Path, monkeypatch: pytest.MonkeyPatch):
    """Point model registry and model directory at empty places: no test touches a user's own."""
    # Not by tmp_path_factory, which lists all earlier folders to number each.
    folder = Path(tempfile.mkdtemp(dir=stores))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.setenv("MODEL_DIR", str(folder / "models"))
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets (METER_DATA_DIR); without it skipped, in CI failed."""
    folder = os.environ.get("METER_DATA_DIR", "")
    lacking = [name for name in REAL_SETS if not folder or not (Path(folder) / name).is_file()]
    if not lacking:
        return Path(folder)
    reason = f"METER_DATA_DIR ({folder or 'not set'}) lacks {', '.join(lacking)}"
    if os.environ.get("CI"):
        pytest.fail(f"{reason}: CI must test the real data")
    pytest.skip(f"{reason}: set it to the folder of the real data to run this test")
