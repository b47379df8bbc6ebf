"""How borrowed rows meet the registry's people."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from enclave.crypto.secret import Secret
from enclave.errors import Rejected
from enclave.identity.resolve import Resolver
from enclave.identity.rules import Mode
from enclave.identity.vault import Vault, create
from enclave.identity.vault_keys import VaultKeys
from enclave.linkage.link import Linked, Registered, link
from enclave.linkage.quality import characterise
from enclave.model.identified import LoanRows
from enclave.model.loan import Characteristic
from enclave.registry.definition import Identifier, Loan
from enclave.store.engines import sqlcipher_engine
from tests.identity.conftest import at
from tests.identity.numbers import number, synthetic
from tests.linkage.loans import FORM, NAMES

IDS = [synthetic(date(1980, 1, 1), series) for series in range(8)]
NAMED = {each: bytes([place]) * 16 for place, each in enumerate(IDS)}


class Known:
    """The identities port on a dictionary."""

    def __init__(self, names: dict[str, bytes]) -> None:
        self._names = names

    def resolve(self, ids: pl.Series) -> pl.DataFrame:
        """As `identity.resolve` answers."""
        distinct = ids.unique(maintain_order=True).alias("id")
        valid = pl.Series("valid", [len(each or "") == 11 for each in distinct], dtype=pl.Boolean)
        names = pl.Series("pseudonym", [self._names.get(each) for each in distinct], dtype=pl.Binary)
        return pl.DataFrame([distinct, valid, names])


def loan(*rows: tuple[str, str, bool | None]) -> LoanRows:
    """Borrowed rows of (id, month, sick pay)."""
    schema = {"_person_id": pl.String, "month": pl.String, **dict.fromkeys(NAMES, pl.Boolean)}
    frame = pl.DataFrame([(*row, False, None) for row in rows], schema=schema, orient="row")
    return LoanRows("nav-2026", frame, 0)


def people(*pairs: tuple[str, str]) -> pl.DataFrame:
    """The registry's people of (id, institution)."""
    rows = [(NAMED[each], sender) for each, sender in pairs]
    return pl.DataFrame(rows, schema={"_pseudonym": pl.Binary, "_sender": pl.String}, orient="row")


def registered(everyone: pl.DataFrame, identifiers: pl.DataFrame | None = None) -> Registered:
    """The registry's side, of which nothing is known but what is given."""
    once = everyone.select("_pseudonym").unique(maintain_order=True)
    known = once.rename({"_pseudonym": "pseudonym"}).with_columns(
        kind=pl.lit("fnr"), birth_date=pl.lit(date(1980, 1, 1)), sex=pl.lit(None, dtype=pl.String)
    )
    days = once.with_columns(day=pl.lit(date(2024, 5, 1)))
    return Registered(everyone, characterise(once, known, days), once if identifiers is None else identifiers)


def linked_with(rows: LoanRows, names: dict[str, bytes], everyone: pl.DataFrame, form: Loan = FORM) -> Linked:
    """Rows linked by number alone."""
    return link(rows, Known(names), registered(everyone), form)


def test_linked_rows_carry_pseudonyms_in_the_registry_s_order() -> None:
    """Rows come ordered by the registry's people and by month, without ids, and only of the registry's people."""
    rows = loan(
        (IDS[1], "2024-02", True), (IDS[0], "2024-01", None), (IDS[1], "2024-01", False), (IDS[5], "2024-01", True)
    )
    linked = linked_with(rows, NAMED, people((IDS[1], "alpha"), (IDS[0], "beta"), (IDS[1], "alpha")))
    assert linked.frame.columns == ["_pseudonym", "month", *NAMES]
    assert linked.frame.select("_pseudonym", "month", "sick_pay").rows() == [
        (NAMED[IDS[1]], "2024-01", False),
        (NAMED[IDS[1]], "2024-02", True),
        (NAMED[IDS[0]], "2024-01", None),
    ]


def test_the_counts_add_up() -> None:
    """Every number in the loan is invalid, unknown or linked; institutions count their own people."""
    rows = loan(
        (IDS[0], "2024-01", True), (IDS[0], "2024-01", True), (IDS[1], "2024-01", True), (IDS[6], "2024-01", True),
        (synthetic(date(1999, 9, 9)), "2024-01", True), ("123", "2024-01", True), ("", "2024-01", True),
    )  # fmt: skip
    mine = people((IDS[0], "alpha"), (IDS[0], "beta"), (IDS[1], "beta"), (IDS[2], "beta"))
    linkage = linked_with(rows, NAMED, mine).linkage
    counted = (linkage.loan_rows, linkage.loan_persons, linkage.registry_persons, linkage.linked_persons)
    assert counted == (7, 5, 3, 2)
    assert (linkage.invalid_ids, linkage.unknown_ids, linkage.conflicting_ids) == (1, 2, 0)
    assert (linkage.rows_without_id, linkage.duplicate_rows, linkage.dropped_columns) == (1, 1, 0)
    assert linkage.passes == (("national_number", 2),)
    by_institution = [one for one in linkage.strata if one.characteristic is Characteristic.INSTITUTION]
    assert [(one.group, one.persons, one.linked) for one in by_institution] == [("alpha", 1, 1), ("beta", 3, 2)]
    assert linkage.loan_persons == linkage.invalid_ids + linkage.unknown_ids + linkage.linked_persons


