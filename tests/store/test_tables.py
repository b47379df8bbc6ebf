"""Applying a definition only adds, and keeps what was applied."""

import pytest
from sqlalchemy import inspect

from enclave.errors import Halt, Refused
from enclave.model.purpose import Purpose
from enclave.registry.definition import Form, Kind
from enclave.store.read import RegistryReader
from enclave.store.schema import has_act
from enclave.store.tables import applied_definitions, apply
from enclave.store.write import RegistryWriter
from tests.store.registry import (
    ARRIVAL,
    FOLLOW_UP,
    PLAIN,
    UNIT,
    Database,
    definition,
    position,
    records,
    send,
    variable,
)

EXPECTED_TYPES = {
    "postgres": {
        "arrival_date": "DATE",
        "sex": "TEXT",
        "score": "BIGINT",
        "weight": "DOUBLE PRECISION",
        "employed": "BOOLEAN",
        "benefits_aap": "BOOLEAN",
        "occupation": "TEXT",
    },
    "sqlcipher": {
        "arrival_date": "TEXT",
        "sex": "TEXT",
        "score": "INTEGER",
        "weight": "REAL",
        "employed": "INTEGER",
        "benefits_aap": "INTEGER",
        "occupation": "TEXT",
    },
}


def test_each_kind_has_its_column_type(database: Database) -> None:
    """The column types are those that the expression compiler counts on."""
    database.writer()
    found = {
        column["name"]: str(column["type"]).split(" COLLATE")[0]
        for column in inspect(database.engine).get_columns("form_arrival")
    }

    assert found.items() >= EXPECTED_TYPES[database.technology].items()


def test_a_form_about_institutions_has_no_pseudonym(database: Database) -> None:
    """Where nobody is described there is no column for a person."""
    database.writer()
    columns = {column["name"] for column in inspect(database.engine).get_columns("form_unit")}

    assert "_pseudonym" not in columns
    assert "_episode" in columns


def test_applying_again_only_records_the_act(database: Database) -> None:
    """The same definition twice is one definition, and both acts are evidence."""
    first, second = position(), position()
    apply(database.engine, PLAIN, "a" * 64, b"source", first)
    apply(database.engine, PLAIN, "a" * 64, b"source", second)

    assert [
        (applied.sha256, applied.source, applied.state, applied.position)
        for applied in applied_definitions(database.engine)
    ] == [("a" * 64, b"source", 0, first)]
    assert has_act(database.engine, first)
    assert has_act(database.engine, second)
    assert not has_act(database.engine, position())


def test_new_forms_and_variables_are_added_to_rows_that_exist(database: Database) -> None:
    """Rows from before a variable existed have it missing; new rows hold it."""
    small = definition(FOLLOW_UP)
    send(database.writer(small), "north", FOLLOW_UP, {"course": "c1", "person": "p1", "score": 4})
    wider = FOLLOW_UP.model_copy(
        update={"variables": (*FOLLOW_UP.variables, variable("note", Kind.TEXT), variable("paid", Kind.MULTI, "aap"))}
    )
    larger = definition(wider, UNIT)
    send(
        database.writer(larger),
        "north",
        wider,
        {"course": "c2", "person": "p2", "score": 5, "note": "ø", "paid_aap": True},
    )
    frame = database.reader(larger).read("follow_up", state=None, purpose=Purpose.NATIONAL)

    assert frame.select("score", "note", "paid_aap").rows() == [(4, None, None), (5, "ø", True)]
    assert database.reader(larger).read("unit", state=None, purpose=Purpose.NATIONAL).height == 0
    assert len(applied_definitions(database.engine)) == 2


def test_a_variable_added_later_does_not_make_an_old_row_new(database: Database) -> None:
    """A row sent again without the new variable is still the row that is stored."""
    send(database.writer(definition(FOLLOW_UP)), "north", FOLLOW_UP, {"course": "c1", "person": "p1", "score": 4})
    wider = FOLLOW_UP.model_copy(update={"variables": (*FOLLOW_UP.variables, variable("note", Kind.TEXT))})
    plan = send(database.writer(definition(wider)), "north", wider, {"course": "c1", "person": "p1", "score": 4})

    assert (plan.counts.unchanged, plan.counts.accepted) == (1, 0)


@pytest.mark.parametrize(
    "changed",
    [
        FOLLOW_UP.model_copy(update={"variables": (FOLLOW_UP.variables[0], variable("score", Kind.TEXT))}),
        FOLLOW_UP.model_copy(update={"subject": "institution"}),
    ],
)
def test_a_changed_type_or_subject_is_refused_and_changes_nothing(database: Database, changed: Form) -> None:
    """Types never change; the refused act leaves no evidence, no column and no definition."""
    database.writer(definition(FOLLOW_UP))
    refused = position()

    with pytest.raises(Refused) as caught:
        apply(database.engine, definition(UNIT, changed), "b" * 64, b"", refused)
    assert caught.value.code == "R_COLUMN_KIND"
    assert not has_act(database.engine, refused)
    assert not inspect(database.engine).has_table("form_unit")
    assert len(applied_definitions(database.engine)) == 1


def test_a_definition_that_was_not_applied_halts_readers_and_writers(database: Database) -> None:
    """Neither reading nor writing guesses at tables that are not there."""
    for opened in (RegistryWriter, RegistryReader):
        with pytest.raises(Halt, match="H_NOT_APPLIED"):
            opened(database.engine, PLAIN)
    database.writer(definition(FOLLOW_UP))
    for opened in (RegistryWriter, RegistryReader):
        with pytest.raises(Halt, match="H_NOT_APPLIED"):
            opened(database.engine, definition(FOLLOW_UP, ARRIVAL))
    assert applied_definitions(database.open_reader())


def test_an_empty_database_has_no_act_and_no_definition(database: Database) -> None:
    """Evidence asked of a database without tables is not found; it is not an error."""
    assert not has_act(database.engine, position())
    assert applied_definitions(database.engine) == ()


def test_a_frame_with_other_columns_is_a_mistake_of_ours(database: Database) -> None:
    """Records that do not fit the definition never reach the database."""
    writer = database.writer()
    wrong = records(FOLLOW_UP, "north", [{"course": "c", "person": "p"}])

    with pytest.raises(TypeError):
        writer.plan([type(wrong)(wrong.drop_uuid, wrong.sender, "arrival", wrong.frame)])
