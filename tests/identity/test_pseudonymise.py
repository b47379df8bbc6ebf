"""How records lose their identities."""

from collections.abc import Sequence
from datetime import date

import polars as pl
import pytest

from enclave.errors import Halt
from enclave.identity.pseudonymise import judge, pseudonymise
from enclave.identity.resolve import Resolver
from enclave.identity.rules import Mode
from enclave.identity.vault import Assigned, Vault
from enclave.identity.vault_reader import VaultReader
from enclave.model.fault import Fault
from enclave.model.identified import IdentifiedRecords
from enclave.registry.definition import Form, Kind, Label, Variable
from tests.identity.conftest import at
from tests.identity.numbers import number, synthetic, with_control

TODAY = date(2026, 6, 1)
TEXT = Label(nb="x", en="x")
ON = Variable(name="arrival_date", kind=Kind.DATE, label=TEXT)
SCORE = Variable(name="score", kind=Kind.INTEGER, label=TEXT)


def form(form_id: str = "arrival", minimum_age: int | None = 18, person_id: str | None = "person_id") -> Form:
    """A form with a date and one number."""
    return Form(
        id=form_id, label=TEXT, time_point=form_id, person_id=person_id, dated_by="arrival_date",
        minimum_age=minimum_age, variables=(ON, SCORE), subject="person" if person_id else "institution",
    )  # fmt: skip


FORMS = {"arrival": form(), "later": form("later", None), "house": form("house", None, None)}


def records(
    rows: Sequence[tuple[str, str, date | None]], form_id: str = "arrival", sender: str = "alpha"
) -> IdentifiedRecords:
    """Records of (id, reference, date); the header is line 1."""
    frame = pl.DataFrame(
        {
            "_row": pl.Series(range(2, len(rows) + 2), dtype=pl.Int64),
            "_person_id": pl.Series([row[0] for row in rows], dtype=pl.String),
            "_reference": pl.Series([row[1] for row in rows], dtype=pl.String),
            "arrival_date": pl.Series([row[2] for row in rows], dtype=pl.Date),
            "score": pl.Series(range(len(rows)), dtype=pl.Int64),
        }
    )
    if FORMS[form_id].person_id is None:
        frame = frame.drop("_person_id")
    return IdentifiedRecords("0e2f6a5e-6f0e-4a4c-9d5e-0c5b7a3b1f10", sender, form_id, frame)


ANNA, BERIT = synthetic(date(1980, 1, 1)), synthetic(date(1990, 2, 2))


def test_records_come_out_with_stand_ins_and_without_identities(vault: Vault) -> None:
    """Same person same pseudonym, same course same episode, across the forms of a drop; answers and rows unchanged."""
    day = date(2024, 3, 1)
    arrival = records([(BERIT, "k2", day), (ANNA, "k1", day), (ANNA, "k3", day)])
    result = pseudonymise(
        [arrival, records([(ANNA, "k1", day)], "later")], FORMS, vault, at(1), mode=Mode.TEST, today=TODAY
    )
    first, later = (each.frame for each in result.records)
    assert first.columns == ["_row", "_pseudonym", "_episode", "arrival_date", "score"]
    assert first["_row"].to_list() == [2, 3, 4]
    assert first["score"].to_list() == [0, 1, 2]
    assert first["_pseudonym"][1] == first["_pseudonym"][2] == later["_pseudonym"][0] != first["_pseudonym"][0]
    assert first["_episode"].n_unique() == 3
    assert first["_episode"][1] == later["_episode"][0]
    assert result.faults == ()
    assert (result.new_people, result.new_episodes) == (2, 3)


def test_a_form_about_an_institution_has_no_pseudonym(vault: Vault) -> None:
    """Such a record has an episode only, and nobody is named."""
    result = pseudonymise(
        [records([("", "h1", date(2024, 3, 1))], "house")], FORMS, vault, at(1), mode=Mode.TEST, today=TODAY
    )
    assert result.records[0].frame.columns == ["_row", "_episode", "arrival_date", "score"]
    assert result.new_people == 0


