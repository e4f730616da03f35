"""An index on the output vCon of runs."""

from collections.abc import Sequence

from alembic import op

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NAME = "ix_chain_runs_vcon_out"


def upgrade() -> None:
    """Create it concurrently, without blocking writes of runs."""
    with op.get_context().autocommit_block():
        # an interrupted attempt leaves an index that is not valid
        op.drop_index(_NAME, "chain_runs", if_exists=True, postgresql_concurrently=True)
        op.create_index(_NAME, "chain_runs", ["vcon_out"], postgresql_concurrently=True)


def downgrade() -> None:
    """Drop it concurrently."""
    with op.get_context().autocommit_block():
        op.drop_index(_NAME, "chain_runs", if_exists=True, postgresql_concurrently=True)
