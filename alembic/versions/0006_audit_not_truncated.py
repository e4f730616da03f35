"""A trigger that refuses TRUNCATE of the audit, for which row triggers do not run."""

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | Sequence[str] | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Create it with the function of the row trigger."""
    op.execute("""
        CREATE TRIGGER audit_events_not_truncated BEFORE TRUNCATE ON audit_events
        FOR EACH STATEMENT EXECUTE FUNCTION audit_events_append_only()
    """)


def downgrade() -> None:
    """Drop it; the row trigger stays."""
    op.execute("DROP TRIGGER audit_events_not_truncated ON audit_events")
