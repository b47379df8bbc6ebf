"""A definition only grows: additions are listed, and everything else is refused with its place."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from enclave.errors import Refused
from enclave.registry.compare import NotAddOnly, additions
from enclave.registry.definition import Definition, Kind
from enclave.registry.load import load, load_source

LOADED = load(Path(__file__).parents[2] / "config" / "registries" / "kar")
OLD = LOADED.definition
LABEL = {"nb": "Ny", "en": "New"}


def _changed(change: Callable[[dict[str, Any]], object]) -> Definition:
    tree = json.loads(LOADED.source)
    change(tree)
    return load_source(json.dumps(tree).encode()).definition


def _variable(tree: dict[str, Any], name: str) -> dict[str, Any]:
    return next(variable for variable in tree["forms"][0]["variables"] if variable["name"] == name)


def test_the_same_definition_adds_nothing() -> None:
    """Applying what is applied changes nothing."""
    same = additions(OLD, OLD)

    assert (same.forms, same.columns) == ((), ())


def test_forms_variables_codes_and_options_may_be_added() -> None:
    """New forms are listed whole; new variables and new options of a multi variable as columns of their forms."""

    def grow(tree: dict[str, Any]) -> None:
        new = {**tree["forms"][1], "id": "follow_up_24", "time_point": "follow_up_24", "set_checks": []}
        tree["forms"].append(new)
        tree["forms"][0]["variables"].insert(0, {"name": "weight", "kind": "decimal", "label": LABEL})
        _variable(tree, "benefits")["codes"].append({"value": "housing", "label": LABEL})
        _variable(tree, "sex")["codes"].append({"value": "other", "label": LABEL})

    grown = additions(OLD, _changed(grow))

    assert grown.forms == ("follow_up_24",)
    assert grown.columns == (("arrival", "weight", Kind.DECIMAL), ("arrival", "benefits_housing", Kind.BOOLEAN))


def test_what_only_judges_new_rows_may_change() -> None:
    """Labels, checks, limits, tables, retention and ends of validity are no columns, and may change."""

    def change(tree: dict[str, Any]) -> None:
        tree["retention_days"] = 60
        tree["tables"].pop()
        tree["forms"][0]["checks"].pop()
        tree["forms"][0]["valid_to"] = "2030-12-31"
        tree["legal_bases"][0]["valid_to"] = "2027-12-31"
        tree["legal_bases"].append({"kind": "reservation", "source": "Forskrift", "valid_from": "2028-01-01"})
        _variable(tree, "health").update(maximum=7, valid_to="2026-12-31", label=LABEL)
        _variable(tree, "education")["codes"][0]["valid_to"] = "2026-12-31"

    new = _changed(change)

    assert additions(OLD, new).columns == ()
    assert new.form("arrival").valid_to == date(2030, 12, 31)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "id": lambda tree: tree.update(id="other"),
    "period_form": lambda tree: (
        tree.update(period_form="discharge"),
        tree["forms"][1].update(consent="end_date"),
    ),
    "forms.follow_up_12": lambda tree: (
        tree["forms"].pop(3),
        tree.update(tables=[]),
    ),
    "forms.arrival.reference": lambda tree: tree["forms"][0].update(reference="patient_number"),
    "forms.arrival.person_id": lambda tree: tree["forms"][0].update(person_id="national_number"),
    "forms.arrival.dated_by": lambda tree: (
        _variable(tree, "consent_date").update(required=True),
        tree["forms"][0].update(dated_by="consent_date"),
    ),
    "forms.arrival.consent": lambda tree: tree["forms"][0].update(consent="arrival_date"),
    "forms.arrival.time_point": lambda tree: tree["forms"][0].update(time_point="start"),
    "forms.arr_course.key": lambda tree: tree["forms"][5].update(key=["report_year"]),
    "forms.arrival.valid_from": lambda tree: tree["forms"][0].update(valid_from="2018-01-01"),
    "forms.arrival.variables.health": lambda tree: tree["forms"][0]["variables"].remove(_variable(tree, "health")),
    "forms.arrival.variables.health.kind": lambda tree: _variable(tree, "health").update(kind="decimal"),
    "forms.arrival.variables.health.valid_from": lambda tree: _variable(tree, "health").update(valid_from="2020-01-01"),
    "forms.arrival.variables.occupation.maximum_length": lambda tree: _variable(tree, "occupation").update(
        maximum_length=59
    ),
    "forms.arrival.variables.education.codes.primary": lambda tree: _variable(tree, "education")["codes"].pop(0),
    "forms.arrival.variables.education.codes.not_stated.not_answered": lambda tree: _variable(tree, "education")[
        "codes"
    ][-1].update(not_answered=False),
    "loans.nav": lambda tree: (tree["loans"].clear(), tree["tables"].pop()),
    "loans.nav.variables.aap": lambda tree: tree["loans"][0]["variables"].pop(1),
    "legal_bases.1": lambda tree: tree["legal_bases"][0].update(kind="mandatory"),
    "legal_bases.1.valid_from": lambda tree: tree["legal_bases"][0].update(valid_from="2016-01-01"),
}


@pytest.mark.parametrize("place", CHANGES)
def test_what_rows_are_stored_under_never_changes(place: str) -> None:
    """Each change of, or loss of, something that rows may be stored under is refused, by its place."""
    with pytest.raises(Refused) as refused:
        additions(OLD, _changed(CHANGES[place]))

    assert isinstance(refused.value, NotAddOnly)
    assert refused.value.code == "R_NOT_ADD_ONLY"
    assert refused.value.changes == (place,)


def test_every_change_is_told_at_once() -> None:
    """Two losses are two places."""

    def lose(tree: dict[str, Any]) -> None:
        tree["forms"][0]["variables"].remove(_variable(tree, "health"))
        _variable(tree, "education")["codes"].pop(0)

    with pytest.raises(NotAddOnly) as refused:
        additions(OLD, _changed(lose))

    assert refused.value.changes == (
        "forms.arrival.variables.education.codes.primary",
        "forms.arrival.variables.health",
    )
