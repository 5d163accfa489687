"""Does the database answer? Asked by readiness only; predictions need no database."""

from __future__ import annotations

import asyncio
import re
import time

import psycopg

# How long an answer is good for, in seconds: however often readiness is asked, the database sees
# one connection at a time and about one a second.
FRESH_SECONDS = 1.0


class DatabaseProbe:
    """Asks the database of a URL for ``SELECT 1``, bounded in time and number.

    Callers at the same time share one attempt. The reason given names neither host nor password.
    ``answered`` says whether it ever did.
    """

    def __init__(self, url: str, timeout: float) -> None:
        """Take a ``postgresql://`` or ``postgres://`` URL (a ``+driver`` is ignored)."""
        self._conninfo = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url)
        self._timeout = timeout
        self.answered = False
        self._attempt: asyncio.Task[str | None] | None = None
        self._reason: str | None = None
        self._checked = float("-inf")

    async def reason(self) -> str | None:
        """Return why the database can't be used, or None when it answers."""
        if time.monotonic() - self._checked < FRESH_SECONDS:
            return self._reason
        if self._attempt is None or self._attempt.done():
            self._attempt = asyncio.create_task(self._ask())
        # One caller that goes away must not take the attempt from the others.
        return await asyncio.shield(self._attempt)

    async def _ask(self) -> str | None:
        try:
            async with asyncio.timeout(self._timeout):
                async with await psycopg.AsyncConnection.connect(self._conninfo) as connection:
                    await connection.execute("SELECT 1")
            reason = None
            self.answered = True
        except TimeoutError:
            reason = f"database does not answer within {self._timeout:g} s"
        except (psycopg.Error, OSError, UnicodeError) as error:
            reason = f"database does not answer: {type(error).__name__}"
        self._reason, self._checked = reason, time.monotonic()
        return reason
