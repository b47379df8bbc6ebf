"""Drops in quarantine → registry rows, and an answer for every sender.

Each drop: count the attempt, open it in memory, check, name people in the vault, decide in one registry commit that
also names the answers, then enter the answers in the ledger. The registry commit is the decision: before it nothing
of the drop is in the registry, after it the rest is only told on.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from enclave.control.agreements import language_of
from enclave.control.deliveries import note_deliveries
from enclave.control.drops import NETTSKJEMA, Drop, drops_of, find_drop, settle_drop
from enclave.control.form_definitions import definitions_of, held_back
from enclave.control.releases import propose, releases_of
from enclave.errors import Refused, Rejected, explain
from enclave.flow import Act, DropState
from enclave.identity.pseudonymise import assign
from enclave.intake.answer import Answer, Totals, references_of
from enclave.intake.feedback import feedback, receipt
from enclave.model.draft import Draft, DraftFile, Kind, NamedDraft
from enclave.release.gate import admit as admit_to_release
from enclave.release.gate import policy_of
from enclave.store.read import RegistryReader
from enclave.store.settlement import Counts, Outcome, Settlement
from enclave.store.write import Plan, RegistryWriter, StateMovedError
from enclave.wiring import Wiring
from jobs.drafts import sweep_drafts, write_draft
from jobs.examine import Examined, examine
from jobs.form_definitions import keep_definitions
from jobs.old_keys import drop_keys_left, go_on
from jobs.reasons import REPLAY
from jobs.rule_texts import RULES
from jobs.submissions import HELD_BY_THE_GATE, draft_digests

explain(
    "E_ANSWER_HELD",
    "The answer to this drop would hold what must not leave, such as something like a national number.",
    "Use course numbers that are not made of or like people's numbers, and send a new drop.",
    nb=(
        "Svaret på innsendingen ville inneholdt noe som ikke skal sendes ut, for eksempel noe likt et personnummer.",
        "Bruk forløpsnumre som ikke er laget av eller ligner personnumre, og send en ny innsending.",
    ),
)


def admit(wiring: Wiring) -> dict[str, int]:
    """Settle every collected drop; answers how many were admitted, rejected and recognised as sent before.

    A signed drop is answered at once; submissions through Nettskjema are answered together, once a day.
    """
    # The vault too, though it is used last: a wrong key halts here, before the opening of a drop is counted.
    writer, reader, _ = wiring.registry_writer, wiring.registry_reader, wiring.vault
    _publish_settled(wiring, reader, drops_of(wiring.control, wiring.registry, DropState.COLLECTED))
    digests = [release.draft_sha256 for release in releases_of(wiring.control, wiring.registry)]
    sweep_drafts(wiring, (*(stored.draft.sha256 for stored in reader.drafts()), *digests))
    counts = {"admitted": 0, "rejected": 0, "replayed": 0, "digests": 0}
    keep_definitions(wiring, drops_of(wiring.control, wiring.registry, DropState.COLLECTED))
    collected = drops_of(wiring.control, wiring.registry, DropState.COLLECTED)
    held = held_back(definitions_of(wiring.control, wiring.registry), collected)
    for drop in _in_turn(wiring, [drop for drop in collected if drop.drop_uuid not in held]):
        outcome = _settle(wiring, writer, drop)
        _publish_settled(wiring, reader, [drop])
        counts[outcome] += 1
    counts["digests"] = draft_digests(wiring)
    counts["under_old_key"] = go_on(wiring, "quarantine", drop_keys_left)
    return counts


def _in_turn(wiring: Wiring, collected: Sequence[Drop]) -> list[Drop]:
    """The drops in turns: every sender's first, then every sender's second; those last that ended the program twice.

    A drop's turn counts the sender's settled ones that were collected with it, so that a run that is taken up again
    goes on in the same order. One kill changes nothing. A sender's drops are never reordered: a later one that came
    first would make its earlier ones misnumbered.
    """
    waiting = {drop.sender for drop in collected if drop.attempts > 1}
    together = {drop.collected_at for drop in collected}
    seen: Counter[str] = Counter()
    turn: dict[str, int] = {}
    for drop in drops_of(wiring.control, wiring.registry) if collected else ():
        if drop.collected_at in together:
            turn[drop.drop_uuid] = seen[drop.sender]
            seen[drop.sender] += 1
    return sorted(collected, key=lambda drop: (drop.sender in waiting, turn[drop.drop_uuid]))


def _settle(wiring: Wiring, writer: RegistryWriter, drop: Drop) -> str:
    try:
        drop, examined = examine(wiring, drop)
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
        drafts = [] if drop.door == NETTSKJEMA else _write_answers(wiring, plan.based_on_state, answer)
        settlement = Settlement(drop.drop_uuid, drop.sender, Outcome.ADMITTED, "", counts)
        kept = faults if drop.door == NETTSKJEMA else ()
        writer.settle(plan, settlement, drafts, act.position, faults=kept)
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
        drafts = [] if drop.door == NETTSKJEMA else _write_answers(wiring, 0, answer)
        settlement = Settlement(drop.drop_uuid, drop.sender, Outcome.REJECTED, reason, Counts(0))
        writer.settle(None, settlement, drafts, act.position)
        act.counts.update(signed=int(drop.signed))
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


def _publish_settled(wiring: Wiring, reader: RegistryReader, collected: Iterable[Drop]) -> None:
    """Tell on what the registry has decided of these drops and the ledger does not know yet, also after a kill."""
    for drop in collected:
        standing = find_drop(wiring.control, drop.drop_uuid)
        if standing is None or standing.state is not DropState.COLLECTED:
            continue  # published already
        for settled in (remembered.settlement for remembered in reader.settlements(drop_uuid=drop.drop_uuid)):
            state = {"": DropState.ADMITTED, REPLAY: DropState.REPLAYED}.get(settled.reason, DropState.REJECTED)
            answers = [stored.draft for stored in reader.drafts(drop_uuid=drop.drop_uuid)]
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
