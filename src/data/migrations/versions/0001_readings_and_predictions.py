"""Customers, meters, readings, quarantine and predictions."""

# pylint: disable=invalid-name,no-member  # Alembic's own names; op is filled when it runs
# pylint: disable=duplicate-code  # a version keeps its own copy: later tables must not change it

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "customers",
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("connection_type", sa.Text),
        sa.Column("tariff", sa.Text),
    )
    op.create_table(
        "meters",
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("interval_seconds", sa.Integer, nullable=False),
    )
    op.create_table(
        "readings",
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("reading_date", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("units", sa.Double),
        sa.Column("voltage", sa.Double),
        sa.Column("temperature", sa.Double),
        sa.Column("power_factor", sa.Double),
        sa.Column("load_kw", sa.Double),
        sa.Column("frequency_hz", sa.Double),
        sa.Column("phase", sa.SmallInteger),
        sa.Column("status", sa.Text),
        sa.CheckConstraint("units >= 0 AND units < 'infinity'", name="units"),
        sa.CheckConstraint("power_factor BETWEEN 0 AND 1", name="power_factor"),
        sa.CheckConstraint("phase BETWEEN 1 AND 3", name="phase"),
        sa.CheckConstraint("status IN ('ok', 'estimated', 'fault')", name="status"),
    )
    op.create_table(
        "quarantine_readings",
        sa.Column("file_sha256", sa.Text, primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("raw", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
    )
    op.create_table(
        "predictions",
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("reading_date", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("model_version", sa.Text, primary_key=True),
        sa.Column("units_kwh", sa.Double, nullable=False),
        sa.Column("high_consumption_probability", sa.Double),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
    )
