"""The public key that a lender opens a loan order with."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Institutions that are known already have none."""
    op.add_column("institution", sa.Column("age_key", sa.Text(), server_default="", nullable=False))
