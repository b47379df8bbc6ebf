"""The project lead's signature over a release to the public."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """No release that is known already was signed."""
    op.add_column("release_", sa.Column("signature", sa.Text(), server_default="", nullable=False))