def test_a_form_known_by_its_key_names_nobody(vault: Vault) -> None:
    """A form about an institution needs no word on persons to hold none; each key is one episode of its sender."""
    yearly = Form(
        id="yearly", label=TEXT, time_point="year", subject="institution", key=("score",),
        dated_by="arrival_date", variables=(ON, SCORE),
    )  # fmt: skip
    frame = records([("", "yearly:2023", None), ("", "yearly:2024", None)]).frame.drop("_person_id")
    drop = IdentifiedRecords("0e2f6a5e-6f0e-4a4c-9d5e-0c5b7a3b1f10", "alpha", "yearly", frame)
    result = pseudonymise([drop], {"yearly": yearly}, vault, at(1), mode=Mode.PRODUCTION, today=TODAY)
    again = pseudonymise([drop], {"yearly": yearly}, vault, at(2), mode=Mode.PRODUCTION, today=TODAY)

    assert result.records[0].frame.columns == ["_row", "_episode", "arrival_date", "score"]
    assert (result.new_people, result.new_episodes, result.faults) == (0, 2, ())
    assert again.records[0].frame["_episode"].to_list() == result.records[0].frame["_episode"].to_list()


@pytest.mark.parametrize(
    ("text", "on", "rule"),
    [
        (synthetic(date(2006, 3, 1)), date(2024, 3, 1), None),
        (synthetic(date(2006, 3, 2)), date(2024, 3, 1), "underage"),
        (synthetic(date(2004, 2, 29)), date(2022, 2, 28), "underage"),
        (synthetic(date(2004, 2, 29)), date(2022, 3, 1), None),
        (synthetic(date(2024, 3, 2)), date(2024, 3, 1), "id_born_later"),
        (number(date(1980, 1, 1), month_added=80, remainder=2), date(2024, 3, 1), "id_unusable"),
        (synthetic(date(1980, 1, 1)), None, "age_unknown"),
        (number(date(1980, 1, 1)), date(2024, 3, 1), "id_real_in_test"),
        (synthetic(date(1980, 1, 1))[:-1] + "x", date(2024, 3, 1), "id_malformed"),
    ],
)
def test_a_number_or_an_age_that_does_not_fit_refuses_its_row(text: str, on: date | None, rule: str | None) -> None:
    """Each rule has a row that breaks it and one that just does not; eighteen is counted on the form's date."""
    judged = judge([records([(text, "k1", on), (ANNA, "k2", date(2024, 1, 1))])], FORMS, Mode.TEST, TODAY)
    assert judged.faults == ((Fault("arrival", 2, "person_id", rule),) if rule else ())
    assert judged.records[0].frame["_row"].to_list() == ([3] if rule else [2, 3])
    assert judged.people["id"].to_list() == ([ANNA] if rule else [text, ANNA])


def test_a_form_without_an_age_limit_takes_numbers_without_a_birth_date() -> None:
    """An FH-number and a missing date are no fault where no age is asked for; a birth after the form still is."""
    rows = [(with_control("812345678") or "", "k1", None), (number(date(2020, 5, 5)), "k2", date(2019, 1, 1))]
    judged = judge([records(rows, "later")], FORMS, Mode.PRODUCTION, TODAY)
    assert [(fault.row, fault.rule) for fault in judged.faults] == [(3, "id_born_later")]
    limited = judge([records([(rows[0][0], "k1", date(2024, 1, 1))])], FORMS, Mode.PRODUCTION, TODAY)
    assert [fault.rule for fault in limited.faults] == ["id_unusable"]


def test_all_faults_of_all_forms_are_gathered_in_order() -> None:
    """Every wrong row is told, sorted by form and row, and no value is in any of it."""
    bad = [("12345", "k1", date(2024, 1, 1)), (ANNA, "k2", date(2024, 1, 1)), ("54321", "k3", date(2024, 1, 1))]
    judged = judge([records(bad, "later"), records(bad)], FORMS, Mode.TEST, TODAY)
    assert [(fault.form, fault.row) for fault in judged.faults] == [
        ("arrival", 2), ("arrival", 4), ("later", 2), ("later", 4),
    ]  # fmt: skip
    assert "12345" not in repr(judged) + repr(judged.records) + repr(judged.faults)


