"""Tables of the conversations' law, with guards against changes of what must stay."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision: str = "0012"
down_revision: str | Sequence[str] | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME, _TEXT, _UUID = sa.DateTime(timezone=True), sa.Text(), sa.Uuid()
_NOW, _EMPTY, _NOTHING = sa.text("now()"), sa.text("''"), sa.text("'{}'")
_TABLES = (
    "law_versions",
    "law_deliveries",
    "law_events",
    "law_checkpoints",
    "law_bases",
    "law_salts",
    "law_erasures",
    "law_erasure_targets",
    "law_tombstones",
)
_CHANGEABLE = ("law_deliveries", "law_bases", "law_salts")
_REFUSE = """
CREATE FUNCTION law_rows_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
# One change for each row: a delivery ends, the party of a basis is erased, a salt is forgotten.
_CHANGE = """
CREATE FUNCTION law_rows_change_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    fields text[] := CASE TG_TABLE_NAME
        WHEN 'law_deliveries' THEN ARRAY['ended_at', 'outcome', 'error']
        WHEN 'law_bases' THEN ARRAY['party', 'salt']
        ELSE ARRAY['salt', 'forgotten_at'] END;
    before jsonb := to_jsonb(OLD);
    later jsonb := to_jsonb(NEW);
BEGIN
    IF before - fields = later - fields AND (CASE TG_TABLE_NAME
        WHEN 'law_deliveries' THEN before->>'outcome' IS NULL
        WHEN 'law_bases' THEN coalesce(later->>'party', later->>'salt') IS NULL
        ELSE later->>'salt' IS NULL END)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
# A restored row has its place in the chain already. The number of the lock is arbitrary, the same
# in every version. It is taken before the head is read: each statement of a volatile function sees
# what has been committed before it, and the rows that this INSERT has added.
_CHAIN = """
CREATE FUNCTION law_events_chain() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NEW.hash IS NOT NULL THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock(7809649068498710016);
    SELECT seq, hash INTO NEW.seq, NEW.prior FROM law_events ORDER BY seq DESC LIMIT 1;
    NEW.seq := coalesce(NEW.seq, 0) + 1;
    NEW.prior := coalesce(NEW.prior, '');
    NEW.at := coalesce(NEW.at, clock_timestamp());
    NEW.hash := encode(sha256(convert_to(concat_ws(E'\\n', NEW.prior, NEW.seq,
        to_char(NEW.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS.US'), NEW.event,
        coalesce(NEW.vcon_uuid::text, ''), NEW.about, NEW.digest, NEW.commitment
    ), 'UTF8')), 'hex');
    RETURN NEW;
END $$
"""
_EVENTS = (
    "vcon_created",
    "vcon_enhanced",
    "vcon_sent",
    "vcon_received",
    "vcon_consent_accepted",
    "vcon_consent_revoked",
    "vcon_party_redacted",
    "vcon_deleted",
    "vcon_expired",
    "vcon_rcvr_purged",
)


def upgrade() -> None:
    """Create them; they are used by chains and steps with keys of the law."""
    _create_versions()
    _create_deliveries()
    _create_events()
    _create_bases()
    _create_erasures()
    for statement in (_REFUSE, _CHANGE, _CHAIN):
        op.execute(statement)
    op.execute(
        "CREATE TRIGGER law_events_chain BEFORE INSERT ON law_events"
        " FOR EACH ROW EXECUTE FUNCTION law_events_chain()"
    )
    for table in _TABLES:
        _guard(table)


def _guard(table: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_not_truncated BEFORE TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION law_rows_stay()"
    )
    if table in ("law_erasures", "law_erasure_targets"):
        return
    changed = "law_rows_change_once" if table in _CHANGEABLE else "law_rows_stay"
    op.execute(
        f"CREATE TRIGGER {table}_not_changed BEFORE UPDATE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {changed}()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_not_deleted BEFORE DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION law_rows_stay()"
    )


def _create_versions() -> None:
    op.create_table(
        "law_versions",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("vcon_uuid", _UUID, nullable=False),
        sa.Column("prior", _UUID, nullable=True),
        sa.Column("origin", _TEXT, nullable=False),
        sa.Column("form", _TEXT, nullable=False),
        sa.Column("chain", _TEXT, nullable=True),
        sa.Column("run_id", _UUID, nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("signers", ARRAY(_TEXT), nullable=False, server_default=_NOTHING),
        sa.Column("commitment", _TEXT, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("id", name="pk_law_versions"),
    )
    op.create_index("ix_law_versions_run_id", "law_versions", ["run_id"])
    op.create_index(
        "ix_law_versions_prior",
        "law_versions",
        ["prior"],
        postgresql_where=sa.text("prior IS NOT NULL"),
    )
    op.create_index("uq_law_versions", "law_versions", ["vcon_uuid", "commitment"], unique=True)
    op.create_table(
        "law_salts",
        sa.Column("vcon_uuid", _UUID, nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("forgotten_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("vcon_uuid", name="pk_law_salts"),
    )


def _create_deliveries() -> None:
    op.create_table(
        "law_deliveries",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("vcon_uuid", _UUID, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("chain", _TEXT, nullable=True),
        sa.Column("run_id", _UUID, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", _TEXT, nullable=True),
        sa.Column("purpose", _TEXT, nullable=True),
        sa.Column("profile", _TEXT, nullable=True),
        sa.Column("basis", _TEXT, nullable=True),
        sa.Column("commitment", _TEXT, nullable=False),
        sa.Column("begun_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("outcome", _TEXT, nullable=True),
        sa.Column("error", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_law_deliveries"),
    )
    op.create_index("ix_law_deliveries_vcon_uuid", "law_deliveries", ["vcon_uuid"])
    op.create_index("ix_law_deliveries_run_id", "law_deliveries", ["run_id"])
    op.create_index(
        "ix_law_deliveries_open",
        "law_deliveries",
        ["begun_at"],
        postgresql_where=sa.text("outcome IS NULL"),
    )


def _create_events() -> None:
    names = ", ".join(f"'{name}'" for name in _EVENTS)
    op.create_table(
        "law_events",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("event", _TEXT, nullable=False),
        sa.Column("vcon_uuid", _UUID, nullable=True),
        sa.Column("about", _TEXT, nullable=False, server_default=_EMPTY),
        sa.Column("digest", _TEXT, nullable=False, server_default=_EMPTY),
        sa.Column("commitment", _TEXT, nullable=False, server_default=_EMPTY),
        sa.Column("prior", _TEXT, nullable=False),
        sa.Column("hash", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_law_events"),
        sa.CheckConstraint(f"event IN ({names})", name="event"),
        sa.CheckConstraint("concat(about, digest, commitment) !~ E'\\n'", name="lines"),
    )
    op.create_index("ix_law_events_vcon_uuid", "law_events", ["vcon_uuid"])
    op.create_index("ix_law_events_about", "law_events", ["about"])
    op.create_table(
        "law_checkpoints",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", _TEXT, nullable=False),
        sa.Column("at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("key", _TEXT, nullable=True),
        sa.Column("statement", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_law_checkpoints"),
    )


def _create_bases() -> None:
    op.create_table(
        "law_bases",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("vcon_uuid", _UUID, nullable=True),
        sa.Column("party", _TEXT, nullable=True),
        sa.Column("salt", _TEXT, nullable=True),
        sa.Column("purpose", _TEXT, nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("basis", _TEXT, nullable=False),
        sa.Column("granted_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=True),
        sa.Column("recorded_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("actor", _TEXT, nullable=False),
        sa.Column("ref", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_law_bases"),
    )
    op.create_index("ix_law_bases_vcon_uuid", "law_bases", ["vcon_uuid"])
    op.create_index("ix_law_bases_party", "law_bases", ["party"])


def _create_erasures() -> None:
    nothing = sa.text("'{}'::jsonb")
    op.create_table(
        "law_erasures",
        sa.Column("id", _UUID, nullable=False),
        sa.Column("subject", _TEXT, nullable=False),
        sa.Column("vcons", ARRAY(_UUID), nullable=False, server_default=_NOTHING),
        sa.Column("party", _TEXT, nullable=True),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("hold", _TEXT, nullable=True),
        sa.Column("suppress", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("progress", JSONB(), nullable=False, server_default=nothing),
        sa.Column("requested_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("updated_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("due_at", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("actor", _TEXT, nullable=False),
        sa.Column("ref", _TEXT, nullable=True),
        sa.Column("statement", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_law_erasures"),
    )
    op.create_index("ix_law_erasures_vcons", "law_erasures", ["vcons"], postgresql_using="gin")
    op.create_index("ix_law_erasures_party", "law_erasures", ["party"])
    op.create_index(
        "ix_law_erasures_under_way",
        "law_erasures",
        ["due_at"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_law_erasures_requested_at", "law_erasures", ["requested_at", "id"])
    _create_targets(nothing)
    _create_tombstones()


def _create_tombstones() -> None:
    op.create_table(
        "law_tombstones",
        sa.Column("vcon_uuid", _UUID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("erasure", _UUID, nullable=False),
        sa.Column("at", _TIME, nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("vcon_uuid", name="pk_law_tombstones"),
    )
    op.create_index("uq_law_tombstones_number", "law_tombstones", ["number"], unique=True)


def _create_targets(nothing: sa.TextClause) -> None:
    op.create_table(
        "law_erasure_targets",
        sa.Column("erasure", _UUID, nullable=False),
        sa.Column("vcon_uuid", _UUID, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("due_at", _TIME, nullable=True),
        sa.Column("tried_at", _TIME, nullable=True),
        sa.Column("changed_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("error", _TEXT, nullable=True),
        sa.Column("detail", JSONB(), nullable=False, server_default=nothing),
        sa.PrimaryKeyConstraint(
            "erasure", "vcon_uuid", "kind", "name", name="pk_law_erasure_targets"
        ),
    )


def downgrade() -> None:
    """Drop them: what was recorded is lost, and erased vCons may come in again."""
    for table in reversed(_TABLES):
        op.drop_table(table)
    for function in ("law_events_chain", "law_rows_change_once", "law_rows_stay"):
        op.execute(f"DROP FUNCTION {function}()")
