"""The secret with which the holder of an ingress key signs its requests."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | Sequence[str] | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the column; existing keys, and those of an older version, need no signature."""
    op.add_column("ingress_keys", sa.Column("signing_secret", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop it: keys that had a secret work without a signature."""
    op.drop_column("ingress_keys", "signing_secret")
