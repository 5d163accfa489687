"""${message}."""

# pylint: disable=invalid-name,no-member  # Alembic's own names; op is filled when it runs

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}
branch_labels: str | Sequence[str] | None = ${repr(branch_labels)}
depends_on: str | Sequence[str] | None = ${repr(depends_on)}


def upgrade() -> None:
    """Expand only: add tables, nullable columns, indexes."""
    ${upgrades if upgrades else "raise NotImplementedError"}
