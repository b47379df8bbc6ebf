"""Kept definitions of forms: never changed, decided once, and which submissions they hold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, delete, text, update
from sqlalchemy.exc import IntegrityError

from enclave.audit.record import Position
from enclave.control.database import MIGRATIONS, Control, create_control
from enclave.control.drops import FORM_DEFINITION, NETTSKJEMA, drops_of
from enclave.control.form_definitions import (
    Delivered,
    State,
    decide,
    definitions_of,
    find_definition,
    held_back,
    holds,
    in_force,
    is_refused,
    keep,
    kept,
)
from enclave.control.tables import drop, kept_definition
from enclave.errors import Refused
from tests.control.test_control import a_drop

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HASH = "a" * 64


@pytest.fixture
def control(tmp_path: Path) -> Control:
    """A new control database."""
    create_control(tmp_path / "control.db")
    return Control(tmp_path / "control.db")


def day(number: int) -> str:
    """A time on a day."""
    return (NOW + timedelta(days=number)).isoformat()


def delivered(number: int, state: State = "waiting", form: str = "123456", **changes: object) -> Delivered:
    """A definition that was taken as the `number`-th, made and perhaps decided on that day."""
    one = Delivered(
        drop_uuid=f"u{number}",
        registry="kar",
        form=form,
        number=number,
        sha256=HASH,
        compared_with="",
        reason="",
        removed=0,
        recoded=0,
        added=0,
        dated=day(number),
        kept_at=day(number),
        state=state,
        decided_at=day(number) if state in ("approved", "refused") else None,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def test_what_a_form_asked_is_kept_once_and_never_changed_or_removed(control: Control) -> None:
    """The same content under two deliveries is one row, which the database itself refuses to change or remove."""
    with control.changing(Position("log", 1)) as connection:
        keep(connection, delivered(1), "first")
        keep(connection, delivered(2), "first")

    assert kept(control, "kar", HASH) == "first"
    assert kept(control, "kar", "b" * 64) == ""
    assert [one.drop_uuid for one in definitions_of(control, "kar", "123456")] == ["u1", "u2"]
    assert definitions_of(control, "kar", "7") == ()
    for change in (update(kept_definition).values(content="other"), delete(kept_definition)):
        with pytest.raises(IntegrityError, match="never"), control.noting() as connection:
            connection.execute(change)
    assert kept(control, "kar", HASH) == "first"


def test_a_submission_that_was_collected_before_definitions_were_kept_waits_for_any(tmp_path: Path) -> None:
    """An older control database is upgraded; its drops could be of any form, so that any definition holds them."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{tmp_path / 'control.db'}")
    columns = [column.name for column in drop.columns if column.name != "form"]
    row = {name: vars(a_drop("u", sender=NETTSKJEMA, door=NETTSKJEMA))[name] for name in columns}
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        named = ", ".join(f":{name}" for name in columns)
        connection.execute(text(f"INSERT INTO drop_ ({', '.join(columns)}) VALUES ({named})"), row)
        command.upgrade(config, "head")
    engine.dispose()
    collected = drops_of(Control(tmp_path / "control.db"), "kar")

    assert [one.form for one in collected] == [""]
    assert held_back((delivered(1, form="7"),), collected) == {"u"}
    assert held_back((), collected) == frozenset()


def test_a_decision_is_made_once(control: Control) -> None:
    """Of two decisions the second is refused; what was refused may still be approved, but not the other way."""
    with control.changing(Position("log", 1)) as connection:
        keep(connection, delivered(1), "first")
    one = find_definition(control, "kar", "u1")
    with control.changing(Position("log", 2)) as connection:
        decide(connection, one, "refused", by="kari", at=NOW)
    for state, position in (("refused", 3), ("waiting", 4)):
        with pytest.raises(Refused, match="R_DEFINITION_UNKNOWN"), control.changing(Position("log", position)) as it:
            decide(it, one, state, by="kari", at=NOW)  # type: ignore[arg-type]
    with control.changing(Position("log", 5)) as connection:
        decide(connection, one, "approved", by="ola", at=NOW)

    decided = find_definition(control, "kar", "u1")
    assert (decided.state, decided.decided_by, decided.decided_at) == ("approved", "ola", NOW.isoformat())
    with pytest.raises(Refused, match="R_DEFINITION_UNKNOWN"):
        find_definition(control, "kvarus", "u1")


def test_the_newest_that_is_not_held_is_in_force() -> None:
    """By when it was made, whatever the order of taking; what waits, was refused or cannot be read is not."""
    older, newer = delivered(2, "approved", dated=day(1)), delivered(1, "noted", dated=day(5))

    assert in_force(()) is None
    assert in_force((delivered(1), delivered(2, "refused"), delivered(3, "approved", sha256=""))) is None
    assert in_force((newer, older, delivered(9))) is newer


def test_one_undecided_definition_holds_whatever_came_after_it() -> None:
    """A form that was changed and changed back holds: what was answered in between could mean something else."""
    assert holds((delivered(1, "approved"), delivered(2), delivered(3, "noted")), day(4))
    assert not holds((delivered(1, "approved"), delivered(2, "approved"), delivered(3, "noted")), day(4))
    assert not holds((), day(4))


def test_a_refused_definition_rejects_what_was_there_and_holds_what_comes() -> None:
    """Until another definition was taken."""
    form = (delivered(1, "approved"), delivered(2, "refused"))

    assert (is_refused(form, day(1)), holds(form, day(1))) == (True, False)
    assert (is_refused(form, day(3)), holds(form, day(3))) == (False, True)
    assert not holds((*form, delivered(4, "noted")), day(3))


def test_only_submissions_of_the_form_are_held() -> None:
    """Other forms, other doors and other senders go on; one whose form is not written down could be of any."""
    uuids = {"same": "123456", "other": "7", "unknown": ""}
    drops = [a_drop(name, sender=NETTSKJEMA, door=NETTSKJEMA, form=form) for name, form in uuids.items()]
    drops += [a_drop("signed"), a_drop("definition", door=FORM_DEFINITION, form="123456")]

    assert held_back((delivered(1),), drops) == {"same", "unknown"}
    assert held_back((delivered(1, "approved"),), drops) == frozenset()
