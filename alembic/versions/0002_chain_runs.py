"""The history of chain runs."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UNSETTLED = sa.text("status <> 'done'")


def upgrade() -> None:
    """Create the table and its indexes."""
    op.create_table(
        "chain_runs",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("config_hash", sa.Text(), nullable=False),
        sa.Column("vcon_in", sa.Uuid(), nullable=False),
        sa.Column("vcon_out", sa.Uuid(), nullable=False),
        sa.Column("ingress_list", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "steps", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name="pk_chain_runs"),
    )
    op.create_index("ix_chain_runs_chain_finished_at", "chain_runs", ["chain", "finished_at"])
    op.create_index("ix_chain_runs_finished_at", "chain_runs", ["finished_at"])
    op.create_index("ix_chain_runs_vcon_in", "chain_runs", ["vcon_in"])
    op.create_index(
        "ix_chain_runs_unsettled", "chain_runs", ["status"], postgresql_where=_UNSETTLED
    )


def downgrade() -> None:
    """Drop the table with every row and index."""
    op.drop_table("chain_runs")
