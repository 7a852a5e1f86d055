"""The table `circuit_breaker_events`: one row an opening, closed in place.

Revision 0003, after 0002. Nothing is filled in: openings of before were log lines only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_EXACT = sa.Text().with_variant(sa.Numeric(asdecimal=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "circuit_breaker_events",
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("trigger_value", _EXACT, nullable=False),
        sa.Column("threshold_value", _EXACT, nullable=False),
        sa.Column("action_taken", sa.Text(), nullable=False),
        sa.Column("cleared_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("event_type", "at"),
    )
    op.create_index("ix_circuit_breaker_events_at", "circuit_breaker_events", ["at"])
