"""Who borrows de-identified data for research is an institution too."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """A known role stays what it is; SQLite changes a constraint by writing the table anew."""
    with op.batch_alter_table("institution") as changed:
        changed.drop_constraint("role_is_known", type_="check")
        changed.create_check_constraint("role_is_known", "role IN ('sender', 'lender', 'auditor', 'researcher')")
