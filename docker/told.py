"""What a container is told in files: secrets, for programs that know variables only.

Stands beside ``serve.py`` and ``heartbeat.py``, and needs the standard library only.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

SECRETS = "/run/secrets/"
ADMIN = "AIRFLOW_ADMIN_PASSWORD"
PASSWORDS = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"


class NotToldError(Exception):
    """A secret's file is missing, empty or unreadable; the message holds no secret."""


def told(environment: Mapping[str, str], secrets: str = SECRETS) -> dict[str, str]:
    """The environment with NAME in the place of each NAME_FILE that names a secret.

    Other variables of such a name stay as they are: SSL_CERT_FILE is a program's own business.
    """
    values = {}
    for name, value in environment.items():
        if not (name.endswith("_FILE") and value.startswith(secrets)):
            values[name] = value
            continue
        if environment.get(name.removesuffix("_FILE")):
            raise NotToldError(f"{name} and {name.removesuffix('_FILE')} are both set")
        values[name.removesuffix("_FILE")] = _content(name, value)
    return values


def _content(name: str, path: str) -> str:
    try:
        content = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise NotToldError(f"read {name}, {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NotToldError(f"read {name}, {path}: it is no text") from None
    if not content:
        raise NotToldError(f"read {name}, {path}: it is empty")
    return content


def with_admin(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for Airflow, whose web page wants the password of "admin" in a file.

    It must be able to write to it: so it gets one below HOME, which nobody else can read.
    """
    values = dict(environment)
    password = values.pop(ADMIN, None)
    if password is None:
        return values
    path = Path(values["HOME"]) / "passwords.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"admin": password}, file)
    values[PASSWORDS] = str(path)
    return values
