"""The first control tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table of the first version."""
    op.create_table(
        "act",
        sa.Column("log_id", sa.Text(), nullable=False),
        sa.Column("audit_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "audit_seq"),
        comment="the intents whose commit this database holds: the evidence of law 1",
    )
    op.create_table(
        "definition",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.Text(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("registry", "sha256"),
    )
    op.create_table(
        "drop_",
        sa.Column("drop_uuid", sa.Text(), nullable=False),
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("loan_id", sa.Text(), nullable=True),
        sa.Column("content_digest", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stored_sha256", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("airlock_copy", sa.Boolean(), nullable=False),
        sa.Column("stated_drop_id", sa.Text(), nullable=True),
        sa.Column("stated_seq", sa.BigInteger(), nullable=True),
        sa.Column("stated_at", sa.Text(), nullable=True),
        sa.Column("collected_at", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('collected', 'admitted', 'rejected', 'replayed', 'lent', 'expired')", name="state_is_known"
        ),
        sa.PrimaryKeyConstraint("drop_uuid"),
    )
    op.create_table(
        "institution",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("institution_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("signing_key", sa.Text(), nullable=False),
        sa.Column("inbound_key_id", sa.Text(), nullable=False),
        sa.Column("added_at", sa.Text(), nullable=False),
        sa.CheckConstraint("role IN ('sender', 'lender', 'auditor')", name="role_is_known"),
        sa.PrimaryKeyConstraint("registry", "institution_id"),
    )
    op.create_table(
        "loan",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("loan_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("lender", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("case_number", sa.Text(), nullable=False),
        sa.Column("variables", sa.JSON(), nullable=False),
        sa.Column("due", sa.Date(), nullable=False),
        sa.Column("public_key", sa.Text(), server_default="", nullable=False),
        sa.Column("report", sa.JSON(), nullable=True),
        sa.Column("destroyed_at", sa.Text(), nullable=True),
        sa.Column("overdue_days", sa.Integer(), nullable=True),
        sa.CheckConstraint("state IN ('requested', 'open', 'linked', 'destroyed')", name="state_is_known"),
        sa.PrimaryKeyConstraint("registry", "loan_id"),
    )
    op.create_table(
        "release_",
        sa.Column("release_id", sa.Text(), nullable=False),
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("draft_sha256", sa.Text(), nullable=False),
        sa.Column("registry_state", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("sealed", sa.JSON(), nullable=True),
        sa.Column("checkpoint_size", sa.BigInteger(), nullable=True),
        sa.Column("proposed_at", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("sealed_at", sa.Text(), nullable=True),
        sa.Column("delivered_at", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'sealed', 'delivered', 'withheld', 'cancelled')", name="state_is_known"
        ),
        sa.PrimaryKeyConstraint("release_id"),
        sa.UniqueConstraint("package"),
        comment="the ledger: one decision that something may leave",
    )
    op.create_table(
        "release_table",
        sa.Column("release_id", sa.Text(), nullable=False),
        sa.Column("table_id", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("release_id", "table_id", "period"),
        comment="which result tables a release holds, for the check against every earlier release",
    )
    op.create_table(
        "request",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("sealed_sha256", sa.Text(), server_default="", nullable=False),
        sa.Column("filed_at", sa.Text(), nullable=False),
        sa.Column("filed_by", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), server_default="", nullable=False),
        sa.Column("closed_at", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("state IN ('filed', 'done', 'refused')", name="state_is_known"),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_table(
        "run",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_table(
        "sighting",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("institution_id", sa.Text(), nullable=False),
        sa.Column("name_digest", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("registry", "institution_id", "name_digest"),
        comment="what lay incomplete at the airlock; a keyed digest of its name, for a sender's names may hold anything",
    )