def test_who_is_refused_is_not_named(vault: Vault, reader: VaultReader) -> None:
    """The vault learns neither the number nor the reference of a row that was refused."""
    young = synthetic(date(2015, 1, 1))
    drop = [records([(young, "young", date(2024, 1, 1)), (ANNA, "k1", date(2024, 1, 1))])]
    result = pseudonymise(drop, FORMS, vault, at(1), mode=Mode.TEST, today=TODAY)
    assert reader.find([young, ANNA])["id"].to_list() == [ANNA]
    assert reader.find_episodes([("alpha", "young")]).is_empty()
    assert result.records[0].frame.height == 1


def test_a_drop_of_which_nothing_remains_still_leaves_its_act(vault: Vault) -> None:
    """The evidence of the act is there though nobody was named."""
    result = pseudonymise([records([("1", "k", date(2024, 1, 1))])], FORMS, vault, at(9), mode=Mode.TEST, today=TODAY)
    assert vault.has_act(at(9))
    assert result.records[0].frame.is_empty()
    assert pseudonymise([], FORMS, vault, at(10), mode=Mode.TEST, today=TODAY).records == ()


def test_a_faults_answer_does_not_depend_on_who_is_known(vault: Vault) -> None:
    """A sender gets the same faults whether or not another institution has sent the person (law 11)."""
    drop = [records([(ANNA, "k1", date(2024, 1, 1)), ("1", "k2", date(2024, 1, 1))])]
    before = pseudonymise(drop, FORMS, vault, at(1), mode=Mode.TEST, today=TODAY)
    other = [records([(ANNA, "k1", date(2024, 1, 1)), ("1", "k2", date(2024, 1, 1))], sender="beta")]
    after = pseudonymise(other, FORMS, vault, at(2), mode=Mode.TEST, today=TODAY)
    assert before.faults == after.faults
    assert before.records[0].frame["_pseudonym"][0] == after.records[0].frame["_pseudonym"][0]
    assert before.records[0].frame["_episode"][0] != after.records[0].frame["_episode"][0]


def test_a_course_that_two_people_claim_is_held_whole() -> None:
    """Numbers of other days or sexes in one course are faults at each of its rows, in every form; others are taken.

    A D-number and the national number that followed it tell the same day and sex: whether they are one person is not
    for this rule.
    """
    day = date(2024, 3, 1)
    foreign = next(
        each
        for each in (number(date(1980, 1, 1), n, month_added=80, day_added=40) for n in range(9))
        if int(each[8]) % 2 == int(ANNA[8]) % 2
    )
    drop = [
        records([(ANNA, "k", day), (BERIT, "other", day), (ANNA, "same", day), ("12", "k", day)]),
        records([(BERIT, "k", day), (foreign, "same", day)], "later"),
    ]
    judged = judge(drop, FORMS, Mode.TEST, TODAY)
    assert judged.faults == (
        Fault("arrival", 2, "person_id", "id_conflict"),
        Fault("arrival", 5, "person_id", "id_malformed"),
        Fault("later", 2, "person_id", "id_conflict"),
    )
    assert [each.frame["_row"].to_list() for each in judged.records] == [[3, 4], [3]]


def test_a_vault_that_forgets_somebody_halts(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that nobody named goes nowhere."""
    whole = Vault.assign

    def forgetful(*arguments: object, **named: object) -> Assigned:
        found = whole(*arguments, **named)  # type: ignore[arg-type]
        return Assigned(found.people.head(0), found.episodes, 0, 0)

    monkeypatch.setattr(Vault, "assign", forgetful)
    with pytest.raises(Halt, match="H_VAULT_INCOMPLETE"):
        pseudonymise([records([(ANNA, "k", date(2024, 1, 1))])], FORMS, vault, at(1), mode=Mode.TEST, today=TODAY)


def test_a_lender_s_numbers_are_judged_and_found(vault: Vault, reader: VaultReader) -> None:
    """A resolver tells the invalid, the unknown and the known apart, once each."""
    name = vault.assign([ANNA], ["syn_tenor"], [], at(1)).people["pseudonym"][0]
    found = Resolver(reader, Mode.TEST, TODAY).resolve(pl.Series(["1", ANNA, BERIT, ANNA]))
    assert found.rows() == [("1", False, None), (ANNA, True, name), (BERIT, True, None)]
    assert Resolver(reader, Mode.TEST, TODAY).resolve(pl.Series([], dtype=pl.String)).is_empty()
