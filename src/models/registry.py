"""The model registry: runs, versions and the champion, kept by MLflow.

The only module that talks to MLflow (https://mlflow.org/docs/latest/ml/model-registry/). Whatever
goes wrong there is a RegistryError that names the server, never a silent pass.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from models.artifact import ModelArtifact

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
ARTIFACT_PATH = "model"
REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_URI = f"sqlite:///{REPOSITORY / 'mlflow.db'}"
PATIENCE = 5.0  # seconds that an unreachable server is waited for
CREATION = 30  # seconds that a new version may take to be there
PROBE = 2.0  # seconds that one answer of it may take

# MLflow's own are 120 s, 7 times with growing pauses: half an hour for a server that hangs. And
# stdout is for the table, no data go elsewhere.
_LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

T = TypeVar("T")


class RegistryError(RuntimeError):
    """The registry could not be reached or refused; the message names it, without credentials."""


@dataclass(frozen=True)
class Champion:
    """The model in service: its number in the registry, the run that made it, the files."""

    number: int
    run_id: str
    artifact: ModelArtifact


@dataclass(frozen=True)
class RunRecord:
    """What is logged of a training run; `tags` hold the decision and its reason."""

    experiment: str
    name: str
    params: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


class Registry:
    """A client of the registry at `uri` (default: MLFLOW_TRACKING_URI, else a local SQLite file).

    The constructor waits up to `patience` seconds (default: PATIENCE) for it to answer, then
    raises RegistryError. MLflow's own limits of a request (MLFLOW_HTTP_REQUEST_*) hold if they are
    set, else far shorter ones than its defaults. All methods raise RegistryError.
    """

    def __init__(self, uri: str | None = None, patience: float | None = None) -> None:
        self._uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
        self._await(PATIENCE if patience is None else patience)
        self._client = self._call("open", lambda: _client(self._uri))

    @property
    def uri(self) -> str:
        """Where the registry is, without credentials."""
        return redact(self._uri, self._uri)

    def log_run(self, record: RunRecord, artifact: ModelArtifact) -> tuple[str, str]:
        """Log a finished run with its model files; returns the run's id and the files' URI."""
        return self._call("log run", lambda: self._log_run(record, artifact))

    def register(self, name: str, run_id: str, tags: Mapping[str, str]) -> int:
        """Register the model files of a run as the next version of `name`; returns its number."""
        return self._call("register", lambda: self._register(name, run_id, tags))

    def promote(self, name: str, number: int, replacing: int | None) -> None:
        """Make version `number` the champion in place of version `replacing` (None: the first).

        Another champion than `replacing` means that another training won meanwhile, and that the
        comparison no longer holds: RegistryError.
        """
        current = self.champion_number(name)
        if current != replacing:
            raise RegistryError(
                f"promote {name} version {number}: the champion became version {current} while "
                f"this model was compared with {replacing}: train again"
            )
        alias = str(number)
        self._call(
            "promote", lambda: self._client.set_registered_model_alias(name, CHAMPION, alias)
        )

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Add tags to a run."""

        def tag() -> None:
            for key, value in tags.items():
                self._client.set_tag(run_id, key, value)

        self._call("tag run", tag)

    def champion_number(self, name: str) -> int | None:
        """The champion's version number, None when there is no champion."""
        found = self._call("look up champion", lambda: self._alias(name))
        return found[0] if found else None

    def champion(self, name: str) -> Champion | None:
        """The champion with its files, which are read but not verified; None if there is none.

        Raises ModelError when its files are missing or malformed.
        """
        found = self._call("look up champion", lambda: self._alias(name))
        if not found:
            return None
        number, run_id = found
        with tempfile.TemporaryDirectory(prefix="meter-champion-") as folder:
            path = self._call(
                "download champion",
                lambda: self._client.download_artifacts(run_id, ARTIFACT_PATH, folder),
            )
            return Champion(number, run_id, ModelArtifact.read(Path(path)))

    def _alias(self, name: str) -> tuple[int, str] | None:
        # Not get_model_version_by_alias: it answers a missing alias with "invalid parameter".
        models = self._client.search_registered_models(filter_string=f"name = '{name}'")
        aliases = [model.aliases for model in models if model.name == name]
        if not aliases or CHAMPION not in aliases[0]:
            return None
        version = self._client.get_model_version(name, str(aliases[0][CHAMPION]))
        return int(version.version), str(version.run_id)

    def _log_run(self, record: RunRecord, artifact: ModelArtifact) -> tuple[str, str]:
        client = self._client
        run = client.create_run(
            self._experiment(record.experiment), run_name=record.name, tags=dict(record.tags)
        )
        run_id = str(run.info.run_id)
        status = "FAILED"
        try:
            for key, param in record.params.items():
                client.log_param(run_id, key, param)
            for key, metric in record.metrics.items():
                client.log_metric(run_id, key, metric)
            with tempfile.TemporaryDirectory(prefix="meter-run-") as folder:
                artifact.save(Path(folder) / ARTIFACT_PATH)
                client.log_artifacts(run_id, str(Path(folder) / ARTIFACT_PATH), ARTIFACT_PATH)
            status = "FINISHED"
        finally:
            client.set_terminated(run_id, status)
        return run_id, f"{run.info.artifact_uri}/{ARTIFACT_PATH}"

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return str(self._client.create_experiment(name, artifact_location=self._files(name)))
        return str(found.experiment_id)

    def _files(self, experiment: str) -> str | None:
        # A server decides itself; a local store would put them under the current directory.
        if not self._uri.startswith("sqlite:///"):
            return None
        database = Path(self._uri.removeprefix("sqlite:///")).absolute()
        return (database.parent / "mlartifacts" / experiment).as_uri()

    def _register(self, name: str, run_id: str, tags: Mapping[str, str]) -> int:
        from mlflow.exceptions import MlflowException  # pylint: disable=import-outside-toplevel

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        files = str(self._client.get_run(run_id).info.artifact_uri)
        version = self._client.create_model_version(
            name,
            source=f"{files}/{ARTIFACT_PATH}",
            run_id=run_id,
            tags=dict(tags),
            await_creation_for=CREATION,
        )
        return int(version.version)

    def _await(self, patience: float) -> None:
        web = urlsplit(self._uri).scheme in ("http", "https")
        probe = _probe if web else _probe_database
        deadline = time.monotonic() + patience
        pause = 0.1
        while True:
            problem = probe(self._uri, min(PROBE, max(deadline - time.monotonic(), 0.1)))
            if problem is None:
                return
            if time.monotonic() + pause >= deadline:
                raise RegistryError(
                    f"reach MLflow at {self.uri} for {patience:g} s: "
                    f"{redact(problem, self._uri)}: start it, or set MLFLOW_TRACKING_URI"
                )
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _call(self, what: str, action: Callable[[], T]) -> T:
        try:
            with _limits():
                return action()
        except (RegistryError, ImportError):
            raise
        except Exception as error:  # pylint: disable=broad-exception-caught  # SQLAlchemy's too
            text = redact(f"{type(error).__name__}: {error}", self._uri)
            # Not chained: MLflow's and the database driver's texts hold the URI with its password.
            raise RegistryError(f"{what} in MLflow at {self.uri}: {text}") from None


