"""Through which door a drop came, which submissions were seen at the Nettskjema airlock, and what lies there untaken."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Every drop that is known already came signed, from its sender's own folder."""
    op.add_column("drop_", sa.Column("door", sa.Text(), server_default="signed", nullable=False))
    op.add_column("drop_", sa.Column("taken_before", sa.Text(), nullable=True))
    op.add_column("drop_", sa.Column("answered_in", sa.Text(), nullable=True))
    op.create_table(
        "submission",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("name_digest", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("taken_facts", sa.Text(), server_default="", nullable=False),
        sa.Column("content_digest", sa.Text(), server_default="", nullable=False),
        sa.Column("drop_uuid", sa.Text(), nullable=True),
        sa.Column("broken_facts", sa.Text(), server_default="", nullable=False),
        sa.Column("first_seen", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("registry", "name_digest"),
        comment="what was seen and taken at the Nettskjema airlock, by a keyed digest of its name",
    )
    op.create_table(
        "untaken",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("first_seen", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("registry", "reason"),
        comment="how many files lie at the Nettskjema airlock that are not taken, and why",
    )
