"""What a process is told by its environment: a value, or the file that holds it.

A secret must not be a variable of a container, where `docker inspect` shows it. So NAME can be
given as NAME_FILE: the path of a file whose content is the value. Standard library only: the
serving image uses it, too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit


class SettingError(RuntimeError):
    """A variable contradicts another, or its file can't be read; values are never repeated."""


def setting(name: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Return what NAME or the file of NAME_FILE holds; what is unset or empty is ``None``.

    A line's end at the end of the file does not count. Raises SettingError when both are set, or
    when the file can't be read or is empty: a secret that is missing is no setting.
    """
    values = os.environ if environment is None else environment
    given, path = values.get(name) or None, values.get(f"{name}_FILE")
    if not path:
        return given
    if given is not None:
        raise SettingError(f"{name} and {name}_FILE are both set: take one of them away")
    try:
        content = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingError(f"read {name}_FILE, {path}: {reason}") from None
    if not content:
        raise SettingError(f"read {name}_FILE, {path}: it is empty")
    return content


def database_address(environment: Mapping[str, str] | None = None) -> str | None:
    """Return DATABASE_URL, with the password of DATABASE_PASSWORD in it if that is set.

    Both can be given as files. So an address can be shown, and its password stay where it is.
    """
    address = setting("DATABASE_URL", environment)
    password = setting("DATABASE_PASSWORD", environment)
    if address is None or password is None:
        return address
    try:
        parts = urlsplit(address)
        user, _, host = parts.netloc.rpartition("@")
    except ValueError:
        raise SettingError("DATABASE_URL is not an address") from None
    if not user or ":" in user:
        raise SettingError("DATABASE_PASSWORD needs a user without a password in DATABASE_URL")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))
