"""Runs the migrations on DATABASE_URL, or on the address that ``data.database.migrate`` hands over.

Two migrations at once wait for each other: without the lock both would create the first table.
"""

# pylint: disable=no-member  # alembic.context gets its members when a migration runs

import sqlalchemy as sa
from alembic import context

from data.database import engine, metadata

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('meter-migrations', 0))"


def migrate_online() -> None:
    """Apply the versions in one transaction."""
    connectable = engine(context.config.attributes.get("url"))
    with connectable.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata)
        with context.begin_transaction():
            connection.execute(sa.text(LOCK))
            context.run_migrations()
    connectable.dispose()


def migrate_offline() -> None:
    """Print the SQL of the versions (alembic upgrade head --sql) without a database."""
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    migrate_offline()
else:
    migrate_online()
