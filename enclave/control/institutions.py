"""Institutions in the control database: who sends, lends and receives, and the public key each signs with."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from enclave.control.agreements import Agreement, enter_agreement
from enclave.control.database import Control
from enclave.control.sender_keys import SenderKey, add_key
from enclave.control.tables import institution
from enclave.errors import Refused, explain

explain("R_INSTITUTION_EXISTS", "This institution is known already.", "See `enclave institution list`.")
explain("R_INSTITUTION_UNKNOWN", "There is no such institution.", "Add it with `enclave institution add`.")

Role = Literal["sender", "lender", "auditor", "researcher"]


@dataclass(frozen=True)
class Institution:
    """Who sends and receives. `inbound_key_id` names the newest passphrase that it seals its drops with.

    `age_key` is the public key (`age1…`) that a lender opens the list of a loan order with, or "".
    """

    registry: str
    institution_id: str
    name: str
    role: Role
    signing_key: str
    inbound_key_id: str
    added_at: str
    age_key: str = ""


def add_institution(connection: Connection, added: Institution) -> None:
    """Enter an institution, once: with its keys, and an agreement until further notice."""
    which = (institution.c.registry == added.registry) & (institution.c.institution_id == added.institution_id)
    if connection.execute(select(institution).where(which)).first() is not None:
        raise Refused("R_INSTITUTION_EXISTS")
    connection.execute(insert(institution).values(**vars(added)))
    whose = (added.registry, added.institution_id)
    add_key(connection, SenderKey(*whose, "signing", added.signing_key))
    add_key(connection, SenderKey(*whose, "passphrase", added.inbound_key_id))
    enter_agreement(connection, Agreement(*whose, None, None, False, "nb", added.added_at))


def change_institution(connection: Connection, changed: Institution) -> None:
    """Name the newest keys of an institution: those that its kit, its letter and orders are made with."""
    which = (institution.c.registry == changed.registry) & (institution.c.institution_id == changed.institution_id)
    newest = {"inbound_key_id": changed.inbound_key_id, "signing_key": changed.signing_key, "age_key": changed.age_key}
    connection.execute(update(institution).where(which).values(**newest))


def institutions_of(control: Control, registry: str, *roles: Role) -> tuple[Institution, ...]:
    """Institutions with these roles (all, when none is named), by id."""
    wanted = select(institution).where(institution.c.registry == registry).order_by(institution.c.institution_id)
    if roles:
        wanted = wanted.where(institution.c.role.in_(roles))
    with control.reading() as connection:
        return tuple(Institution(**row._mapping) for row in connection.execute(wanted))


def find_institution(control: Control, registry: str, institution_id: str) -> Institution:
    """The institution with this id; Refused where there is none."""
    found = [one for one in institutions_of(control, registry) if one.institution_id == institution_id]
    if not found:
        raise Refused("R_INSTITUTION_UNKNOWN")
    return found[0]
