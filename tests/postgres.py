"""A PostgreSQL for the tests: the server of DATABASE_URL, or one that they start and end.

Only uniquely named databases are created on it, never is the one that DATABASE_URL names touched:
``meter_test_<unix seconds>_<pid>_<6 hex>[_<worker>]``. Their owner holds an advisory lock on the
name's base while it lives, so a later run can tell what a killed one left, and drops it.
"""

import contextlib
import fcntl
import glob
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from ports import free_port

BASE = re.compile(r"(meter_test_\d+_\d+_[0-9a-f]{6})(?:_\w+)?")
MAJOR = 15
FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
REMEDY = "install PostgreSQL 15 or newer (Debian: postgresql-15), or set DATABASE_URL to a server"


def server_programs() -> Path:
    """Return the folder of initdb and postgres: METER_POSTGRES_BIN, else the newest one found."""
    chosen = os.environ.get("METER_POSTGRES_BIN")
    found = [chosen] if chosen else [path for folder in FOLDERS for path in glob.glob(folder)]
    on_path = shutil.which("initdb")
    if on_path and not chosen:
        found.append(str(Path(on_path).resolve().parent))
    versions = {Path(folder): _major(Path(folder)) for folder in found}
    usable = {folder: version for folder, version in versions.items() if version >= MAJOR}
    if not usable:
        seen = ", ".join(f"{folder} ({version})" for folder, version in versions.items())
        raise pytest.UsageError(f"no PostgreSQL server to test with{' in ' + seen}: {REMEDY}")
    return max(usable, key=lambda folder: usable[folder])


def _major(folder: Path) -> int:
    """Return the major version of the server programs in a folder, 0 when there are none."""
    if not all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
        return 0
    told = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True)
    version = re.search(r"\) (\d+)", told.stdout)
    return int(version[1]) if version else 0


class Cluster:
    """A throwaway PostgreSQL server on 127.0.0.1, gone with ``close``."""

    def __init__(self) -> None:
        self._user = _unprivileged_user()
        sweep_clusters()
        prefix = f"meter-test-pg-{os.getpid()}-{int(time.time())}-"
        self.folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_open_folder()))
        # The kernel lets the lock go when we die, in whatever PID namespace: see sweep_clusters.
        self._lock = (self.folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.url = self._start(server_programs())
        except BaseException:
            self.close()
            raise

    def _start(self, programs: Path) -> str:
        password, port = secrets.token_hex(16), free_port()
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        if self._user:
            for path in (self.folder, secret):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self._run(
            *(programs / "initdb", "-D", self.folder / "data", "-U", "meter", "-E", "UTF8"),
            *("--no-sync", "--no-locale", "-A", "scram-sha-256", f"--pwfile={secret}"),
        )
        secret.unlink()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "max_connections": 200,
            "shared_buffers": "64MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [programs / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._identity(),
            )
        url = f"postgresql://meter:{password}@127.0.0.1:{port}/postgres"
        self._wait(url)
        return url

    def _identity(self) -> dict[str, object]:
        """Return how to run a server program: as another user when we are root."""
        if not self._user:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _run(self, *command: object) -> None:
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            cwd=self.folder,
            **self._identity(),
        )
        if done.returncode:
            raise pytest.UsageError(f"initdb failed: {done.stderr.strip()}: {REMEDY}")

    def _wait(self, url: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(url, connect_timeout=2).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "log").read_text(errors="replace")[-2000:]
                    raise pytest.UsageError(f"PostgreSQL did not start: {log}") from error
            time.sleep(0.05)

    def close(self) -> None:
        """End the server and remove its folder."""
        if self._process:
            self._process.send_signal(signal.SIGINT)  # fast shutdown
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Return who runs the server when we are root (PostgreSQL refuses root), else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise pytest.UsageError("PostgreSQL refuses root and there is no user postgres or nobody")


def _open_folder() -> str:
    """Return a temporary folder that another user can enter, with room for a socket's path."""
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        parts = [Path(folder), *Path(folder).parents]
        if len(folder) < 40 and all(part.is_dir() and part.stat().st_mode & 1 for part in parts):
            return folder
    raise pytest.UsageError("no temporary folder that other users can enter: set TMPDIR to one")


def sweep_clusters() -> None:
    """End and remove the clusters of runs that were killed: nobody holds their lock."""
    for folder in Path(_open_folder()).glob("meter-test-pg-*"):
        with contextlib.suppress(OSError):  # another run sweeps it too, or another user owns it
            if not (folder / "lock").exists() and time.time() - folder.stat().st_mtime < 60:
                continue  # just being made
            with (folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _end_server(folder)
                shutil.rmtree(folder)


def _end_server(folder: Path) -> None:
    """Kill the server that still runs in a cluster's folder, if one does."""
    try:
        pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return
    if str(folder).encode() not in _command(pid):
        return
    os.kill(pid, signal.SIGQUIT)
    deadline = time.monotonic() + 10
    while (folder / "data" / "postmaster.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def _command(pid: int) -> bytes:
    """Return the command line of a process, empty when there is none."""
    if Path("/proc/self").exists():
        path = Path(f"/proc/{pid}/cmdline")
        return path.read_bytes() if path.exists() else b""
    return subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False
    ).stdout


class Databases:
    """Uniquely named databases on one server, for one test process; gone with ``close``."""

    def __init__(self, server: str, worker: str = "") -> None:
        self._server = make_url(server.replace("postgres://", "postgresql://", 1)).set(
            drivername="postgresql"
        )
        self._admin = self._connect()
        self._made: list[str] = []
        self._suffix = f"_{worker}" if worker else ""
        self.base = f"meter_test_{int(time.time())}_{os.getpid()}_{secrets.token_hex(3)}"
        self._admin.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [self.base])
        self.sweep()

    def _connect(self) -> psycopg.Connection:
        """Connect to the maintenance database, or to the named one where that is not allowed."""
        for database in ("postgres", self._server.database):
            try:
                return psycopg.connect(_plain(self._server, database), autocommit=True)
            except psycopg.OperationalError as error:
                failure = error
        raise pytest.UsageError(f"the server of DATABASE_URL does not answer: {failure}: {REMEDY}")

    def sweep(self) -> None:
        """Drop the databases whose owner is gone (its lock is free)."""
        for (name,) in self._admin.execute("SELECT datname FROM pg_database").fetchall():
            match = BASE.fullmatch(name)
            if not match or match[1] == self.base:
                continue
            key = [match[1]]
            lock = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
            if self._admin.execute(lock, key).fetchone() == (True,):
                self._drop(name)
                self._admin.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)

    def create(self, template: str = "template0") -> str:
        """Create a database and return its address."""
        name = f"{self.base}{self._suffix}_{len(self._made)}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        try:
            self._admin.execute(create)
        except psycopg.errors.InsufficientPrivilege as error:
            raise pytest.UsageError("the user of DATABASE_URL needs CREATEDB for tests") from error
        self._made.append(name)
        return _plain(self._server, name)

    def drop(self, url: str) -> None:
        """Drop a database that ``create`` made."""
        self._drop(str(make_url(url).database))

    def _drop(self, name: str) -> None:
        if not BASE.fullmatch(name):
            raise ValueError(f"{name} is not a test database")
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        self._admin.execute(drop)

    def close(self) -> None:
        """Drop all that was made and let the lock go."""
        for name in self._made:
            self._drop(name)
        self._admin.close()


def _plain(server: URL, database: str | None) -> str:
    return server.set(database=database or "postgres").render_as_string(hide_password=False)
