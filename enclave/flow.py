"""READ FIRST. The states of drop, loan, release and request; every act with its record and its evidence.

An act is something that a crash could leave half done. Each is recorded as `intent → act → done` in the audit log
(law 1). When a job starts, it resolves the intents that an earlier, killed run of the same job left open: it asks the
act's evidence, records `recovered` (found) or `abandoned` (not found), and stops the server when the answer is
ambiguous. The work itself is then picked up from the states, so that an abandoned act is simply done again.
The tables are total (`tests/architecture/test_flow.py`), and README's picture of the road is drawn from them. Nothing
takes a state back but `enclave restore` (`control/restored.py`) and a new log, which knows no approval (`seal`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

# --- States --------------------------------------------------------------------------------------------------------


class DropState(StrEnum):
    """Where a drop is. What the airlock shows but we have not taken yet has no state."""

    COLLECTED = "collected"
    ADMITTED = "admitted"
    REJECTED = "rejected"
    REPLAYED = "replayed"
    LENT = "lent"
    EXPIRED = "expired"


class LoanState(StrEnum):
    """Where a loan is. `linked` means that its tables are finished; only destruction is left."""

    REQUESTED = "requested"
    OPEN = "open"
    LINKED = "linked"
    DESTROYED = "destroyed"


class ReleaseState(StrEnum):
    """Where something that would leave is. `proposed` waits for a person."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    SEALED = "sealed"
    DELIVERED = "delivered"
    WITHHELD = "withheld"
    CANCELLED = "cancelled"


class RequestState(StrEnum):
    """Where a request from the command line is. `filed` with a second signature missing waits for that person."""

    FILED = "filed"
    DONE = "done"
    REFUSED = "refused"


State = DropState | LoanState | ReleaseState | RequestState

TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        DropState.COLLECTED: frozenset({DropState.ADMITTED, DropState.REJECTED, DropState.REPLAYED}),
        DropState.ADMITTED: frozenset({DropState.EXPIRED}),
        DropState.REJECTED: frozenset({DropState.EXPIRED}),
        DropState.REPLAYED: frozenset({DropState.EXPIRED}),
        DropState.LENT: frozenset({DropState.EXPIRED}),
        DropState.EXPIRED: frozenset(),
        LoanState.REQUESTED: frozenset({LoanState.OPEN, LoanState.DESTROYED}),
        LoanState.OPEN: frozenset({LoanState.LINKED, LoanState.DESTROYED}),
        LoanState.LINKED: frozenset({LoanState.DESTROYED}),
        LoanState.DESTROYED: frozenset(),
        ReleaseState.PROPOSED: frozenset({ReleaseState.APPROVED, ReleaseState.WITHHELD, ReleaseState.CANCELLED}),
        ReleaseState.APPROVED: frozenset(
            {ReleaseState.SEALED, ReleaseState.WITHHELD, ReleaseState.CANCELLED, ReleaseState.PROPOSED}
        ),
        ReleaseState.SEALED: frozenset({ReleaseState.DELIVERED}),
        ReleaseState.DELIVERED: frozenset(),
        ReleaseState.WITHHELD: frozenset(),
        ReleaseState.CANCELLED: frozenset(),
        RequestState.FILED: frozenset({RequestState.DONE, RequestState.REFUSED}),
        RequestState.DONE: frozenset(),
        RequestState.REFUSED: frozenset(),
    }
)

FIRST_STATES: frozenset[State] = frozenset(
    {
        DropState.COLLECTED,
        DropState.LENT,
        LoanState.REQUESTED,
        ReleaseState.PROPOSED,
        ReleaseState.APPROVED,
        RequestState.FILED,
    }
)
"""Receipts, feedback and certificates start as approved: their kinds need no person (`release/gate.py`)."""


# --- Acts ----------------------------------------------------------------------------------------------------------


class Evidence(StrEnum):
    """Where the answer to "did it happen?" lies."""

    CONTROL = "the control database holds a commit of this intent"
    VAULT = "the vault holds a commit of this intent"
    REGISTRY = "the registry database holds a commit of this intent"
    AIRLOCK = "the airlock, or the control database, holds the delivered file"
    CHECKPOINT = "a checkpoint over a log that contains this intent exists"


