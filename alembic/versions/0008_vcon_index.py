"""The index of vCons: by whom they can be found, and which storages have them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0008"
down_revision: str | Sequence[str] | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
_TEXTS = postgresql.ARRAY(sa.Text())


def upgrade() -> None:
    """Create the tables. vCons of runs that ended before are not in the index."""
    op.create_table(
        "vcon_index",
        sa.Column("vcon_uuid", sa.Uuid(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("terms", _TEXTS, nullable=False),
        sa.Column("chains", _TEXTS, nullable=False),
        sa.Column("storages", _TEXTS, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("erased_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("vcon_uuid", name="pk_vcon_index"),
    )
    op.create_index("ix_vcon_index_terms", "vcon_index", ["terms"], postgresql_using="gin")
    op.create_index("ix_vcon_index_created_at", "vcon_index", ["created_at", "vcon_uuid"])
    op.create_index(
        "ix_vcon_index_in_no_storage",
        "vcon_index",
        ["updated_at"],
        postgresql_where=sa.text("storages = '{}'"),
    )
    op.create_table(
        "service_secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_service_secrets"),
    )


def downgrade() -> None:
    """Drop them: vCons are found in Redis only, and the index begins empty after an upgrade."""
    op.drop_table("service_secrets")
    op.drop_table("vcon_index")
