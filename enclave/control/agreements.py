"""Agreements: what an institution and the registry agreed on, and from which day to which."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from sqlalchemy import Connection, delete, insert, select

from enclave.control.database import Control
from enclave.control.tables import agreement
from enclave.errors import Refused, explain

explain(
    "R_AGREEMENT_DATES",
    "An agreement begins on a day and ends on a later one.",
    "Give --from and --to as YYYY-MM-DD, the last day included.",
)

Language = Literal["nb", "en", "sv"]


@dataclass(frozen=True)
class Agreement:
    """One agreement, both days included. Without days it holds until further notice: it was made by adding the sender.

    `may_send_unsigned` allows single ZIP files that are placed by hand without a signature; `language` is that of the
    feedback.
    """

    registry: str
    institution_id: str
    valid_from: date | None
    valid_to: date | None
    may_send_unsigned: bool
    language: Language
    entered_at: str

    def holds_on(self, day: date) -> bool:
        """Whether it is in force on a day."""
        begun = self.valid_from is None or self.valid_from <= day
        return begun and (self.valid_to is None or day <= self.valid_to)


def enter_agreement(connection: Connection, entered: Agreement) -> None:
    """Enter an agreement. It takes the place of one that begins on the same day, and of one without days."""
    if entered.valid_from is not None and entered.valid_to is not None and entered.valid_to < entered.valid_from:
        raise Refused("R_AGREEMENT_DATES")
    begins = _text(entered.valid_from)
    which = (agreement.c.registry == entered.registry) & (agreement.c.institution_id == entered.institution_id)
    connection.execute(delete(agreement).where(which, agreement.c.valid_from.in_(("", begins))))
    days = {"valid_from": begins, "valid_to": _text(entered.valid_to)}
    connection.execute(insert(agreement).values(**{**vars(entered), **days}))


def agreements_of(control: Control, registry: str, institution_id: str = "") -> tuple[Agreement, ...]:
    """Every agreement of a registry, or with one institution, by institution, then by first day."""
    order = (agreement.c.institution_id, agreement.c.valid_from)
    wanted = select(agreement).where(agreement.c.registry == registry).order_by(*order)
    if institution_id:
        wanted = wanted.where(agreement.c.institution_id == institution_id)
    with control.reading() as connection:
        return tuple(
            Agreement(**{**row._mapping, "valid_from": _day(row.valid_from), "valid_to": _day(row.valid_to)})
            for row in connection.execute(wanted)
        )


def agreement_on(control: Control, registry: str, institution_id: str, day: date) -> Agreement | None:
    """The agreement with an institution that is in force on a day; the one that began last, where there are several."""
    known = agreements_of(control, registry, institution_id)
    return next((one for one in reversed(known) if one.holds_on(day)), None)


def language_of(control: Control, registry: str, institution_id: str) -> Language:
    """The language of an institution's newest agreement, also where it is over."""
    known = agreements_of(control, registry, institution_id)
    return known[-1].language if known else "nb"


def _text(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