class Act(StrEnum):
    """Every act, by the name that it has in the audit log."""

    DROP_TAKE = "drop.take"
    DROP_CLEAR = "drop.clear"
    DROP_OPEN = "drop.open"
    IDENTITY_ASSIGN = "identity.assign"
    DROP_SETTLE = "drop.settle"
    DROP_PUBLISH = "drop.publish"
    DIGEST_DRAFT = "digest.draft"
    FORM_KEEP = "form.keep"
    FORM_DECIDE = "form.decide"
    DROP_EXPIRE = "drop.expire"
    LOAN_OPEN = "loan.open"
    LOAN_ORDER = "loan.order"
    LOAN_LINK = "loan.link"
    LOAN_FINISH = "loan.finish"
    LOAN_ASK = "loan.ask"
    LOAN_REVIEW = "loan.review"
    LOAN_RECEIVE = "loan.receive"
    LOAN_REFUSE = "loan.refuse"
    LOAN_REWRAP = "loan.rewrap"
    LOAN_DESTROY = "loan.destroy"
    TABLES_KEEP = "tables.keep"
    RELEASE_DRAFT = "release.draft"
    SITE_DRAFT = "site.draft"
    EXTRACT_DRAFT = "extract.draft"
    RELEASE_PROPOSE = "release.propose"
    RELEASE_DECIDE = "release.decide"
    RELEASE_ASK = "release.ask"
    RELEASE_SEAL = "release.seal"
    RELEASE_DELIVER = "release.deliver"
    ROWS_GIVE = "rows.give"
    REMINDER_DRAFT = "reminder.draft"
    PERSON_MARK = "person.mark"
    PERSON_WITHDRAW = "person.withdraw"
    PERSON_MERGE = "person.merge"
    PERSON_SPLIT = "person.split"
    PERSON_REIDENTIFY = "person.reidentify"
    PERSON_SHOW = "person.show"
    ROWS_MERGE = "rows.merge"
    ROWS_SPLIT = "rows.split"
    VAULT_REKEY = "vault.rekey"
    REGISTRY_REKEY = "registry.rekey"
    REQUEST_CLOSE = "request.close"
    REQUEST_FILE = "request.file"
    KEY_DRAW = "key.draw"
    KEY_RETIRE = "key.retire"
    KEY_CEREMONY = "key.ceremony"
    KEY_ESCROW = "key.escrow"
    KEY_RESTORE = "key.restore"
    INSTITUTION_ADD = "institution.add"
    INSTITUTION_KIT = "institution.kit"
    INSTITUTION_LETTER = "institution.letter"
    INSTITUTION_AGREE = "institution.agree"
    INSTITUTION_ROTATE = "institution.rotate"
    INSTITUTION_REVOKE = "institution.revoke"
    RECIPIENT_KEY = "recipient.key"
    DEFINITION_APPLY = "definition.apply"
    BACKUP_MAKE = "backup.make"
    BACKUP_RESTORE = "backup.restore"
    LOG_CHECKPOINT = "log.checkpoint"


COMMAND_LINE = "command_line"
"""Stands in place of a job for acts that a person does at the terminal."""


@dataclass(frozen=True)
class Rule:
    """Who may do an act, what answers whether it happened, and what a crash before `done` leaves behind."""

    done_by: tuple[str, ...]
    evidence: Evidence
    a_crash_leaves: str


