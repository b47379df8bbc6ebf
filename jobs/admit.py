"""Drops in quarantine → registry rows, and an answer for every sender.

Each drop: count the attempt, open it in memory, check, name people in the vault, decide in one registry commit that
also names the answers, then enter the answers in the ledger. The registry commit is the decision: before it nothing
of the drop is in the registry, after it the rest is only told on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from enclave.control.drops import (
    NETTSKJEMA,
    Drop,
    count_attempt,
    drops_of,
    earlier_drops_of_sender,
    find_drop,
    settle_drop,
)
from enclave.control.releases import propose, releases_of
from enclave.crypto.zip_directory import Limits
from enclave.errors import Refused, Rejected, explain
from enclave.flow import ATTEMPTS_BEFORE_REJECTION, Act, DropState
from enclave.grants import Passphrases
from enclave.identity.pseudonymise import Judged, assign, judge
from enclave.identity.rules import Mode
from enclave.intake.answer import Answer, Totals, references_of
from enclave.intake.check import Checked, check
from enclave.intake.feedback import feedback, receipt
from enclave.intake.open import verify_and_open
from enclave.intake.rules import form_of
from enclave.intake.spreadsheet import read_file
from enclave.model.draft import Draft, DraftFile, Kind, NamedDraft
from enclave.model.drop import OpenedDrop
from enclave.release.gate import admit as admit_to_release
from enclave.release.gate import policy_of
from enclave.store.read import RegistryReader
from enclave.store.settlement import Counts, Outcome, Settlement
from enclave.store.write import Plan, RegistryWriter, StateMovedError
from enclave.wiring import Wiring
from jobs import quarantine
from jobs.drafts import sweep_drafts, write_draft
from jobs.reasons import CRASHED, DROP_ID_REUSED, FORM_UNKNOWN, REPLAY, SEQUENCE
from jobs.rule_texts import RULES
from jobs.submissions import HELD_BY_THE_GATE, OpenedSubmission, draft_digests, open_submission

explain(
    "E_ANSWER_HELD",
    "The answer to this drop would hold what must not leave, such as something like a national number.",
    "Use course numbers that are not made of or like people's numbers, and send a new drop.",
    nb=(
        "Svaret på innsendingen ville inneholdt noe som ikke skal sendes ut, for eksempel noe likt et personnummer.",
        "Bruk forløpsnumre som ikke er laget av eller ligner personnumre, og send en ny innsending.",
    ),
)

MOST_MISSING = 999_999_999
OPENED_TIMES = 8
"""How much larger than the largest payload the files inside may be in total."""


@dataclass(frozen=True, repr=False)
class Examined:
    """A drop in memory: verified, opened, read and checked; still with identities."""

    payload_sha256: str
    checked: tuple[Checked, ...]
    judged: Judged


def admit(wiring: Wiring) -> dict[str, int]:
    """Settle every collected drop; answers how many were admitted, rejected and recognised as sent before.

    A signed drop is answered at once; submissions through Nettskjema are answered together, once a day.
    """
    writer, reader = wiring.registry_writer, wiring.registry_reader
    _publish_settled(wiring, reader)
    digests = [release.draft_sha256 for release in releases_of(wiring.control, wiring.registry)]
    sweep_drafts(wiring, (*(stored.draft.sha256 for stored in reader.drafts()), *digests))
    counts = {"admitted": 0, "rejected": 0, "replayed": 0, "digests": 0}
    for drop in _in_turn(drops_of(wiring.control, wiring.registry, DropState.COLLECTED)):
        outcome = _settle(wiring, writer, drop)
        _publish_settled(wiring, reader)
        counts[outcome] += 1
    counts["digests"] = draft_digests(wiring)
    return counts


def _in_turn(collected: Sequence[Drop]) -> list[Drop]:
    """The drops in their order, but senders last of whom a drop ended the program more than once.

    One kill changes nothing, so that the states are the same as without it. A sender's drops are never reordered: a
    later one that came first would make its earlier ones misnumbered.
    """
    waiting = {drop.sender for drop in collected if drop.attempts > 1}
    return sorted(collected, key=lambda drop: drop.sender in waiting)


def _settle(wiring: Wiring, writer: RegistryWriter, drop: Drop) -> str:
    try:
        drop, examined = _examine(wiring, drop)
    except Rejected as why:
        return _reject(wiring, writer, drop, why.code)
    if isinstance(examined, str):
        return _reject(wiring, writer, drop, examined)
    with wiring.acts.act(Act.IDENTITY_ASSIGN, "drop", drop.drop_uuid) as act:
        named = assign(examined.judged, wiring.vault, act.position)
        act.add(new_people=named.new_people, new_courses=named.new_episodes)
    while True:
        plan = writer.plan(named.records)
        try:
            return _decide(wiring, writer, drop, examined, plan)
        except StateMovedError:
            # Another server of the same database committed in between; its rows are other senders', plan anew.
            continue
        except Refused as why:
            if why.code not in HELD_BY_THE_GATE:
                raise
            # What the gate holds back was written by the sender: this drop is rejected, and the next is tried.
            return _reject(wiring, writer, drop, "E_ANSWER_HELD")


def _examine(wiring: Wiring, drop: Drop) -> tuple[Drop, Examined | str]:
    """Everything that is read from a drop, in memory; Rejected with the first reason that stops it whole.

    Where opening told whom a submission claims to be from, the drop says so; the reason is then returned, not raised.
    """
    if drop.reason:
        raise Rejected(drop.reason)
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


def _open(wiring: Wiring, drop: Drop) -> OpenedDrop:
    sealed = quarantine.get(wiring, drop, drop.sender)
    largest = wiring.settings.registries[wiring.registry].limits.drop_bytes
    passphrase = wiring.passphrase(Passphrases.SENDERS, drop.sender)
    return verify_and_open(
        sealed,
        registry=wiring.registry,
        signers=wiring.signers,
        passphrases={wiring.inbound_key_id(drop.sender): passphrase},
        at=wiring.now,
        limits=Limits(total=OPENED_TIMES * largest),
    )


def _recognise(wiring: Wiring, drop: Drop, opened: OpenedDrop) -> Drop:
    """Tell replays and misnumbered drops, now that the sender's own words are verified."""
    manifest = opened.manifest
    verified = replace(drop, stated_drop_id=str(manifest.drop_id), stated_seq=manifest.seq)
    admitted = [one for one in earlier_drops_of_sender(wiring.control, drop) if one.reason == ""]
    for earlier in admitted:
        if earlier.content_digest == drop.content_digest:
            raise Rejected(REPLAY)
        if earlier.stated_drop_id == verified.stated_drop_id:
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
    forms = {file.name: form_of(file.name, definition) for file in opened.files}
    named = [form.id for form in forms.values() if form is not None]
    if not forms or None in forms.values() or len(set(named)) < len(named):
        raise Rejected(FORM_UNKNOWN)
    checked = tuple(
        check(form, definition, read_file(file, form), drop_uuid=drop.drop_uuid, sender=drop.sender)
        for file in opened.files
        if (form := forms[file.name]) is not None
    )
    return _judge(wiring, opened.manifest.payload_sha256, checked)


