"""From records that name people to records that name nobody: judge every number, name who is left, drop the names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from enclave.audit.record import Position
from enclave.errors import Halt, explain
from enclave.identity.rules import Mode, age_faults, classify, faults_of
from enclave.identity.vault import Vault
from enclave.model.fault import Fault
from enclave.model.identified import PERSON_ID, REFERENCE, ROW, IdentifiedRecords
from enclave.model.pseudonymous import EPISODE, PSEUDONYM, PseudonymousRecords
from enclave.registry.definition import Form

explain(
    "H_VAULT_INCOMPLETE",
    "The vault did not name everyone that it was asked to name.",
    "Nothing was stored. Keep a copy of the vault and report this as a fault of the server.",
)


@dataclass(frozen=True, repr=False)
class Judged:
    """What remains of a drop after the rules on numbers and ages, and every fault of what does not.

    `people` has `id`, `kind`, each id of the remaining rows once, in the order of forms and rows.
    """

    records: tuple[IdentifiedRecords, ...]
    people: pl.DataFrame
    faults: tuple[Fault, ...]


@dataclass(frozen=True, repr=False)
class Pseudonymised:
    """A drop's records without their identities. How many people were new is for the operator only (law 11)."""

    records: tuple[PseudonymousRecords, ...]
    faults: tuple[Fault, ...]
    new_people: int
    new_episodes: int


def pseudonymise(
    records: Sequence[IdentifiedRecords],
    forms: Mapping[str, Form],
    vault: Vault,
    position: Position,
    *,
    mode: Mode,
    today: date,
) -> Pseudonymised:
    """Judge one sender's records and name who is left; `forms` by id. One vault transaction, stamped `position`."""
    return assign(judge(records, forms, mode, today), vault, position)


def judge(records: Sequence[IdentifiedRecords], forms: Mapping[str, Form], mode: Mode, today: date) -> Judged:
    """Pure: rows whose number is not valid here, or whose age the form does not allow, become faults."""
    named = [each.frame.get_column(PERSON_ID) for each in records if forms[each.form].names_persons]
    distinct = pl.concat(named).unique(maintain_order=True) if named else pl.Series([], dtype=pl.String)
    judged_ids = classify(distinct, mode, today).with_columns(distinct.alias(PERSON_ID))
    conflicting = _claimed_by_two(records, forms, judged_ids)
    remaining: list[IdentifiedRecords] = []
    faults: list[Fault] = []
    for each in records:
        form = forms[each.form]
        bad = _bad_rows(each.frame, form, judged_ids, conflicting) if form.names_persons else _NO_BAD_ROWS
        faults += faults_of(form, bad)
        kept = each.frame.join(bad, on=ROW, how="anti", maintain_order="left")
        remaining.append(IdentifiedRecords(each.drop_uuid, each.sender, each.form, kept))
    kept_ids = [each.frame.get_column(PERSON_ID) for each in remaining if PERSON_ID in each.frame.columns]
    people = (
        judged_ids.filter(pl.col(PERSON_ID).is_in(pl.concat(kept_ids).unique().implode()))
        if kept_ids
        else judged_ids.clear()
    )
    return Judged(tuple(remaining), people.select(pl.col(PERSON_ID).alias("id"), "kind"), tuple(sorted(faults)))


_NO_BAD_ROWS = pl.DataFrame(schema={ROW: pl.Int64, "rule": pl.String})


def _claimed_by_two(
    records: Sequence[IdentifiedRecords], forms: Mapping[str, Form], judged_ids: pl.DataFrame
) -> pl.Series:
    """The courses of this drop that numbers of different dates of birth or sexes claim: two people, for certain."""
    named = [each for each in records if forms[each.form].names_persons]
    if not named:
        return pl.Series(REFERENCE, [], dtype=pl.String)
    claims = pl.concat([each.frame.select(REFERENCE, PERSON_ID) for each in named])
    told = claims.join(judged_ids.filter("valid"), on=PERSON_ID, how="inner")
    differing = pl.max_horizontal(pl.col("birth_date", "sex").drop_nulls().n_unique()) > 1
    return told.group_by(REFERENCE).agg(differing.alias("two")).filter("two").get_column(REFERENCE)


def _bad_rows(frame: pl.DataFrame, form: Form, judged_ids: pl.DataFrame, conflicting: pl.Series) -> pl.DataFrame:
    """`_row`, `rule` of each row that is refused for its number or, the number being valid, for course or age."""
    rows = frame.select(ROW, PERSON_ID, REFERENCE, pl.col(form.dated_by).alias("on")).join(
        judged_ids, on=PERSON_ID, how="left", nulls_equal=True, maintain_order="left"
    )
    by_number = rows.filter(pl.col("rule").is_not_null()).select(ROW, "rule")
    by_age = age_faults(form, rows.filter("valid").select(ROW, "birth_date", "on"))
    if conflicting.is_empty():
        return pl.concat([by_number, by_age])
    by_course = rows.filter(pl.col("valid") & pl.col(REFERENCE).is_in(conflicting.implode()))
    return pl.concat([by_number, by_age, by_course.select(ROW, rule=pl.lit("id_conflict"))])


def assign(judged: Judged, vault: Vault, position: Position) -> Pseudonymised:
    """Name the people and courses of judged records; nothing is in the vault that is not in a remaining row."""
    pairs = dict.fromkeys(
        (each.sender, value)
        for each in judged.records
        for value in each.frame.get_column(REFERENCE).unique(maintain_order=True)
    )
    people = judged.people
    issuer = judged.records[0].sender if judged.records else ""
    assigned = vault.assign(people["id"].to_list(), people["kind"].to_list(), list(pairs), position, issuer=issuer)
    names = assigned.people.select(pl.col("id").alias(PERSON_ID), pl.col("pseudonym").alias(PSEUDONYM))
    courses = assigned.episodes.rename({"reference": REFERENCE, "episode": EPISODE})
    records = tuple(_without_names(each, names, courses) for each in judged.records)
    return Pseudonymised(records, judged.faults, assigned.new_people, assigned.new_episodes)


def _without_names(records: IdentifiedRecords, names: pl.DataFrame, courses: pl.DataFrame) -> PseudonymousRecords:
    own = courses.filter(pl.col("sender") == records.sender).drop("sender")
    frame = records.frame.join(own, on=REFERENCE, how="left", maintain_order="left")
    stand_ins = [EPISODE]
    if PERSON_ID in frame.columns:
        frame = frame.join(names, on=PERSON_ID, how="left", maintain_order="left")
        stand_ins.insert(0, PSEUDONYM)
    if frame.select(pl.any_horizontal(pl.col(stand_ins).is_null()).any()).item():
        raise Halt("H_VAULT_INCOMPLETE", place=records.form)
    answers = [column for column in records.frame.columns if column not in {ROW, PERSON_ID, REFERENCE}]
    return PseudonymousRecords(records.drop_uuid, records.sender, records.form, frame.select(ROW, *stand_ins, *answers))
