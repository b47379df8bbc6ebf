"""The definitions of forms at Nettskjema: kept by hash, compared, decided on; and which form a submission is of."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

UNCHANGED = """
CREATE TRIGGER kept_definition_is_never_{what} BEFORE {act} ON kept_definition
BEGIN SELECT RAISE(ABORT, 'a kept definition is never {what}'); END
"""


def upgrade() -> None:
    """Of a submission that was collected before this, the form is in the quarantine only: it stays empty here."""
    op.add_column("drop_", sa.Column("form", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "kept_definition",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("registry", "sha256"),
        comment="what a form at Nettskjema asked, by its hash; never changed, and without its editors",
    )
    for act, what in (("UPDATE", "changed"), ("DELETE", "removed")):
        op.execute(UNCHANGED.format(act=act, what=what))
    op.create_table(
        "form_definition",
        sa.Column("drop_uuid", sa.Text(), nullable=False),
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("compared_with", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.Column("recoded", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("dated", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'noted', 'approved', 'refused')", name="definition_state_is_known"),
        sa.PrimaryKeyConstraint("drop_uuid"),
        comment="every definition that Nettskjema delivered of a form, what changed by it, and what a person decided",
    )
