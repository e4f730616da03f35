"""Accepted vCons until their storages have them, and the identity of Redis."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision: str = "0011"
down_revision: str | Sequence[str] | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
_DAYS = 8
"""Partitions made now: that of today and of the days after it. The service makes further ones."""
_LZ4 = """
DO $$ BEGIN
IF EXISTS (
    SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)
) THEN
    ALTER TABLE custody ALTER COLUMN document SET COMPRESSION lz4;
END IF;
END $$
"""


def upgrade() -> None:
    """Create the tables; they are used with CUSTODY=postgres."""
    op.execute(sa.schema.CreateSequence(sa.Sequence("custody_number")))
    _create_custody()
    op.create_index("ix_custody_vcon_uuid", "custody", ["vcon_uuid"])
    op.create_index(
        "ix_custody_open",
        "custody",
        ["accepted_at", "number"],
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.execute(_LZ4)  # takes a third of the time of the default compression
    today = datetime.now(UTC).date()
    for day in (today + timedelta(days=number) for number in range(_DAYS)):
        op.execute(
            f"CREATE TABLE custody_{day:%Y%m%d} PARTITION OF custody"
            f" FOR VALUES FROM ('{day} 00:00+00') TO ('{day + timedelta(days=1)} 00:00+00')"
        )
    op.execute("CREATE TABLE custody_other PARTITION OF custody DEFAULT")
    op.create_table(
        "redis_identity",
        sa.Column("number", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.Column("seen_by", sa.Text(), nullable=False),
        sa.Column("recovery", JSONB(), nullable=True),
        sa.Column("kept", JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.PrimaryKeyConstraint("number", name="pk_redis_identity"),
    )


def _create_custody() -> None:
    op.create_table(
        "custody",
        sa.Column("accepted_at", _TIME, nullable=False, server_default=sa.text("now()")),
        sa.Column(
            "number",
            sa.BigInteger(),
            nullable=False,
            server_default=sa.text("nextval('custody_number')"),
        ),
        sa.Column("vcon_uuid", sa.Uuid(), nullable=False),
        sa.Column("lists", ARRAY(sa.Text()), nullable=False),
        sa.Column("open", ARRAY(sa.Text()), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("terms", ARRAY(sa.Text()), nullable=False),
        sa.Column("received", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("keys", JSONB(), nullable=True),
        sa.Column("state", JSONB(), nullable=True),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.Column("released_at", _TIME, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("accepted_at", "number", name="pk_custody"),
        postgresql_partition_by="RANGE (accepted_at)",
    )


def downgrade() -> None:
    """Drop them. What is accepted and not stored yet is in Redis alone then."""
    op.drop_table("redis_identity")
    op.drop_table("custody")
    op.execute(sa.schema.DropSequence(sa.Sequence("custody_number")))
