"""The control database: its schema, its states, and the evidence that it holds."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from enclave.audit.record import Position
from enclave.control.agreements import Agreement, agreement_on, agreements_of, enter_agreement, language_of
from enclave.control.database import MIGRATIONS, Control, create_control
from enclave.control.drops import Drop, add_drop, drops_of, expire_drop, find_drop, settle_drop
from enclave.control.institutions import Institution, add_institution, find_institution
from enclave.control.releases import cancel_unsealed, decide, propose, released_tables, releases_of
from enclave.control.runs import Run, apply_definition, begin_run, current_definition, end_run, last_run
from enclave.control.sender_keys import keys_of
from enclave.control.tables import metadata
from enclave.errors import Halt, Refused
from enclave.flow import DropState, ReleaseState
from enclave.model.draft import Kind, NamedDraft

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def control(tmp_path: Path) -> Control:
    """A new control database."""
    create_control(tmp_path / "control.db")
    return Control(tmp_path / "control.db")


def at(seq: int) -> Position:
    """A position in some log."""
    return Position("log", seq)


def a_drop(uuid: str, *, sender: str = "klinikk", seq: int | None = None, **changes: object) -> Drop:
    """A collected drop."""
    facts = {
        "drop_uuid": uuid,
        "registry": "kar",
        "sender": sender,
        "state": DropState.COLLECTED,
        "loan_id": None,
        "content_digest": uuid,
        "size": 1,
        "stored_sha256": "",
        "reason": "",
        "attempts": 0,
        "airlock_copy": True,
        "stated_drop_id": None,
        "stated_seq": seq,
        "stated_at": None,
        "collected_at": NOW.isoformat(),
        "settled_at": None,
        **changes,
    }
    return Drop(**facts)  # type: ignore[arg-type]


def test_the_migrations_make_the_tables_that_the_code_reads(control: Control) -> None:
    """What Alembic made and what tables.py says are the same."""
    with control.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_of_another_version_is_refused(control: Control, tmp_path: Path) -> None:
    """A schema that this program does not know stops it."""
    with control.noting() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(Halt, match="H_CONTROL_VERSION"):
        Control(tmp_path / "control.db")
    with pytest.raises(Halt, match="H_CONTROL_MISSING"):
        Control(tmp_path / "other.db")
    with pytest.raises(Halt, match="H_EXISTS"):
        create_control(tmp_path / "control.db")


def test_a_change_is_found_by_its_intent_or_did_not_happen(control: Control) -> None:
    """The intent and the change are one transaction: an error in the middle leaves neither."""
    with control.changing(at(1)) as connection:
        add_drop(connection, a_drop("one"))
    with pytest.raises(IntegrityError), control.changing(at(2)) as connection:
        add_drop(connection, a_drop("two"))
        add_drop(connection, a_drop("two"))

    assert (control.has_act(at(1)), control.has_act(at(2))) == (True, False)
    assert [drop.drop_uuid for drop in drops_of(control, "kar")] == ["one"]
    assert control.newest_act("log") == at(1)
    assert control.newest_act("another log") is None


def test_only_the_steps_of_flow_are_taken(control: Control) -> None:
    """A drop is not settled twice, does not expire before it is settled, and an unknown drop is not moved."""
    with control.changing(at(1)) as connection:
        add_drop(connection, a_drop("one"))
    with pytest.raises(Halt, match="H_STATE"), control.changing(at(2)) as connection:
        expire_drop(connection, "one")
    with control.changing(at(3)) as connection:
        settle_drop(connection, "one", DropState.ADMITTED, sender="klinikk", reason="", at=NOW)
    for state in (DropState.ADMITTED, DropState.REJECTED):
        with pytest.raises(Halt, match="H_STATE"), control.changing(at(4)) as connection:
            settle_drop(connection, "one", state, sender="klinikk", reason="", at=NOW)
    with pytest.raises(Halt, match="H_STATE"), control.changing(at(5)) as connection:
        expire_drop(connection, "nobody")

    found = find_drop(control, "one")
    assert found is not None
    assert found.state is DropState.ADMITTED


def test_drops_are_settled_in_an_order_that_does_not_depend_on_chance(control: Control) -> None:
    """By sender, then as the sender numbered them, then by content; never by our random id."""
    with control.changing(at(1)) as connection:
        for uuid, sender, seq in (("9", "b", 1), ("1", "b", 2), ("5", "a", None), ("7", "a", 1)):
            add_drop(connection, a_drop(uuid, sender=sender, seq=seq))

    assert [drop.drop_uuid for drop in drops_of(control, "kar")] == ["7", "5", "9", "1"]


def a_draft(draft_id: str, kind: Kind = Kind.RELEASABLE_TABLE) -> NamedDraft:
    """A named draft of one table and period."""
    return NamedDraft(draft_id, kind, "klinikk", "0" * 64, 3, (("work_ability", "2024-01-01/2024-12-31"),))


def test_a_draft_is_entered_once_and_answers_need_no_person(control: Control) -> None:
    """Proposing again changes nothing; a receipt is approved by its policy, a table waits."""
    for seq in (1, 2):
        with control.changing(at(seq)) as connection:
            propose(connection, "kar", a_draft("t"), subject="", needs_person=True, at=NOW)
            propose(connection, "kar", a_draft("r", Kind.RECEIPT), subject="", needs_person=False, at=NOW)

    states = {one.release_id: (one.state, one.decided_by) for one in releases_of(control, "kar")}
    assert states == {"t": (ReleaseState.PROPOSED, None), "r": (ReleaseState.APPROVED, "policy")}


def test_a_withdrawal_cancels_what_is_not_sealed_and_frees_its_period(control: Control) -> None:
    """Cancelled and withheld tables do not count as released; answers to senders stand."""
    with control.changing(at(1)) as connection:
        propose(connection, "kar", a_draft("t"), subject="", needs_person=True, at=NOW)
        propose(connection, "kar", a_draft("r", Kind.RECEIPT), subject="", needs_person=False, at=NOW)
    assert len(released_tables(control, "kar")) == 1 + 1

    with control.changing(at(2)) as connection:
        assert cancel_unsealed(connection, "kar", [Kind.RELEASABLE_TABLE], "withdrawal") == 1
    with pytest.raises(Halt, match="H_STATE"), control.changing(at(3)) as connection:
        decide(connection, "t", ReleaseState.APPROVED, by="tester", at=NOW)

    assert {one.release_id: one.state for one in releases_of(control, "kar")}["r"] is ReleaseState.APPROVED


def test_an_institution_is_added_once(control: Control) -> None:
    """A second one of the same id is refused; the first stays."""
    added = Institution("kar", "klinikk", "Klinikk", "sender", "ssh-ed25519 AAAA", "klinikk-1", NOW.isoformat())
    with control.changing(at(1)) as connection:
        add_institution(connection, added)
    with pytest.raises(Refused, match="R_INSTITUTION_EXISTS"), control.changing(at(2)) as connection:
        add_institution(connection, added)

    assert find_institution(control, "kar", "klinikk") == added
    with pytest.raises(Refused, match="R_INSTITUTION_UNKNOWN"):
        find_institution(control, "kar", "other")


def test_one_definition_is_in_force(control: Control) -> None:
    """Applying another, and the first again, leaves exactly one current."""
    for seq, sha256 in enumerate(("a", "b", "a")):
        with control.changing(at(seq)) as connection:
            apply_definition(connection, "kar", sha256, NOW)

    assert current_definition(control, "kar") == "a"
    assert current_definition(control, "other") is None


def test_a_run_that_was_killed_is_no_last_run(control: Control) -> None:
    """Only a run that came to an end counts when what was missed is looked for."""
    begin_run(control, Run("1", "collect", "kar", "2026-01-01T00:00:00+00:00", None, None, ""))
    end_run(control, "1", outcome="ok", reason="", at=NOW)
    begin_run(control, Run("2", "collect", "kar", "2026-01-02T00:00:00+00:00", None, None, ""))

    last = last_run(control, "kar", "collect")
    assert last is not None
    assert last.run_id == "1"


def test_a_database_of_the_version_before_goes_on_as_it_was(tmp_path: Path) -> None:
    """Institutions get an agreement and keys without dates; drops count as signed, packages as not fetched."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{tmp_path / 'control.db'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.execute(
            text(
                "INSERT INTO institution (registry, institution_id, name, role, signing_key, inbound_key_id, added_at)"
                " VALUES ('kar', 'klinikk', 'Klinikk', 'sender', 'ssh-ed25519 AAAA', 'klinikk-1', '2025-01-01')"
            )
        )
        command.upgrade(config, "head")
    engine.dispose()

    migrated = Control(tmp_path / "control.db")

    agreed = agreement_on(migrated, "kar", "klinikk", NOW.date())
    assert agreed == Agreement("kar", "klinikk", None, None, False, "nb", "2025-01-01")
    assert {(one.kind, one.key, one.holds_at(NOW)) for one in keys_of(migrated, "kar")} == {
        ("signing", "ssh-ed25519 AAAA", True),
        ("passphrase", "klinikk-1", True),
    }


def test_an_agreement_replaces_one_of_the_same_first_day_and_one_without_days(control: Control) -> None:
    """What was agreed on until further notice ends where days are given; two that follow each other both stand."""
    first = Agreement("kar", "klinikk", None, None, False, "nb", NOW.isoformat())
    this_year = replace(first, valid_from=date(2026, 1, 1), valid_to=date(2026, 12, 31))
    shorter = replace(this_year, valid_to=date(2026, 6, 30), language="en")
    next_year = replace(first, valid_from=date(2027, 1, 1), valid_to=date(2027, 12, 31))
    with control.changing(at(1)) as connection:
        for entered in (first, this_year, shorter, next_year):
            enter_agreement(connection, entered)

    assert agreements_of(control, "kar") == (shorter, next_year)
    assert agreement_on(control, "kar", "klinikk", date(2026, 6, 30)) == shorter
    assert agreement_on(control, "kar", "klinikk", date(2026, 7, 1)) is None
    assert language_of(control, "kar", "klinikk") == "nb"
    assert language_of(control, "kar", "nobody") == "nb"