def test_a_person_with_two_numbers_is_one_person() -> None:
    """A D-number and the number that followed it give one row for a month: a benefit under either counts."""
    rows = loan((IDS[0], "2024-01", False), (IDS[1], "2024-01", True), (IDS[1], "2024-02", None))
    mine = pl.DataFrame({"_pseudonym": [b"p" * 16], "_sender": ["alpha"]})
    linked = linked_with(rows, {IDS[0]: b"p" * 16, IDS[1]: b"p" * 16}, mine)
    assert linked.frame.select("month", "sick_pay").rows() == [("2024-01", True), ("2024-02", None)]
    assert linked.linkage.linked_persons == 1


def test_rows_that_contradict_each_other_reject_the_file() -> None:
    """The same number and month with different answers is not decided by us."""
    with pytest.raises(Rejected, match="E_LOAN_CONFLICT"):
        linked_with(loan((IDS[0], "2024-01", True), (IDS[0], "2024-01", False)), NAMED, people((IDS[0], "a")))


def test_an_empty_loan_or_an_empty_registry_links_nobody() -> None:
    """No rows, or nobody to link them with: nothing is linked, and the counts say so."""
    nothing = linked_with(loan(), NAMED, people((IDS[0], "alpha")))
    assert (nothing.frame.height, nothing.linkage.linked_persons, nothing.linkage.loan_rows) == (0, 0, 0)
    linked = linked_with(loan((IDS[0], "2024-01", True)), NAMED, people())
    assert linked.frame.is_empty()
    assert linked.linkage.unknown_ids == 1
    assert linked.linkage.strata == ()


def test_twice_the_rows_is_the_same_loan() -> None:
    """A lender that sends every row twice changes a count, and nothing else."""
    rows = [(IDS[place], "2024-01", place % 2 == 0) for place in range(4)]
    mine = people(*((IDS[place], "alpha") for place in range(3)))
    once, twice = linked_with(loan(*rows), NAMED, mine), linked_with(loan(*rows, *rows), NAMED, mine)
    assert twice.frame.equals(once.frame)
    assert replace(twice.linkage, loan_rows=4, duplicate_rows=0) == once.linkage
    assert (twice.linkage.loan_rows, twice.linkage.duplicate_rows) == (8, 4)


def test_other_people_than_were_asked_about_are_counted_and_dropped() -> None:
    """Strangers, and people whom only the vault knows, leave a count and no row: it does not show which they were."""
    rows = loan(*((each, "2024-01", True) for each in IDS))
    linked = linked_with(rows, NAMED, people((IDS[0], "alpha")))
    assert linked.frame["_pseudonym"].to_list() == [NAMED[IDS[0]]]
    assert linked.linkage.unknown_ids == len(IDS) - 1


BORN, SEX = date(1980, 1, 1), "female"
WITH_KEYS = FORM.model_copy(
    update={
        "identifiers": (
            Identifier(name="birth_date", kind="date", ours="birth_date"),
            Identifier(name="sex", kind="text", ours="sex"),
            Identifier(name="place", kind="text", ours="arrival.place"),
        ),
        "keys": (("birth_date", "sex", "place"), ("birth_date", "place")),
    }
)


def described(*rows: tuple[str, str, date | None, str | None, str | None]) -> LoanRows:
    """Borrowed rows of (id, month, birth date, sex, place), each with sick pay."""
    schema = {
        "_person_id": pl.String, "month": pl.String, "birth_date": pl.Date, "sex": pl.String, "place": pl.String,
        **dict.fromkeys(NAMES, pl.Boolean),
    }  # fmt: skip
    return LoanRows(
        "nav-2026", pl.DataFrame([(*row, True, False, None) for row in rows], schema=schema, orient="row"), 0
    )


def ours(*rows: tuple[str, date, str, str]) -> Registered:
    """The registry's side of (id, birth date, sex, place)."""
    everyone = people(*((row[0], "alpha") for row in rows))
    schema = {"_pseudonym": pl.Binary, "birth_date": pl.Date, "sex": pl.String, "place": pl.String}
    identifiers = pl.DataFrame([(NAMED[row[0]], *row[1:]) for row in rows], schema=schema, orient="row")
    return registered(everyone, identifiers)