ACTS: Mapping[Act, Rule] = MappingProxyType(
    {
        Act.DROP_TAKE: Rule(
            ("collect",),
            Evidence.CONTROL,
            "a claimed folder at the airlock, perhaps a wrapped key and ciphertext without a row; taken again",
        ),
        Act.DROP_CLEAR: Rule(
            ("collect",), Evidence.CONTROL, "the airlock's copy or nothing; removing is repeated until it is gone"
        ),
        Act.DROP_OPEN: Rule(
            ("admit",), Evidence.CONTROL, "an attempt that counts; the third that ends so rejects the drop"
        ),
        Act.IDENTITY_ASSIGN: Rule(
            ("admit",), Evidence.VAULT, "pseudonyms without registry rows; the same ones are found again"
        ),
        Act.DROP_SETTLE: Rule(
            ("admit",), Evidence.REGISTRY, "nothing, or the decision with its answers; never half of it"
        ),
        Act.DROP_PUBLISH: Rule(
            ("admit",), Evidence.CONTROL, "a settled drop whose answers are not in the ledger yet; entered again"
        ),
        Act.DIGEST_DRAFT: Rule(
            ("admit",), Evidence.CONTROL, "perhaps an encrypted draft that nothing names; swept away, made again"
        ),
        Act.FORM_KEEP: Rule(
            ("admit",), Evidence.CONTROL, "a definition that was opened and is not entered yet; opened again"
        ),
        Act.FORM_DECIDE: Rule((COMMAND_LINE,), Evidence.CONTROL, "nothing, or the decision"),
        Act.DROP_EXPIRE: Rule(
            ("destroy",), Evidence.CONTROL, "a drop whose key or ciphertext may be gone; destroyed again"
        ),
        Act.LOAN_OPEN: Rule(
            ("link",), Evidence.CONTROL, "perhaps a key that nothing was ever sealed to; replaced by a new one"
        ),
        Act.LOAN_ORDER: Rule(
            ("link",), Evidence.CONTROL, "perhaps an encrypted draft that nothing names; swept away, and ordered again"
        ),
        Act.LOAN_LINK: Rule(("link",), Evidence.REGISTRY, "nothing, or the finished tables; never a row of the loan"),
        Act.LOAN_FINISH: Rule(
            ("link",), Evidence.CONTROL, "finished tables of a loan that still counts as open; closed again"
        ),
        Act.LOAN_ASK: Rule(("link",), Evidence.CONTROL, "nothing, or the kinds of uncertain link that a person judges"),
        Act.LOAN_REVIEW: Rule((COMMAND_LINE,), Evidence.CONTROL, "nothing, or the person's decisions"),
        Act.LOAN_RECEIVE: Rule(
            (COMMAND_LINE,),
            Evidence.CONTROL,
            "perhaps ciphertext in `loans/` that nothing names; received again, or removed with its loan",
        ),
        Act.LOAN_REFUSE: Rule(("link",), Evidence.CONTROL, "a lender's file that was not judged yet; judged again"),
        Act.LOAN_REWRAP: Rule(
            ("link",), Evidence.CONTROL, "a loan's key under the old key of this job or the next; both open; done again"
        ),
        Act.LOAN_DESTROY: Rule(
            ("destroy",), Evidence.CONTROL, "a loan whose key or files may be gone; destroyed and verified again"
        ),
        Act.TABLES_KEEP: Rule(("analyse",), Evidence.REGISTRY, "nothing, or the tables"),
        Act.RELEASE_DRAFT: Rule(
            ("release",), Evidence.REGISTRY, "perhaps an encrypted draft that nothing names; swept away"
        ),
        Act.SITE_DRAFT: Rule(
            ("release",), Evidence.CONTROL, "perhaps an encrypted draft that nothing names; swept away, made again"
        ),
        Act.EXTRACT_DRAFT: Rule(
            ("release",), Evidence.CONTROL, "perhaps an encrypted draft that nothing names; swept away, made again"
        ),
        Act.RELEASE_PROPOSE: Rule(
            ("release",), Evidence.CONTROL, "a named draft that is not in the ledger yet; entered again"
        ),
        Act.RELEASE_DECIDE: Rule((COMMAND_LINE,), Evidence.CONTROL, "nothing, or the decision"),
        Act.RELEASE_ASK: Rule(("seal",), Evidence.CONTROL, "nothing, or a release that waits for a person again"),
        Act.RELEASE_SEAL: Rule(
            ("seal",),
            Evidence.CONTROL,
            "perhaps a sealed file under its final name; sealed over again. National pages half written; written again",
        ),
        Act.RELEASE_DELIVER: Rule(
            ("deliver",), Evidence.AIRLOCK, "a temporary or finished file at the airlock; compared and finished"
        ),
        Act.ROWS_GIVE: Rule(
            ("give_back",), Evidence.CONTROL, "perhaps an encrypted draft that nothing names; swept away, made again"
        ),
        Act.REMINDER_DRAFT: Rule(
            ("give_back",), Evidence.CONTROL, "perhaps an encrypted draft that nothing names; swept away, made again"
        ),
        Act.PERSON_MARK: Rule(("rights",), Evidence.VAULT, "nothing, or the person marked; marked again"),
        Act.PERSON_WITHDRAW: Rule(("rights",), Evidence.REGISTRY, "nothing, or the withdrawal in force"),
        Act.PERSON_MERGE: Rule(
            ("rights",), Evidence.VAULT, "two numbers that mean one person, whose rows are still two people's; go on"
        ),
        Act.PERSON_SPLIT: Rule(
            ("rights",), Evidence.VAULT, "two numbers that mean two people, whose rows are still one person's; go on"
        ),
        Act.PERSON_REIDENTIFY: Rule(
            ("rights",), Evidence.CONTROL, "perhaps an answer sealed to the viewing key; made again, gone in an hour"
        ),
        Act.PERSON_SHOW: Rule(
            (COMMAND_LINE,), Evidence.CONTROL, "perhaps an answer that was seen, still sealed; gone in an hour"
        ),
        Act.ROWS_MERGE: Rule(("rights",), Evidence.REGISTRY, "nothing, or the rows read as one person's"),
        Act.ROWS_SPLIT: Rule(("rights",), Evidence.REGISTRY, "nothing, or the rows read as two people's again"),
        Act.VAULT_REKEY: Rule(
            ("rights",), Evidence.VAULT, "rows, or the whole file, under the old key or the new one; both open; go on"
        ),
        Act.REGISTRY_REKEY: Rule(
            ("rights",), Evidence.REGISTRY, "the file whole under the old key or the new one; both open; go on"
        ),
        Act.REQUEST_CLOSE: Rule(
            ("rights", "destroy", "link", "release", "give_back", "admit", "seal", COMMAND_LINE),
            Evidence.CONTROL,
            "a withdrawal in force whose unsealed drafts still stand; cancelled again",
        ),
        Act.REQUEST_FILE: Rule((COMMAND_LINE,), Evidence.CONTROL, "nothing, or the request"),
        Act.KEY_DRAW: Rule((COMMAND_LINE,), Evidence.CONTROL, "perhaps a next key that nothing was sealed to; used"),
        Act.KEY_RETIRE: Rule(
            (COMMAND_LINE,), Evidence.CONTROL, "the new key in its place, perhaps under its old name too; retired again"
        ),
        Act.KEY_CEREMONY: Rule(
            (COMMAND_LINE,), Evidence.CONTROL, "perhaps papers with shares; shred them, and hold the ceremony again"
        ),
        Act.KEY_ESCROW: Rule((COMMAND_LINE,), Evidence.CONTROL, "nothing, or a sealed file; sealed again elsewhere"),
        Act.KEY_RESTORE: Rule(
            (COMMAND_LINE,), Evidence.CONTROL, "perhaps a part of the keys in a new folder; shred it, restore again"
        ),
        Act.INSTITUTION_ADD: Rule((COMMAND_LINE,), Evidence.CONTROL, "perhaps passphrases that nothing names"),
        Act.INSTITUTION_KIT: Rule((COMMAND_LINE,), Evidence.CONTROL, "perhaps a part of a kit; made again elsewhere"),
        Act.INSTITUTION_LETTER: Rule(
            (COMMAND_LINE,), Evidence.CONTROL, "perhaps a letter that does not count as shown; delete it and ask again"
        ),
        Act.INSTITUTION_AGREE: Rule((COMMAND_LINE,), Evidence.CONTROL, "nothing, or the agreement"),
        Act.INSTITUTION_ROTATE: Rule(
            (COMMAND_LINE,),
            Evidence.CONTROL,
            "perhaps a letter and a passphrase that nothing names; delete the letter and rotate again",
        ),
        Act.INSTITUTION_REVOKE: Rule((COMMAND_LINE,), Evidence.CONTROL, "nothing, or the key out of use"),
        Act.RECIPIENT_KEY: Rule(
            ("rights",),
            Evidence.CONTROL,
            "a request that is still filed, perhaps carried out; the same key is set again",
        ),
        Act.DEFINITION_APPLY: Rule(
            ("rights", COMMAND_LINE), Evidence.REGISTRY, "nothing, or the definition with all its tables"
        ),
        Act.BACKUP_MAKE: Rule(
            (COMMAND_LINE,), Evidence.CONTROL, "perhaps one of the two sealed files; delete the folder, back up again"
        ),
        Act.BACKUP_RESTORE: Rule(
            (COMMAND_LINE,),
            Evidence.CONTROL,
            "a server that stands still, perhaps half put back; the same again ends it",
        ),
        Act.LOG_CHECKPOINT: Rule(("checkpoint",), Evidence.CHECKPOINT, "nothing, or the checkpoint; signed again"),
    }
)

DOERS: tuple[str, ...] = tuple(sorted({who for rule in ACTS.values() for who in rule.done_by} - {COMMAND_LINE}))
"""Every job: each does some act."""

ATTEMPTS_BEFORE_REJECTION = 3
"""A drop whose opening was killed this often is rejected instead of tried again (law 2)."""
