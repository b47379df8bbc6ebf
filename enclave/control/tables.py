"""The tables of the control database. Changed only by a migration in `migrations/` (Alembic owns this schema)."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from enclave.flow import DropState, LoanState, ReleaseState, RequestState

metadata = MetaData()


def _one_of(column: str, values: type[DropState | LoanState | ReleaseState | RequestState]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_is_known")


act = Table(
    "act",
    metadata,
    Column("log_id", Text, primary_key=True),
    Column("audit_seq", BigInteger, primary_key=True),
    comment="the intents whose commit this database holds: the evidence of law 1",
)

run = Table(
    "run",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("job", Text, nullable=False),
    Column("registry", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
    Column("outcome", Text),
    Column("reason", Text, nullable=False, server_default=""),
)

definition = Table(
    "definition",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("sha256", Text, primary_key=True),
    Column("applied_at", Text, nullable=False),
    Column("current", Boolean, nullable=False),
)

institution = Table(
    "institution",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("institution_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("signing_key", Text, nullable=False),
    Column("inbound_key_id", Text, nullable=False),
    Column("added_at", Text, nullable=False),
    Column("age_key", Text, nullable=False, server_default=""),
    CheckConstraint("role IN ('sender', 'lender', 'auditor', 'researcher')", name="role_is_known"),
)

agreement = Table(
    "agreement",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("institution_id", Text, primary_key=True),
    Column("valid_from", Text, primary_key=True),
    Column("valid_to", Text, nullable=False),
    Column("may_send_unsigned", Boolean, nullable=False),
    Column("language", Text, nullable=False),
    Column("entered_at", Text, nullable=False),
    CheckConstraint("language IN ('nb', 'en', 'sv')", name="language_is_known"),
    comment="what was agreed on; dates are ISO, both inclusive, and empty where none was stated",
)

sender_key = Table(
    "sender_key",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("institution_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("valid_from", Text),
    Column("valid_to", Text),
    Column("revoked_at", Text),
    CheckConstraint("kind IN ('signing', 'passphrase')", name="kind_is_known"),
    comment="public signing keys, and the ids of passphrases, with the times at which they hold",
)

drop = Table(
    "drop_",
    metadata,
    Column("drop_uuid", Text, primary_key=True),
    Column("registry", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("loan_id", Text),
    Column("content_digest", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("stored_sha256", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("airlock_copy", Boolean, nullable=False),
    Column("stated_drop_id", Text),
    Column("stated_seq", BigInteger),
    Column("stated_at", Text),
    Column("collected_at", Text, nullable=False),
    Column("settled_at", Text),
    Column("door", Text, nullable=False, server_default="signed"),
    Column("taken_before", Text),
    Column("answered_in", Text),
    Column("form", Text, nullable=False, server_default=""),
    _one_of("state", DropState),
)

delivery = Table(
    "delivery",
    metadata,
    Column("drop_uuid", Text, primary_key=True),
    Column("form", Text, primary_key=True),
    Column("faults", Integer, nullable=False),
    comment="which forms an opened drop held, and how many faults each had; nothing about its rows",
)

sighting = Table(
    "sighting",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("institution_id", Text, primary_key=True),
    Column("name_digest", Text, primary_key=True),
    Column("first_seen", Text, nullable=False),
    comment="what lay incomplete at the airlock; a keyed digest of its name, for a sender's names may hold anything",
)

submission = Table(
    "submission",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("name_digest", Text, primary_key=True),
    Column("facts", Text, nullable=False),
    Column("taken_facts", Text, nullable=False, server_default=""),
    Column("content_digest", Text, nullable=False, server_default=""),
    Column("drop_uuid", Text),
    Column("broken_facts", Text, nullable=False, server_default=""),
    Column("first_seen", Text, nullable=False),
    comment="what was seen and taken at the Nettskjema airlock, by a keyed digest of its name",
)

untaken = Table(
    "untaken",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("files", Integer, nullable=False),
    Column("first_seen", Text, nullable=False),
    comment="how many files lie at the Nettskjema airlock that are not taken, and why",
)

kept_definition = Table(
    "kept_definition",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("sha256", Text, primary_key=True),
    Column("content", Text, nullable=False),
    Column("kept_at", Text, nullable=False),
    comment="what a form at Nettskjema asked, by its hash; never changed, and without its editors",
)

form_definition = Table(
    "form_definition",
    metadata,
    Column("drop_uuid", Text, primary_key=True),
    Column("registry", Text, nullable=False),
    Column("form", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("compared_with", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("removed", Integer, nullable=False),
    Column("recoded", Integer, nullable=False),
    Column("added", Integer, nullable=False),
    Column("dated", Text, nullable=False),
    Column("kept_at", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("decided_at", Text),
    Column("decided_by", Text),
    CheckConstraint("state IN ('waiting', 'noted', 'approved', 'refused')", name="definition_state_is_known"),
    comment="every definition that Nettskjema delivered of a form, what changed by it, and what a person decided",
)

loan = Table(
    "loan",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("loan_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("lender", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("case_number", Text, nullable=False),
    Column("variables", JSON, nullable=False),
    Column("due", Date, nullable=False),
    Column("public_key", Text, nullable=False, server_default=""),
    Column("report", JSON),
    Column("destroyed_at", Text),
    Column("overdue_days", Integer),
    Column("legal_basis", Text, nullable=False, server_default=""),
    Column("population", Text, nullable=False, server_default=""),
    Column("review", JSON),
    _one_of("state", LoanState),
)

loan_derived = Table(
    "loan_derived",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("loan_id", Text, primary_key=True),
    Column("table_id", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("level", Text, nullable=False),
    Column("state", BigInteger, nullable=False),
    Column("definition", Text, nullable=False),
    Column("content_sha256", Text, nullable=False),
    Column("loan_file_sha256", Text, nullable=False),
    CheckConstraint("level = 'aggregate'", name="nothing_row_level_outlives_a_loan"),
    comment="lineage: what was made of a loan and outlives it",
)

release = Table(
    "release_",
    metadata,
    Column("release_id", Text, primary_key=True),
    Column("registry", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("draft_sha256", Text, nullable=False),
    Column("registry_state", BigInteger, nullable=False),
    Column("subject", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("package", Text, nullable=False),
    Column("sealed", JSON),
    Column("checkpoint_size", BigInteger),
    Column("proposed_at", Text, nullable=False),
    Column("decided_at", Text),
    Column("decided_by", Text),
    Column("sealed_at", Text),
    Column("delivered_at", Text),
    Column("signature", Text, nullable=False, server_default=""),
    Column("fetched_at", Text),
    _one_of("state", ReleaseState),
    UniqueConstraint("package"),
    comment="the ledger: one decision that something may leave",
)

release_table = Table(
    "release_table",
    metadata,
    Column("release_id", Text, primary_key=True),
    Column("table_id", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    comment="which result tables a release holds, for the check against every earlier release",
)

request = Table(
    "request",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("registry", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("sealed_sha256", Text, nullable=False, server_default=""),
    Column("filed_at", Text, nullable=False),
    Column("filed_by", Text, nullable=False),
    Column("signature", Text, nullable=False, server_default=""),
    Column("closed_at", Text),
    Column("reason", Text, nullable=False, server_default=""),
    _one_of("state", RequestState),
)