def _check_submission(wiring: Wiring, drop: Drop, opened: OpenedSubmission) -> tuple[Drop, Examined | str]:
    """The one row of a submission, as a row of the institution that it claims to be from."""
    submitted = opened.submitted
    claimed = replace(drop, sender=submitted.institution or NETTSKJEMA)
    if submitted.table is None:
        return claimed, submitted.reason
    definition = wiring.definition.definition
    checked = check(opened.form, definition, submitted.table, drop_uuid=drop.drop_uuid, sender=claimed.sender)
    return claimed, _judge(wiring, "", (checked,))


def _judge(wiring: Wiring, payload_sha256: str, checked: tuple[Checked, ...]) -> Examined:
    forms = {form.id: form for form in wiring.definition.definition.forms}
    judged = judge([each.records for each in checked], forms, Mode(wiring.settings.mode), wiring.now.date())
    return Examined(payload_sha256, checked, judged)


def _decide(wiring: Wiring, writer: RegistryWriter, drop: Drop, examined: Examined, plan: Plan) -> str:
    """The registry commit: rows, settlement and the names of the answers, or nothing."""
    faults = tuple(
        sorted((*(fault for each in examined.checked for fault in each.faults), *examined.judged.faults, *plan.faults))
    )
    delivered = sum(each.delivered for each in examined.checked)
    counts = replace(
        plan.counts, delivered=delivered, rejected=delivered - plan.counts.accepted - plan.counts.unchanged
    )
    with wiring.acts.act(Act.DROP_SETTLE, "drop", drop.drop_uuid, counts=_weakness(drop)) as act:
        answer = Answer(
            wiring.registry,
            drop.sender,
            drop.drop_uuid,
            drop.stated_drop_id,
            examined.payload_sha256,
            *act.position,
            totals=Totals(**vars(counts)),
            faults=faults,
            references=references_of(examined.checked, faults),
        )
        drafts = [] if drop.door == NETTSKJEMA else _write_answers(wiring, plan.based_on_state, answer)
        settlement = Settlement(drop.drop_uuid, drop.sender, Outcome.ADMITTED, "", counts)
        kept = faults if drop.door == NETTSKJEMA else ()
        writer.settle(plan, settlement, drafts, act.position, faults=kept)
        act.counts.update(vars(counts))
    return _publish(wiring, drop, DropState.ADMITTED, "", drafts)


