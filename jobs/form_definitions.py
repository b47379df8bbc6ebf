"""The part of `admit` that reads what the forms at Nettskjema ask, and holds submissions while that is undecided.

A definition is compared with the one that was in force before. Options that are gone, or whose words are others, would
give answers another meaning: the form's submissions wait until a person has looked. So they do after the first
definition of a form, and after one that cannot be read. What was only added is noted, and nothing waits.
"""

from collections.abc import Sequence
from datetime import datetime

from enclave.control.drops import FORM_DEFINITION, NETTSKJEMA, Drop, count_attempt, settle_drop
from enclave.control.form_definitions import Delivered, definitions_of, in_force, keep, kept
from enclave.crypto import openpgp
from enclave.errors import Rejected, explain
from enclave.flow import ATTEMPTS_BEFORE_REJECTION, Act, DropState
from enclave.intake.form_definition import LARGEST, FormDefinition, changes, counted, points_of, read_definition
from enclave.wiring import Wiring
from jobs import quarantine
from jobs.reasons import CRASHED

explain(
    "E_DEFINITION_NEW",
    "The first definition of a form: nobody has looked yet whether its questions and options are the registry's.",
    "Look at it with `enclave registry form ID`, then `enclave registry approve ID`; the form's submissions wait.",
    nb=(
        "Den første definisjonen av et skjema: ingen har ennå sett om spørsmålene er registerets.",
        "Databehandleren ser på skjemaet og godkjenner det; innsendingene venter.",
    ),
)
explain(
    "E_DEFINITION_CHANGED",
    "A form lost options or questions, or gave them other words under the same code: answers may mean something else.",
    "Look at it with `enclave registry form ID`, then `registry approve ID`, or mend it and `registry refuse ID`.",
    nb=(
        "Skjemaet har mistet spørsmål eller alternativer, eller fått andre ord på samme kode.",
        "Databehandleren ser på endringen, og godkjenner den eller får skjemaet rettet; innsendingene venter.",
    ),
)


def keep_definitions(wiring: Wiring, collected: Sequence[Drop]) -> None:
    """Read every definition that was collected, as they were taken, and enter what changed by it."""
    for drop in collected:
        if drop.door == FORM_DEFINITION:
            _keep(wiring, drop)


def _keep(wiring: Wiring, drop: Drop) -> None:
    definition, reason = None, ""
    try:
        definition = _read(wiring, drop)
    except Rejected as why:
        reason = why.code
    earlier = definitions_of(wiring.control, wiring.registry, drop.form)
    before = in_force(earlier)
    found = changes(
        points_of(kept(wiring.control, wiring.registry, before.sha256) if before else ""),
        definition.points if definition else (),
    )
    differ = counted(found) if before and definition else {}
    removed, recoded, added = (differ.get(what, 0) for what in ("removed", "recoded", "added"))
    reason = reason or ("E_DEFINITION_NEW" if before is None else "E_DEFINITION_CHANGED" if removed + recoded else "")
    delivered = Delivered(
        drop_uuid=drop.drop_uuid,
        registry=wiring.registry,
        form=drop.form,
        number=drop.stated_seq or 0,
        sha256=definition.sha256 if definition else "",
        compared_with=before.drop_uuid if before else "",
        reason=reason,
        removed=removed,
        recoded=recoded,
        added=added,
        dated=_dated(drop, definition),
        kept_at=wiring.now.isoformat(),
        state="waiting" if reason else "noted",
    )
    _enter(wiring, drop, delivered, definition)


def _enter(wiring: Wiring, drop: Drop, delivered: Delivered, definition: FormDefinition | None) -> None:
    counts = {name: getattr(delivered, name) for name in ("removed", "recoded", "added")}
    counts["held"] = int(delivered.state == "waiting")
    digests = {"definition": definition.sha256} if definition else {}
    # All of it in the intent: what a crash resolves as recovered says no more.
    with wiring.acts.act(Act.FORM_KEEP, "drop", drop.drop_uuid, counts=counts, digests=digests) as act:
        unreadable = "" if definition else delivered.reason
        state = DropState.REJECTED if unreadable else DropState.ADMITTED
        with wiring.control.changing(act.position) as connection:
            keep(connection, delivered, definition.content if definition else "")
            settle_drop(connection, drop.drop_uuid, state, sender=drop.sender, reason=unreadable, at=wiring.now)


def _read(wiring: Wiring, drop: Drop) -> FormDefinition:
    """Open and read a definition in memory; an attempt that counts, like the opening of any drop."""
    if drop.attempts >= ATTEMPTS_BEFORE_REJECTION:
        raise Rejected(CRASHED)
    with wiring.acts.act(Act.DROP_OPEN, "drop", drop.drop_uuid) as act:
        with wiring.control.changing(act.position) as connection:
            count_attempt(connection, drop.drop_uuid)
        sealed = quarantine.get(wiring, drop, NETTSKJEMA)
        return read_definition(
            openpgp.open_with_any(sealed.payload, wiring.keys.opening("nettskjema"), limit=LARGEST), drop.form
        )


def _dated(drop: Drop, definition: FormDefinition | None) -> str:
    """When a definition was made, as it says itself, but never later than it was collected."""
    collected = datetime.fromisoformat(drop.collected_at)
    made = definition.made if definition else None
    return min(made or collected, collected).isoformat(timespec="microseconds")
