"""Drops in quarantine → registry rows, and an answer for every sender.

Each drop: count the attempt, open it in memory, check, name people in the vault, decide in one registry commit that
also names the answers, then enter the answers in the ledger. The registry commit is the decision: before it nothing
of the drop is in the registry, after it the rest is only told on.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from enclave import durable
from enclave.airlock.collect import unpack
from enclave.control.agreements import language_of
from enclave.control.deliveries import note_deliveries
from enclave.control.drops import (
    Drop,
    count_attempt,
    drops_of,
    earlier_drops_of_sender,
    find_drop,
    settle_drop,
)
from enclave.control.releases import propose
from enclave.crypto import age
from enclave.crypto.keystore import unwrap_identity
from enclave.crypto.secret import Secret
from enclave.crypto.zip_directory import Limits
from enclave.errors import Refused, Rejected, explain
from enclave.flow import ATTEMPTS_BEFORE_REJECTION, Act, DropState
from enclave.grants import Access, Folder
from enclave.identity.pseudonymise import Judged, assign, judge
from enclave.identity.rules import Mode
from enclave.identity.texts import RULES as IDENTITY_RULES
from enclave.intake.answer import Answer, Totals, references_of
from enclave.intake.check import Checked, check
from enclave.intake.feedback import feedback, receipt
from enclave.intake.open import open_by_hand, verify_and_open
from enclave.intake.rules import RULES as INTAKE_RULES
from enclave.intake.rules import RuleText
from enclave.intake.spreadsheet import parts_of
from enclave.model.draft import Draft, DraftFile, Kind, NamedDraft
from enclave.model.drop import OpenedDrop, SealedDrop
from enclave.release.gate import admit as admit_to_release
from enclave.release.gate import policy_of
from enclave.store.read import RegistryReader
from enclave.store.rules import RULES as STORE_RULES
from enclave.store.settlement import Counts, Outcome, Settlement
from enclave.store.write import Plan, RegistryWriter, StateMovedError
from enclave.wiring import Wiring
from jobs.drafts import sweep_drafts, write_draft
from jobs.reasons import CRASHED, DROP_ID_REUSED, FORM_UNKNOWN, NO_AGREEMENT, REPLAY, SEQUENCE

RULES: dict[str, RuleText] = {**INTAKE_RULES, **IDENTITY_RULES, **STORE_RULES}
explain(
    "E_ANSWER_HELD",
    "The answer to this drop would hold what must not leave, such as something like a national number.",
    "Use course numbers that are not made of or like people's numbers, and send a new drop.",
    nb=(
        "Svaret på innsendingen ville inneholdt noe som ikke skal sendes ut, for eksempel noe likt et personnummer.",
        "Bruk forløpsnumre som ikke er laget av eller ligner personnumre, og send en ny innsending.",
    ),
)

HELD_BY_THE_GATE = ("R_LEAK", "R_FORM")
MOST_MISSING = 999_999_999
OPENED_TIMES = 8
"""How much larger than the largest payload the files inside may be in total."""
OPENED_BYTES = 64 << 20
"""What the files inside may be in total at all: what stands in memory while they are read is a few times that."""


@dataclass(frozen=True, repr=False)
class Examined:
    """A drop in memory: verified, opened, read and checked; still with identities, but no longer its files."""

    payload_sha256: str
    checked: tuple[Checked, ...]
    judged: Judged


def admit(wiring: Wiring) -> dict[str, int]:
    """Settle every collected drop; answers how many were admitted, rejected and recognised as sent before."""
    # The vault too, though it is used last: a wrong key halts here, before the opening of a drop is counted.
    writer, reader, _ = wiring.registry_writer, wiring.registry_reader, wiring.vault
    _publish_settled(wiring, reader)
    sweep_drafts(wiring, (stored.draft.sha256 for stored in reader.drafts()))
    counts = {"admitted": 0, "rejected": 0, "replayed": 0}
    for drop in _in_turn(drops_of(wiring.control, wiring.registry, DropState.COLLECTED)):
        outcome = _settle(wiring, writer, drop)
        _publish_settled(wiring, reader)
        counts[outcome] += 1
    return counts


def _in_turn(collected: Sequence[Drop]) -> list[Drop]:
    """The drops in turns: every sender's first, then every sender's second; those last that ended the program twice.

    One kill changes nothing, so that the states are the same as without it. A sender's drops are never reordered: a
    later one that came first would make its earlier ones misnumbered.
    """
    waiting = {drop.sender for drop in collected if drop.attempts > 1}
    seen: Counter[str] = Counter()
    places = []
    for drop in collected:
        places.append((drop.sender in waiting, seen[drop.sender]))
        seen[drop.sender] += 1
    return [drop for _, drop in sorted(zip(places, collected, strict=True), key=lambda placed: placed[0])]


def _settle(wiring: Wiring, writer: RegistryWriter, drop: Drop) -> str:
    try:
        drop, examined = _examine(wiring, drop)
    except Rejected as why:
        return _reject(wiring, writer, drop, why.code)
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


def _examine(wiring: Wiring, drop: Drop) -> tuple[Drop, Examined]:
    """Everything that is read from a drop, in memory; Rejected with the first reason that stops it whole."""
    if drop.reason:
        raise Rejected(drop.reason)
    if wiring.agreement(drop.sender, _collected(drop)) is None:
        # Before anything is opened: without an agreement there is no ground to read it.
        raise Rejected(NO_AGREEMENT)
    if drop.attempts >= ATTEMPTS_BEFORE_REJECTION:
        raise Rejected(CRASHED)
    with wiring.acts.act(Act.DROP_OPEN, "drop", drop.drop_uuid) as act:
        with wiring.control.changing(act.position) as connection:
            count_attempt(connection, drop.drop_uuid)
        opened = _open(wiring, drop)
    drop = _recognise(wiring, drop, opened)
    return drop, _check(wiring, drop, opened)


def _open(wiring: Wiring, drop: Drop) -> OpenedDrop:
    keys = wiring.keystore(Folder.DROP_KEYS, Access.READ)
    identity = unwrap_identity(keys.get(drop.drop_uuid), wiring.keys.get("quarantine"))
    sealed = _taken(wiring.path(Folder.QUARANTINE, Access.READ) / f"{drop.drop_uuid}.age", identity, drop)
    largest = wiring.settings.registries[wiring.registry].limits.drop_bytes
    limits = Limits(total=min(OPENED_TIMES * largest, OPENED_BYTES))
    at = _collected(drop)
    passphrases = wiring.inbound_passphrases(drop.sender, at)
    if not drop.signed:
        # Only where the agreement of that day says so; what was collected as unsigned is never judged as signed.
        agreement = wiring.agreement(drop.sender, at)
        if agreement is None or not agreement.may_send_unsigned:
            raise Rejected("E_UNSIGNED")
        return open_by_hand(sealed, registry=wiring.registry, passphrases=passphrases, at=at, limits=limits)
    return verify_and_open(
        sealed, registry=wiring.registry, signers=wiring.signers, passphrases=passphrases, at=at, limits=limits
    )


def _taken(path: Path, identity: Secret, drop: Drop) -> SealedDrop:
    """What was taken from this sender under this id, and nothing else: the log holds the digest of the ciphertext."""
    ciphertext = durable.read(path)
    sealed = unpack(age.open(ciphertext, identity))
    taken = (hashlib.sha256(ciphertext).hexdigest(), sealed.drop_uuid, sealed.sender)
    if taken != (drop.stored_sha256, drop.drop_uuid, drop.sender):
        raise Rejected("E_QUARANTINE_FORM")
    return sealed


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
    mode = Mode(wiring.settings.mode)
    judged = judge(
        [each.records for each in checked], {form.id: form for form in definition.forms}, mode, wiring.now.date()
    )
    return Examined(opened.manifest.payload_sha256, checked, judged)


def _decide(wiring: Wiring, writer: RegistryWriter, drop: Drop, examined: Examined, plan: Plan) -> str:
    """The registry commit: rows, settlement and the names of the answers, or nothing."""
    faults = tuple(
        sorted((*(fault for each in examined.checked for fault in each.faults), *examined.judged.faults, *plan.faults))
    )
    delivered = sum(each.delivered for each in examined.checked)
    counts = replace(
        plan.counts, delivered=delivered, rejected=delivered - plan.counts.accepted - plan.counts.unchanged
    )
    found = Counter(fault.form for fault in faults)
    # Before the decision: killed after it, nobody opens the drop again; killed before, the same is noted anew.
    forms = {each.records.form: found[each.records.form] for each in examined.checked}
    note_deliveries(wiring.control, drop.drop_uuid, forms)
    with wiring.acts.act(Act.DROP_SETTLE, "drop", drop.drop_uuid) as act:
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
            unlisted={kind: count for each in examined.checked for kind, count in each.unlisted.items()},
            language=language_of(wiring.control, wiring.registry, drop.sender),
            signed=drop.signed,
        )
        drafts = _write_answers(wiring, plan.based_on_state, answer)
        settlement = Settlement(drop.drop_uuid, drop.sender, Outcome.ADMITTED, "", counts)
        writer.settle(plan, settlement, drafts, act.position)
        act.counts.update(vars(counts), signed=int(drop.signed))
    return _publish(wiring, drop, DropState.ADMITTED, "", drafts)


def _reject(wiring: Wiring, writer: RegistryWriter, drop: Drop, reason: str) -> str:
    """Settle a drop of which nothing is taken: no row, an answer with its own reason."""
    state = DropState.REPLAYED if reason == REPLAY else DropState.REJECTED
    with wiring.acts.act(Act.DROP_SETTLE, "drop", drop.drop_uuid) as act:
        answer = Answer(
            wiring.registry,
            drop.sender,
            drop.drop_uuid,
            drop.stated_drop_id,
            "",
            *act.position,
            reason=reason,
            signed=drop.signed,
        )
        drafts = _write_answers(wiring, 0, answer)
        settlement = Settlement(drop.drop_uuid, drop.sender, Outcome.REJECTED, reason, Counts(0))
        writer.settle(None, settlement, drafts, act.position)
    return _publish(wiring, drop, state, reason, drafts)


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
        _publish(wiring, drop, state, settled.reason, answers)


def _publish(wiring: Wiring, drop: Drop, state: DropState, reason: str, drafts: list[NamedDraft]) -> str:
    with wiring.acts.act(Act.DROP_PUBLISH, "drop", drop.drop_uuid) as act:
        with wiring.control.changing(act.position) as connection:
            settle_drop(connection, drop.drop_uuid, state, reason=reason, at=wiring.now)
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
