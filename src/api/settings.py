"""What the service is told from outside; the environment is read here and nowhere else in api."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from data.environment import database_address

MAX_BODY_BYTES = 1_000_000


@dataclass(frozen=True)
class Settings:
    """Configuration of one service process.

    Times are seconds and sizes are bytes. ``database_url`` stays out of ``repr``: it may hold a
    password.
    """

    git_sha: str | None = None
    image_digest: str | None = None
    database_url: str | None = field(default=None, repr=False)
    database_timeout: float = 1.0
    max_body_bytes: int = MAX_BODY_BYTES
    body_timeout: float = 10.0
    model_retry: float = 5.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read GIT_SHA, IMAGE_DIGEST and DATABASE_URL; what is unset or empty is ``None``.

        The last, and DATABASE_PASSWORD, can be given as files. Raises SettingError.
        """
        values = os.environ if environment is None else environment
        return cls(
            git_sha=values.get("GIT_SHA") or None,
            image_digest=values.get("IMAGE_DIGEST") or None,
            database_url=database_address(values),
        )
