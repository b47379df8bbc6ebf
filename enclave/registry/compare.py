"""What a new definition adds to the applied one; anything but an addition is refused.

Rows stay as they were stored, so what they were stored under stays: forms, variables, codes, types and keys never
change and never go. What may change: labels, checks, tables, limits, retention and disclosure; what may end: validity.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from enclave.errors import Refused, explain
from enclave.registry.definition import Code, Definition, Form, Kind, LegalBasis, Loan, Valid, Variable
from enclave.registry.expressions import columns_of

explain(
    "R_NOT_ADD_ONLY",
    "The new definition takes away or changes something that rows may be stored under.",
    "Keep it as it was; to stop using it give it a `valid_to`, and add the new one beside it.",
)


@dataclass(frozen=True)
class Additions:
    """What a new definition adds to the database: whole forms, and columns to forms that exist."""

    forms: tuple[str, ...]
    columns: tuple[tuple[str, str, Kind], ...]
    """(form, column, kind), in the new definition's order; a multi variable's options are boolean columns"""


class NotAddOnly(Refused):
    """A definition that does not only add; `changes` names every place that changes or goes."""

    def __init__(self, changes: tuple[str, ...]) -> None:
        self.changes = changes
        super().__init__("R_NOT_ADD_ONLY", place=changes[0])


def additions(old: Definition, new: Definition) -> Additions:
    """What `new` adds to `old`; NotAddOnly (R_NOT_ADD_ONLY) with every place where it does more than add."""
    changes = tuple(_changes(old, new))
    if changes:
        raise NotAddOnly(changes)
    before = {form.id: columns_of(form) for form in old.forms}
    return Additions(
        tuple(form.id for form in new.forms if form.id not in before),
        tuple(
            (form.id, column, kind)
            for form in new.forms
            if form.id in before
            for column, kind in columns_of(form).items()
            if column not in before[form.id]
        ),
    )


def _changes(old: Definition, new: Definition) -> Iterator[str]:
    for name in ("id", "country", "period_form"):
        if getattr(old, name) != getattr(new, name):
            yield name
    later = {form.id: form for form in new.forms}
    for form in old.forms:
        yield from _form_changes(form, later.get(form.id), f"forms.{form.id}")
    loans = {loan.id: loan for loan in new.loans}
    for loan in old.loans:
        yield from _loan_changes(loan, loans.get(loan.id), f"loans.{loan.id}")
    yield from _legal_bases(old.legal_bases, new.legal_bases)


def _form_changes(old: Form, new: Form | None, place: str) -> Iterator[str]:
    if new is None:
        yield place
        return
    for name in ("time_point", "subject", "person_id", "reference", "key", "dated_by"):
        if getattr(old, name) != getattr(new, name):
            yield f"{place}.{name}"
    if old.consent not in (None, new.consent):
        yield f"{place}.consent"
    yield from _validity(old, new, place)
    yield from _variable_changes(old.variables, new.variables, place)


def _loan_changes(old: Loan, new: Loan | None, place: str) -> Iterator[str]:
    if new is None:
        yield place
        return
    yield from _variable_changes(old.variables, new.variables, place)


def _variable_changes(old: tuple[Variable, ...], new: tuple[Variable, ...], place: str) -> Iterator[str]:
    later = {variable.name: variable for variable in new}
    for variable in old:
        here = f"{place}.variables.{variable.name}"
        successor = later.get(variable.name)
        if successor is None:
            yield here
            continue
        if variable.kind is not successor.kind:
            yield f"{here}.kind"
        if variable.kind is Kind.TEXT and successor.maximum_length < variable.maximum_length:
            yield f"{here}.maximum_length"
        yield from _validity(variable, successor, here)
        yield from _code_changes(variable.codes, successor.codes, here)


def _code_changes(old: tuple[Code, ...], new: tuple[Code, ...], place: str) -> Iterator[str]:
    later = {code.value: code for code in new}
    for code in old:
        here = f"{place}.codes.{code.value}"
        successor = later.get(code.value)
        if successor is None:
            yield here
            continue
        if code.not_answered != successor.not_answered:
            yield f"{here}.not_answered"
        yield from _validity(code, successor, here)


def _legal_bases(old: tuple[LegalBasis, ...], new: tuple[LegalBasis, ...]) -> Iterator[str]:
    """A legal basis that rows were taken under stays, in its place, with its kind; a new one follows."""
    for number, basis in enumerate(old):
        here = f"legal_bases.{number + 1}"
        if number >= len(new) or new[number].kind != basis.kind:
            yield here
        else:
            yield from _validity(basis, new[number], here)


def _validity(old: Valid, new: Valid, place: str) -> Iterator[str]:
    """The first day stays; an open end may be set, and a set end moved, since it only judges what comes in."""
    if old.valid_from != new.valid_from:
        yield f"{place}.valid_from"
