"""Whether Redis has decided that an owner of a vCon is the owner."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the column; existing rows, and those written by an older version, are confirmed."""
    column = sa.Column("confirmed", sa.Boolean(), server_default=sa.text("true"), nullable=False)
    op.add_column("vcon_owners", column)


def downgrade() -> None:
    """Drop the column; rows of the service's own vCons stay and exclude partners."""
    op.drop_column("vcon_owners", "confirmed")