def _reject(wiring: Wiring, writer: RegistryWriter, drop: Drop, reason: str) -> str:
    """Settle a drop of which nothing is taken: no row, an answer with its own reason."""
    state = DropState.REPLAYED if reason == REPLAY else DropState.REJECTED
    with wiring.acts.act(Act.DROP_SETTLE, "drop", drop.drop_uuid, counts=_weakness(drop)) as act:
        answer = Answer(
            wiring.registry,
            drop.sender,
            drop.drop_uuid,
            drop.stated_drop_id,
            "",
            *act.position,
            reason=reason,
        )
        drafts = [] if drop.door == NETTSKJEMA else _write_answers(wiring, 0, answer)
        settlement = Settlement(drop.drop_uuid, drop.sender, Outcome.REJECTED, reason, Counts(0))
        writer.settle(None, settlement, drafts, act.position)
    return _publish(wiring, drop, state, reason, drafts)


def _weakness(drop: Drop) -> dict[str, int]:
    """What the log says of a drop that nobody signed."""
    return {"unsigned": 1} if drop.door == NETTSKJEMA else {}


def _write_answers(wiring: Wiring, state: int, answer: Answer) -> list[NamedDraft]:
    """The receipt, and for an admitted drop the feedback, through the same gate as everything that leaves."""
    loaded = wiring.definition
    files: dict[Kind, tuple[DraftFile, ...]] = {Kind.RECEIPT: receipt(answer, loaded.definition)}
    if not answer.reason:
        files[Kind.FEEDBACK] = feedback(answer, loaded.definition, RULES)
    return [
        write_draft(
            wiring,
            admit_to_release(
                Draft(kind, wiring.registry, answer.sender, state, loaded.sha256, content),
                recipient=answer.sender,
                institutions=wiring.institution_ids,
            ),
        )
        for kind, content in files.items()
    ]


def _publish_settled(wiring: Wiring, reader: RegistryReader) -> None:
    """Tell on what the registry has decided and the ledger does not know yet, because a run was killed in between."""
    drafts = [stored for stored in reader.drafts() if stored.drop_uuid is not None]
    for settled in (remembered.settlement for remembered in reader.settlements()):
        drop = find_drop(wiring.control, settled.drop_uuid)
        if drop is None or drop.state is not DropState.COLLECTED:
            continue  # another server's drop, or published already
        state = {"": DropState.ADMITTED, REPLAY: DropState.REPLAYED}.get(settled.reason, DropState.REJECTED)
        answers = [stored.draft for stored in drafts if stored.drop_uuid == settled.drop_uuid]
        _publish(wiring, replace(drop, sender=settled.sender), state, settled.reason, answers)


def _publish(wiring: Wiring, drop: Drop, state: DropState, reason: str, drafts: list[NamedDraft]) -> str:
    with wiring.acts.act(Act.DROP_PUBLISH, "drop", drop.drop_uuid) as act:
        with wiring.control.changing(act.position) as connection:
            settle_drop(connection, drop.drop_uuid, state, sender=drop.sender, reason=reason, at=wiring.now)
            for draft in drafts:
                propose(
                    connection,
                    wiring.registry,
                    draft,
                    subject=drop.drop_uuid,
                    needs_person=policy_of(draft.kind).needs_person,
                    at=wiring.now,
                )
    return state.value
