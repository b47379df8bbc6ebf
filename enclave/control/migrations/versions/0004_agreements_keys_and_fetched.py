"""What was agreed on with each institution and until when, the periods of its keys, and what it has fetched."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Institutions that are known already go on as they were: an agreement and keys without dates, in Norwegian."""
    op.create_table(
        "agreement",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("institution_id", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Text(), nullable=False),
        sa.Column("valid_to", sa.Text(), nullable=False),
        sa.Column("may_send_unsigned", sa.Boolean(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("entered_at", sa.Text(), nullable=False),
        sa.CheckConstraint("language IN ('nb', 'en', 'sv')", name="language_is_known"),
        sa.PrimaryKeyConstraint("registry", "institution_id", "valid_from"),
        comment="what was agreed on; dates are ISO, both inclusive, and empty where none was stated",
    )
    op.create_table(
        "sender_key",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("institution_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Text(), nullable=True),
        sa.Column("valid_to", sa.Text(), nullable=True),
        sa.Column("revoked_at", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('signing', 'passphrase')", name="kind_is_known"),
        sa.PrimaryKeyConstraint("registry", "institution_id", "kind", "key"),
        comment="public signing keys, and the ids of passphrases, with the times at which they hold",
    )
    op.create_table(
        "delivery",
        sa.Column("drop_uuid", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("faults", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("drop_uuid", "form"),
        comment="which forms an opened drop held, and how many faults each had; nothing about its rows",
    )
    op.add_column("release_", sa.Column("fetched_at", sa.Text(), nullable=True))
    op.execute("INSERT INTO agreement SELECT registry, institution_id, '', '', 0, 'nb', added_at FROM institution")
    for kind, column in (("signing", "signing_key"), ("passphrase", "inbound_key_id")):
        op.execute(
            f"INSERT INTO sender_key SELECT registry, institution_id, '{kind}', {column}, NULL, NULL, NULL "  # noqa: S608
            "FROM institution"
        )
