"""What runs in containers beside the servers: secrets from files, and the first process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

DOCKER = Path(__file__).resolve().parents[2] / "docker"
CANARY = "ca/na:ry"


@pytest.fixture(name="told")
def fixture_told(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCKER))
    import told  # type: ignore[import-not-found]  # is beside what runs

    return told


@pytest.fixture(name="secrets")
def fixture_secrets(tmp_path: Path) -> Path:
    (tmp_path / "PASSWORD").write_text(f"{CANARY}\n", encoding="utf-8")
    (tmp_path / "EMPTY").write_text("\n", encoding="utf-8")
    (tmp_path / "NO_TEXT").write_bytes(b"\xff\xfe\xfd")
    return tmp_path


def test_secret_takes_the_place_of_its_file(told: ModuleType, secrets: Path) -> None:
    environment = {
        "PGPASSWORD_FILE": f"{secrets}/PASSWORD",
        "SSL_CERT_FILE": "/etc/ssl/certs.pem",
        "HOME": "/tmp",
    }
    assert told.told(environment, f"{secrets}/") == {
        "PGPASSWORD": CANARY,
        "SSL_CERT_FILE": "/etc/ssl/certs.pem",
        "HOME": "/tmp",
    }


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        pytest.param("NONE", {}, "read X_FILE, .*NONE: No such file", id="missing"),
        pytest.param("EMPTY", {}, "read X_FILE, .*EMPTY: it is empty", id="empty"),
        pytest.param("NO_TEXT", {}, "read X_FILE, .*NO_TEXT: it is no text", id="no text"),
        pytest.param("PASSWORD", {"X": "1"}, "X_FILE and X are both set", id="both"),
    ],
)
def test_secret_that_is_not_told_is_an_error(
    told: ModuleType, secrets: Path, name: str, more: dict[str, str], message: str
) -> None:
    with pytest.raises(told.NotToldError, match=message) as raised:
        told.told({"X_FILE": f"{secrets}/{name}", **more}, f"{secrets}/")
    assert CANARY not in str(raised.value)


def test_password_of_the_web_page_is_in_a_file_of_its_own(told: ModuleType, tmp_path: Path) -> None:
    values = told.with_admin({"AIRFLOW_ADMIN_PASSWORD": CANARY, "HOME": str(tmp_path)})
    path = Path(values.pop("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"))
    assert values == {"HOME": str(tmp_path)}
    assert json.loads(path.read_text("utf-8")) == {"admin": CANARY}
    assert path.stat().st_mode & 0o777 == 0o600
    assert told.with_admin(values) == values


def serve(*command: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(DOCKER / "serve.py"), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_first_process_keeps_the_exit_code() -> None:
    with serve(sys.executable, "-c", "import sys; sys.exit(7)") as process:
        assert process.wait(timeout=20) == 7


def test_first_process_that_is_told_to_stop_ends_well() -> None:
    code = "import time; print('up', flush=True); time.sleep(60)"
    with serve(sys.executable, "-c", code) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - begin < 15


def test_first_process_starts_no_server_without_its_secrets() -> None:
    with serve("echo", "started", PGPASSWORD_FILE="/run/secrets/NOT_THERE") as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("serve: read PGPASSWORD_FILE, /run/secrets/NOT_THERE: No such file")
