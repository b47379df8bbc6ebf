"""A drop in quarantine, opened in memory, recognised and checked: all that is read of it before anybody is named."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from enclave.control.drops import NETTSKJEMA, Drop, count_attempt, earlier_drops_of_sender
from enclave.crypto.zip_directory import Limits
from enclave.errors import Rejected
from enclave.flow import ATTEMPTS_BEFORE_REJECTION, Act
from enclave.identity.pseudonymise import Judged, judge
from enclave.identity.rules import Mode
from enclave.intake.check import Checked, check
from enclave.intake.open import open_by_hand, verify_and_open
from enclave.intake.spreadsheet import parts_of
from enclave.model.drop import OpenedDrop
from enclave.wiring import Wiring
from jobs import quarantine
from jobs.reasons import CRASHED, DROP_ID_REUSED, FORM_UNKNOWN, NO_AGREEMENT, REPLAY, SEQUENCE
from jobs.submissions import OpenedSubmission, open_submission

MOST_MISSING = 999_999_999
OPENED_TIMES = 8
"""How much larger than the largest payload the files inside may be in total."""
OPENED_BYTES = 64 << 20
"""What the files inside may be in total at all: what stands in memory while they are read is a few times that."""


@dataclass(frozen=True, repr=False)
class Examined:
    """A drop in memory: verified, opened, read and checked; still with identities."""

    payload_sha256: str
    checked: tuple[Checked, ...]
    judged: Judged


def examine(wiring: Wiring, drop: Drop) -> tuple[Drop, Examined | str]:
    """Everything that is read from a drop, in memory; Rejected with the first reason that stops it whole.

    Where opening told whom a submission claims to be from, the drop says so; the reason is then returned, not raised.
    """
    if drop.reason:
        raise Rejected(drop.reason)
    if drop.door != NETTSKJEMA and not _is_agreed(wiring, drop):
        # Before anything is opened: without an agreement there is no ground to read it.
        raise Rejected(NO_AGREEMENT)
    if drop.attempts >= ATTEMPTS_BEFORE_REJECTION:
        raise Rejected(CRASHED)
    with wiring.acts.act(Act.DROP_OPEN, "drop", drop.drop_uuid) as act:
        with wiring.control.changing(act.position) as connection:
            count_attempt(connection, drop.drop_uuid)
        opened = open_submission(wiring, drop) if drop.door == NETTSKJEMA else _open(wiring, drop)
    if isinstance(opened, OpenedSubmission):
        return _check_submission(wiring, drop, opened)
    drop = _recognise(wiring, drop, opened)
    return drop, _check(wiring, drop, opened)


def _is_agreed(wiring: Wiring, drop: Drop) -> bool:
    return wiring.agreement(drop.sender, _collected(drop)) is not None


def _open(wiring: Wiring, drop: Drop) -> OpenedDrop:
    sealed = quarantine.get(wiring, drop, drop.sender)
    largest = wiring.settings.registries[wiring.registry].limits.drop_bytes
    limits = Limits(total=min(OPENED_TIMES * largest, OPENED_BYTES))
    at = _collected(drop)
    if not drop.signed:
        # Only where the agreement of that day says so; what was collected as unsigned is never judged as signed.
        agreement = wiring.agreement(drop.sender, at)
        if agreement is None or not agreement.may_send_unsigned:
            raise Rejected("E_UNSIGNED")
        passphrases = wiring.inbound_passphrases(drop.sender, at)
        return open_by_hand(sealed, registry=wiring.registry, passphrases=passphrases, at=at, limits=limits)
    envelopes = wiring.envelopes(drop.sender, at)
    return verify_and_open(
        sealed, registry=wiring.registry, signers=wiring.signers, envelopes=envelopes, at=at, limits=limits
    )


def _collected(drop: Drop) -> datetime:
    """When a drop was collected: keys and agreements are judged by this time, however late it is opened."""
    return datetime.fromisoformat(drop.collected_at)


def _recognise(wiring: Wiring, drop: Drop, opened: OpenedDrop) -> Drop:
    """Tell replays and misnumbered drops, now that the sender's own words are verified."""
    manifest = opened.manifest
    verified = replace(drop, stated_drop_id=str(manifest.drop_id), stated_seq=manifest.seq) if drop.signed else drop
    admitted = [one for one in earlier_drops_of_sender(wiring.control, drop) if one.reason == ""]
    for earlier in admitted:
        if earlier.content_digest == drop.content_digest:
            raise Rejected(REPLAY)
        if drop.signed and earlier.stated_drop_id == verified.stated_drop_id:
            # An honest sender draws a new id for each drop, so a person should look at this one.
            wiring.acts.note("drop.reused", "institution", drop.sender, reason=DROP_ID_REUSED)
            raise Rejected(DROP_ID_REUSED)
    last = max((one.stated_seq for one in admitted if one.stated_seq is not None), default=None)
    if manifest.seq is not None and last is not None:
        if manifest.seq <= last:
            raise Rejected(SEQUENCE)
        if manifest.seq > last + 1:
            # A sender may number as it likes; the log takes no count that could be a national number.
            missing = min(manifest.seq - last - 1, MOST_MISSING)
            wiring.acts.note("drop.gap", "institution", drop.sender, counts={"missing": missing})
    return verified


def _check(wiring: Wiring, drop: Drop, opened: OpenedDrop) -> Examined:
    definition = wiring.definition.definition
    parts = [parts_of(file, definition) for file in opened.files]
    named = [part.form.id for of_file in parts for part in of_file]
    if not parts or not all(parts) or len(set(named)) < len(named):
        raise Rejected(FORM_UNKNOWN)
    checked = tuple(
        check(part.form, definition, part.read(), drop_uuid=drop.drop_uuid, sender=drop.sender)
        for of_file in parts
        for part in of_file
    )
    return _judge(wiring, opened.manifest.payload_sha256, checked)


def _check_submission(wiring: Wiring, drop: Drop, opened: OpenedSubmission) -> tuple[Drop, Examined | str]:
    """The one row of a submission, as a row of the institution that it claims to be from."""
    submitted = opened.submitted
    claimed = replace(drop, sender=submitted.institution or NETTSKJEMA)
    if submitted.institution and not _is_agreed(wiring, claimed):
        # Whom it is from shows only when it is opened; without an agreement nothing of it goes further.
        return claimed, NO_AGREEMENT
    if submitted.table is None:
        return claimed, submitted.reason
    definition = wiring.definition.definition
    checked = check(opened.form, definition, submitted.table, drop_uuid=drop.drop_uuid, sender=claimed.sender)
    return claimed, _judge(wiring, "", (checked,))


def _judge(wiring: Wiring, payload_sha256: str, checked: Sequence[Checked]) -> Examined:
    forms = {form.id: form for form in wiring.definition.definition.forms}
    judged = judge([each.records for each in checked], forms, Mode(wiring.settings.mode), wiring.now.date())
    return Examined(payload_sha256, tuple(checked), judged)
