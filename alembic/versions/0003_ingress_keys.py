"""Ingress keys, owners of vCons, usage of keys, and audit events."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
# Audit events are never updated; only pruning, which sets patchcord.pruning, deletes them.
_APPEND_ONLY = """
CREATE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('patchcord.pruning', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit_events is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
_TRIGGER = """
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
FOR EACH ROW EXECUTE FUNCTION audit_events_append_only()
"""


def upgrade() -> None:
    """Create the four tables, and the trigger that refuses changes of audit events."""
    _create_ingress_keys()
    _create_vcon_owners()
    _create_ingress_usage()
    _create_audit_events()


def _create_ingress_keys() -> None:
    op.create_table(
        "ingress_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ingress_list", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("lineage", sa.Uuid(), nullable=False),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("max_vcon_bytes", sa.Integer(), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=True),
        sa.Column("revoked_at", _TIME, nullable=True),
        sa.Column("last_used_at", _TIME, nullable=True),
        sa.Column("use_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ingress_keys"),
        sa.UniqueConstraint("secret_sha256", name="uq_ingress_keys_secret_sha256"),
    )
    op.create_index("ix_ingress_keys_ingress_list", "ingress_keys", ["ingress_list"])


def _create_vcon_owners() -> None:
    op.create_table(
        "vcon_owners",
        sa.Column("vcon_uuid", sa.Uuid(), nullable=False),
        sa.Column("lineage", sa.Uuid(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("vcon_uuid", name="pk_vcon_owners"),
    )
    op.create_index("ix_vcon_owners_created_at", "vcon_owners", ["created_at"])


def _create_ingress_usage() -> None:
    op.create_table(
        "ingress_usage",
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("refused", postgresql.JSONB(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "day", name="pk_ingress_usage"),
    )
    op.create_index("ix_ingress_usage_day", "ingress_usage", ["day"])


def _create_audit_events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_events"),
    )
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
    op.execute(_APPEND_ONLY)
    op.execute(_TRIGGER)


def downgrade() -> None:
    """Drop the tables: keys made by actions are lost, those of config.yml return at a start."""
    op.drop_table("audit_events")
    op.execute("DROP FUNCTION audit_events_append_only()")
    op.drop_table("ingress_usage")
    op.drop_table("vcon_owners")
    op.drop_table("ingress_keys")