def redact(text: str, uri: str) -> str:
    """`text` without the user name and password that `uri` holds."""
    try:
        password = urlsplit(uri).password
    except ValueError:
        password = None
    text = re.sub(r"(?<=://)[^/@\s]+@", "", text)
    for form in {password, unquote(password)} if password else ():
        text = text.replace(form, "***")
    return text


def _client(uri: str) -> MlflowClient:
    # Imported here: it takes seconds, and neither serving nor `--help` needs it.
    from mlflow import MlflowClient as Client  # pylint: disable=import-outside-toplevel

    return Client(tracking_uri=uri, registry_uri=uri)


def _probe(uri: str, timeout: float) -> str | None:
    """Why the server does not answer, None if it does.

    Any answer will do: whether the server works shows in the calls that follow.
    """
    parts = urlsplit(uri)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    try:
        # The scheme is http or https: see the constructor.
        with urllib.request.urlopen(f"{address}/health", timeout=timeout):  # nosec B310
            return None
    except urllib.error.HTTPError as error:
        with error:
            return None if error.code < 500 else f"it answers {error.code}"
    except (OSError, ValueError) as error:
        return str(error)


def _probe_database(uri: str, timeout: float) -> str | None:
    """Why the database does not answer, None if it does: MLflow itself tries for 102 seconds."""
    import sqlalchemy  # pylint: disable=import-outside-toplevel  # takes long, as MLflow does

    options = {"connect_timeout": max(int(timeout), 1)} if uri.startswith("postgresql") else {}
    try:
        engine = sqlalchemy.create_engine(
            uri, poolclass=sqlalchemy.pool.NullPool, connect_args=options
        )
        sqlalchemy.inspect(engine).get_table_names()
        return None
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError) as error:
        return f"{type(error).__name__}: {error}".partition("\n")[0]


@contextmanager
def _limits() -> Iterator[None]:
    """Bound MLflow's requests where the environment doesn't; it is read at every request."""
    added = [name for name in _LIMITS if name not in os.environ]
    os.environ.update({name: _LIMITS[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
