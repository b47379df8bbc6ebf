"""How borrowed rows meet the registry's people."""

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
from enclave.linkage.link import link
from enclave.linkage.quality import report, shared_report
from enclave.model.identified import LoanRows
from enclave.model.loan import Linkage
from enclave.store.engines import sqlcipher_engine
from tests.identity.conftest import at
from tests.identity.numbers import number, synthetic
from tests.linkage.loans import AGREEMENT, FORM, NAMES

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


def test_linked_rows_carry_pseudonyms_in_the_registry_s_order() -> None:
    """Rows come ordered by the registry's people and by month, without ids, and only of the registry's people."""
    rows = loan(
        (IDS[1], "2024-02", True), (IDS[0], "2024-01", None), (IDS[1], "2024-01", False), (IDS[5], "2024-01", True)
    )
    linked = link(rows, Known(NAMED), people((IDS[1], "alpha"), (IDS[0], "beta"), (IDS[1], "alpha")), FORM)
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
    linkage = link(rows, Known(NAMED), mine, FORM).linkage
    assert linkage == Linkage(
        loan_id="nav-2026", loan_rows=7, loan_persons=6, registry_persons=3, linked_persons=2, invalid_ids=2,
        unknown_ids=2, duplicate_rows=1, by_institution=(("alpha", 1, 1), ("beta", 3, 2)),
    )  # fmt: skip
    assert linkage.loan_persons == linkage.invalid_ids + linkage.unknown_ids + linkage.linked_persons


def test_a_person_with_two_numbers_is_one_person() -> None:
    """A D-number and the number that followed it give one row for a month: a benefit under either counts."""
    rows = loan((IDS[0], "2024-01", False), (IDS[1], "2024-01", True), (IDS[1], "2024-02", None))
    linked = link(rows, Known({IDS[0]: b"p" * 16, IDS[1]: b"p" * 16}), people((IDS[0], "alpha")).clear().vstack(
        pl.DataFrame({"_pseudonym": [b"p" * 16], "_sender": ["alpha"]})
    ), FORM)  # fmt: skip
    assert linked.frame.select("month", "sick_pay").rows() == [("2024-01", True), ("2024-02", None)]
    assert linked.linkage.linked_persons == 1


def test_rows_that_contradict_each_other_reject_the_file() -> None:
    """The same number and month with different answers is not decided by us."""
    with pytest.raises(Rejected, match="E_LOAN_CONFLICT"):
        link(loan((IDS[0], "2024-01", True), (IDS[0], "2024-01", False)), Known(NAMED), people((IDS[0], "a")), FORM)


def test_an_empty_loan_or_an_empty_registry_links_nobody() -> None:
    """Nothing is linked, and the counts say so."""
    assert link(loan(), Known(NAMED), people((IDS[0], "alpha")), FORM).linkage.linked_persons == 0
    linked = link(loan((IDS[0], "2024-01", True)), Known(NAMED), people(), FORM)
    assert linked.frame.is_empty()
    assert linked.linkage.unknown_ids == 1
    assert linked.linkage.by_institution == ()


def test_the_vault_s_resolver_is_such_a_port(tmp_path: Path) -> None:
    """The real vault finds the people; a real number in a test folder counts as invalid."""
    engine = sqlcipher_engine(tmp_path / "vault.db", Secret(b"k" * 32), create=True)
    keys = VaultKeys(Secret(b"i" * 32), Secret(b"d" * 32))
    create(engine, keys)
    vault = Vault(engine, keys)
    name = vault.assign(IDS[:1], ["syn_tenor"], [], at(1)).people["pseudonym"][0]
    mine = pl.DataFrame({"_pseudonym": [name], "_sender": ["alpha"]})
    rows = loan((IDS[0], "2024-01", True), (IDS[1], "2024-01", True), (number(date(1980, 1, 1)), "2024-01", True))
    linkage = link(rows, Resolver(vault, Mode.TEST, date(2026, 6, 1)), mine, FORM).linkage
    assert (linkage.linked_persons, linkage.unknown_ids, linkage.invalid_ids) == (1, 1, 1)
    engine.dispose()


def linkage_of(everyone: int, linked: int) -> Linkage:
    """Counts of a linkage."""
    return Linkage("nav-2026", 100, 60, everyone, linked, 1, 2, 0, (("alpha", everyone, linked),))


def test_the_processor_s_report_has_every_count() -> None:
    """The report is Norwegian, names the rate with a decimal comma, and each institution with its counts."""
    text, table = report(linkage_of(40, 30), AGREEMENT)
    assert "Koblingsgrad: 75,0 % av registerets personer." in text.content.decode("utf-8-sig")
    assert table.content.decode("utf-8-sig").splitlines()[1:] == ['"alle";40;30', '"alpha";40;30']
    assert report(linkage_of(0, 0), AGREEMENT)[0].content.decode("utf-8-sig").count("– av registerets")


@pytest.mark.parametrize(
    ("everyone", "linked", "shown"),
    [(40, 30, "75 %"), (40, 4, None), (40, 36, None), (9, 5, None), (10, 5, "50 %"), (40, 40, "100 %"), (0, 0, None)],
)
def test_the_shared_report_shows_a_share_only_of_enough_people(everyone: int, linked: int, shown: str | None) -> None:
    """Few linked, few unlinked, or few people at all: then the share is withheld; no institution is ever named."""
    content = shared_report(linkage_of(everyone, linked), AGREEMENT).content.decode("utf-8-sig")
    assert (f"ble koblet: {shown}" in content) if shown else ("vises ikke" in content)
    assert "alpha" not in content
