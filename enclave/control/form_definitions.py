"""What the forms at Nettskjema asked, each version kept by its hash, and which of them hold their submissions.

`waiting` holds until a person decides; `noted` took nothing away and recoded nothing, so nothing was held for it;
`approved` and `refused` are what a person decided. Nothing here is about people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from enclave.control.database import Control
from enclave.control.drops import NETTSKJEMA, Drop
from enclave.control.tables import form_definition, kept_definition
from enclave.errors import Refused, explain

explain(
    "R_DEFINITION_UNKNOWN",
    "There is no such form definition, or it was decided on already.",
    "See `enclave registry forms`.",
)

State = Literal["waiting", "noted", "approved", "refused"]
MAY_BECOME: dict[State, frozenset[State]] = {
    "waiting": frozenset({"approved", "refused"}),
    "noted": frozenset({"approved"}),
    "approved": frozenset(),
    "refused": frozenset({"approved"}),
}


@dataclass(frozen=True)
class Delivered:
    """One definition, as it was delivered: by which drop, what changed by it, and where it stands.

    `number` is our order of taking, `dated` when it was made, `compared_with` the drop of the definition that was in
    force before. `sha256` is empty where it could not be read, and `reason` says why it is not simply in force.
    """

    drop_uuid: str
    registry: str
    form: str
    number: int
    sha256: str
    compared_with: str
    reason: str
    removed: int
    recoded: int
    added: int
    dated: str
    kept_at: str
    state: State
    decided_at: str | None = None
    decided_by: str | None = None


def keep(connection: Connection, delivered: Delivered, content: str) -> None:
    """Enter a delivered definition, and keep what it says under its hash."""
    which = (kept_definition.c.registry == delivered.registry) & (kept_definition.c.sha256 == delivered.sha256)
    if delivered.sha256 and connection.execute(select(kept_definition.c.sha256).where(which)).first() is None:
        connection.execute(
            insert(kept_definition).values(
                registry=delivered.registry, sha256=delivered.sha256, content=content, kept_at=delivered.kept_at
            )
        )
    connection.execute(insert(form_definition).values(**vars(delivered)))


def kept(control: Control, registry: str, sha256: str) -> str:
    """What a definition says, by its hash; "" where there is none."""
    wanted = select(kept_definition.c.content).where(
        kept_definition.c.registry == registry, kept_definition.c.sha256 == sha256
    )
    with control.reading() as connection:
        return connection.scalar(wanted) or ""


def definitions_of(control: Control, registry: str, form: str = "") -> tuple[Delivered, ...]:
    """Every delivered definition (of one form, where it is named), as they were taken."""
    wanted = select(form_definition).where(form_definition.c.registry == registry)
    if form:
        wanted = wanted.where(form_definition.c.form == form)
    with control.reading() as connection:
        rows = connection.execute(wanted.order_by(form_definition.c.number))
        return tuple(Delivered(**row._mapping) for row in rows)


def find_definition(control: Control, registry: str, drop_uuid: str) -> Delivered:
    """The definition that this drop brought; Refused where there is none."""
    found = [one for one in definitions_of(control, registry) if one.drop_uuid == drop_uuid]
    if not found:
        raise Refused("R_DEFINITION_UNKNOWN")
    return found[0]


def in_force(delivered: tuple[Delivered, ...]) -> Delivered | None:
    """Of one form's definitions the newest that is not held: what the next one is compared with."""
    taken = [one for one in delivered if one.state in ("noted", "approved") and one.sha256]
    return max(taken, key=lambda one: (one.dated, one.number), default=None)


def holds(delivered: tuple[Delivered, ...], collected_at: str) -> bool:
    """Whether one form's definitions hold a submission that was collected then, until a person decides.

    All of them do while one is undecided. Refusing one rejects what was collected before, and holds what comes after
    until another definition was taken.
    """
    if any(one.state == "waiting" for one in delivered):
        return True
    return bool(delivered) and delivered[-1].state == "refused" and not is_refused(delivered, collected_at)


def held_back(delivered: tuple[Delivered, ...], collected: Sequence[Drop]) -> frozenset[str]:
    """Which of these collected drops wait because of their form's definitions; all forms' definitions are given."""
    forms = {one.form: tuple(each for each in delivered if each.form == one.form) for one in delivered}
    # A submission that was collected before its form was written down could be of any.
    forms[""] = delivered
    submissions = [drop for drop in collected if drop.door == NETTSKJEMA]
    return frozenset(drop.drop_uuid for drop in submissions if holds(forms.get(drop.form, ()), drop.collected_at))


def is_refused(delivered: tuple[Delivered, ...], collected_at: str) -> bool:
    """Whether a person refused one of the form's definitions when a submission was collected already."""
    collected = datetime.fromisoformat(collected_at)
    refused = [one.decided_at for one in delivered if one.state == "refused" and one.decided_at]
    return any(collected <= datetime.fromisoformat(at) for at in refused)


def decide(connection: Connection, decided: Delivered, state: State, *, by: str, at: datetime) -> None:
    """Enter what a person decided; Refused where somebody was first."""
    which = form_definition.c.drop_uuid == decided.drop_uuid
    now = connection.scalar(select(form_definition.c.state).where(which))
    if now is None or state not in MAY_BECOME[now]:
        raise Refused("R_DEFINITION_UNKNOWN")
    entered = {"state": state, "decided_by": by, "decided_at": at.isoformat()}
    connection.execute(update(form_definition).where(which).values(**entered))
