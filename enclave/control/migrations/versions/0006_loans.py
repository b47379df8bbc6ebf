"""A loan's legal basis and people, what a person decides about its uncertain links, and what was made of it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Of the loans that are known already nothing of this was written down."""
    op.add_column("loan", sa.Column("legal_basis", sa.Text(), server_default="", nullable=False))
    op.add_column("loan", sa.Column("population", sa.Text(), server_default="", nullable=False))
    op.add_column("loan", sa.Column("review", sa.JSON(), nullable=True))
    op.create_table(
        "loan_derived",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("loan_id", sa.Text(), nullable=False),
        sa.Column("table_id", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("state", sa.BigInteger(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("content_sha256", sa.Text(), nullable=False),
        sa.Column("loan_file_sha256", sa.Text(), nullable=False),
        sa.CheckConstraint("level = 'aggregate'", name="nothing_row_level_outlives_a_loan"),
        sa.PrimaryKeyConstraint("registry", "loan_id", "table_id", "period"),
        comment="lineage: what was made of a loan and outlives it",
    )