def test_rows_without_a_usable_number_are_linked_by_declared_keys() -> None:
    """Missing or invalid numbers are linked by the first key that points at one person on each side, else by the next.

    A valid number that is unknown is somebody else, whatever the keys say.
    """
    mine = ours((IDS[0], BORN, SEX, "bodø"), (IDS[1], BORN, "male", "oslo"), (IDS[2], BORN, SEX, "moss"))
    rows = described(
        ("", "2024-01", BORN, SEX, "bodø"), ("", "2024-02", BORN, SEX, "bodø"),
        ("123", "2024-01", BORN, None, "oslo"),
        (IDS[7], "2024-01", BORN, SEX, "moss"),
    )  # fmt: skip
    linked = link(rows, Known({}), mine, WITH_KEYS)
    assert linked.frame.select("_pseudonym", "month").rows() == [
        (NAMED[IDS[0]], "2024-01"), (NAMED[IDS[0]], "2024-02"), (NAMED[IDS[1]], "2024-01"),
    ]  # fmt: skip
    assert linked.linkage.passes == (
        ("national_number", 0), ("key_birth_date_sex_place", 1), ("key_birth_date_place", 1),
    )  # fmt: skip
    assert (linked.linkage.rows_without_id, linked.linkage.invalid_ids, linked.linkage.unknown_ids) == (2, 1, 1)


def test_a_key_that_two_share_links_nobody() -> None:
    """Twins of one sex at one place, or two rows of different people with the same values: nobody guesses."""
    twins = ours((IDS[0], BORN, SEX, "bodø"), (IDS[1], BORN, SEX, "bodø"))
    assert link(described(("", "2024-01", BORN, SEX, "bodø")), Known({}), twins, WITH_KEYS).frame.is_empty()
    # One of the twins is linked by number: the other is still not guessed.
    named = {IDS[0]: NAMED[IDS[0]]}
    both = described((IDS[0], "2024-01", BORN, SEX, "bodø"), ("", "2024-01", BORN, SEX, "bodø"))
    assert link(both, Known(named), twins, WITH_KEYS).linkage.linked_persons == 1


def test_a_number_of_somebody_with_another_birth_date_or_sex_is_held() -> None:
    """The lender has another person under this number: its rows link nobody, and are counted."""
    mine = ours((IDS[0], BORN, SEX, "bodø"), (IDS[1], BORN, SEX, "oslo"))
    rows = described((IDS[0], "2024-01", date(1991, 5, 5), SEX, "bodø"), (IDS[1], "2024-01", BORN, None, "elsewhere"))
    linked = link(rows, Known(NAMED), mine, WITH_KEYS)
    assert linked.frame["_pseudonym"].to_list() == [NAMED[IDS[1]]]
    assert (linked.linkage.conflicting_ids, linked.linkage.unknown_ids) == (1, 0)


def test_the_vault_s_resolver_is_such_a_port(tmp_path: Path) -> None:
    """The real vault finds the people; a real number in a test folder counts as invalid."""
    engine = sqlcipher_engine(tmp_path / "vault.db", Secret(b"k" * 32), create=True)
    keys = VaultKeys(Secret(b"i" * 32), Secret(b"d" * 32))
    create(engine, keys)
    vault = Vault(engine, keys)
    name = vault.assign(IDS[:1], ["syn_tenor"], [], at(1)).people["pseudonym"][0]
    mine = pl.DataFrame({"_pseudonym": [name], "_sender": ["alpha"]})
    rows = loan((IDS[0], "2024-01", True), (IDS[1], "2024-01", True), (number(date(1980, 1, 1)), "2024-01", True))
    linkage = link(rows, Resolver(vault, Mode.TEST, date(2026, 6, 1)), registered(mine), FORM).linkage
    assert (linkage.linked_persons, linkage.unknown_ids, linkage.invalid_ids) == (1, 1, 1)
    engine.dispose()


def test_what_a_number_tells_is_told_without_the_number(tmp_path: Path) -> None:
    """Kind, birth date and sex of each person; of somebody with two numbers the `fnr`'s, in any order of naming."""
    engine = sqlcipher_engine(tmp_path / "vault.db", Secret(b"k" * 32), create=True)
    keys = VaultKeys(Secret(b"i" * 32), Secret(b"d" * 32))
    create(engine, keys)
    vault = Vault(engine, keys)
    name = vault.assign(IDS[:1], ["syn_tenor"], [], at(1)).people["pseudonym"][0]
    told = Resolver(vault, Mode.TEST, date(2026, 6, 1)).describe([name])
    assert told.columns == ["pseudonym", "kind", "birth_date", "sex"]
    assert told.row(0)[:3] == (name, "syn_tenor", date(1980, 1, 1))
    assert told.row(0)[3] in ("female", "male")
    engine.dispose()
