"""What must hold over a sender's rows together: one row for a course, one person for a course, and set checks.

Pure. Only the rows of one sender are ever compared, so that no answer tells what another institution has sent. A fault
stands at a row of the new drop, never at one that is stored already, and never holds a value.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from enclave.model.fault import Fault, Severity
from enclave.model.pseudonymous import EPISODE, PSEUDONYM, ROW
from enclave.registry.definition import Definition, Form, Label
from enclave.store.set_checks import Rows, faults_at, set_faults, subject_keys

ROW_ID = "row_id"


@dataclass(frozen=True)
class Rule:
    """The text of a built-in rule, and what the sender can do about it."""

    label: Label
    remedy: Label


RULES: dict[str, Rule] = {
    "record_twice": Rule(
        Label(nb="Samme forløp står flere ganger med ulikt innhold.", en="One course stands twice, differing."),
        Label(nb="Behold raden som er riktig, og send på nytt.", en="Keep the row that is right, and send again."),
    ),
    "course_other_person": Rule(
        Label(nb="Forløpet hører til en annen person.", en="The course belongs to another person."),
        Label(
            nb="Kontroller fødselsnummer og forløpsnummer; et nytt forløp må ha et nytt nummer.",
            en="Check the national id and the course number; a new course needs a new number.",
        ),
    ),
    "unstorable": Rule(
        Label(nb="Verdien inneholder tegn som ikke kan lagres.", en="The value holds what cannot be stored."),
        Label(nb="Skriv verdien på nytt.", en="Type the value again."),
    ),
}


@dataclass(frozen=True, repr=False)
class Judged:
    """What the rules make of the new rows of one form.

    `fresh` are the rows to be stored, `superseded` the `row_id` of each stored row that one of them replaces, and
    `unchanged` and `rejected` count the rows that are stored already and those refused.
    """

    form: str
    fresh: pl.DataFrame
    superseded: tuple[int, ...]
    unchanged: int
    rejected: int


def judge(
    definition: Definition, new: Mapping[str, pl.DataFrame], stored: Mapping[str, pl.DataFrame]
) -> tuple[tuple[Judged, ...], tuple[Fault, ...]]:
    """Judge the rows of one drop against the sender's stored rows: what to store, and every fault.

    `new` has `_row`, `_pseudonym` (forms about persons), `_episode` and the form's columns; `stored` has the same with
    `row_id` for `_row`, for each form in `new` and each that a set check of these may name.
    """
    forms = {form.id: form for form in definition.forms if form.id in stored}
    faults: set[Fault] = set()
    rows: dict[str, Rows] = {}
    unchanged: dict[str, int] = {}
    others = _other_person(forms, new, stored)
    for form_id, form in forms.items():
        frame = new.get(form_id, _empty_like(form, stored[form_id]))
        built_in = [*_unstorable(form, frame), *_record_twice(form, frame), *others.get(form_id, ())]
        faults.update(built_in)
        passing = frame.filter(~pl.col(ROW).is_in([fault.row for fault in built_in]))
        fresh = _changed(form, passing.unique(EPISODE, keep="first", maintain_order=True), stored[form_id])
        unchanged[form_id] = passing.height - fresh.height
        rows[form_id] = Rows(form, fresh, stored[form_id])
        faults.update(_drift(form, passing, stored[form_id]))
    rows, set_faults = _settled(rows, faults)
    judged = tuple(
        Judged(
            form_id,
            rows[form_id].fresh,
            _superseded(rows[form_id]),
            unchanged[form_id],
            frame.height - unchanged[form_id] - rows[form_id].fresh.height,
        )
        for form_id, frame in new.items()
    )
    return judged, tuple(sorted(faults | set_faults))


def _empty_like(form: Form, stored: pl.DataFrame) -> pl.DataFrame:
    return stored.clear().select(pl.col(ROW_ID).alias(ROW), *subject_keys(form), *form.columns())


def _unstorable(form: Form, frame: pl.DataFrame) -> list[Fault]:
    """A NUL character, which PostgreSQL cannot hold, or a number that is not finite, which SQLite cannot."""
    faults = []
    for column in form.columns():
        kind = frame.schema[column]
        if kind == pl.String:
            bad = pl.col(column).str.contains("\0", literal=True)
        elif kind == pl.Float64:
            bad = ~pl.col(column).is_finite()
        else:
            continue
        faults += faults_at(form, column, "unstorable", Severity.REFUSE, frame.filter(bad.fill_null(value=False))[ROW])
    return faults


def _record_twice(form: Form, frame: pl.DataFrame) -> list[Fault]:
    """Rows of one course that differ: we cannot know which is meant, so none is taken."""
    keys = subject_keys(form)
    differing = frame.unique([*keys, *form.columns()]).group_by(keys).len().filter(pl.col("len") > 1)
    return faults_at(form, "", "record_twice", Severity.REFUSE, frame.join(differing, on=keys, how="semi")[ROW])


def _other_person(
    forms: Mapping[str, Form], new: Mapping[str, pl.DataFrame], stored: Mapping[str, pl.DataFrame]
) -> dict[str, list[Fault]]:
    """New rows of a course that is stored for another person, or that the drop itself gives to several persons."""
    persons = [form_id for form_id, form in forms.items() if form.subject == "person"]
    pairs = [EPISODE, PSEUDONYM]
    if not persons:
        return {}
    owners = pl.concat([stored[form_id].select(pairs) for form_id in persons]).unique()
    named = [new[form_id].select(pairs) for form_id in persons if form_id in new]
    claims = pl.concat([owners.clear(), *named]).unique().join(owners, on=EPISODE, how="anti")
    disputed = claims.group_by(EPISODE).len().filter(pl.col("len") > 1)
    faults: dict[str, list[Fault]] = {}
    for form_id in persons:
        if form_id not in new:
            continue
        foreign = new[form_id].join(owners, on=EPISODE, how="semi").join(owners, on=pairs, how="anti")
        unclear = new[form_id].join(disputed, on=EPISODE, how="semi")
        lines = pl.concat([foreign[ROW], unclear[ROW]])
        faults[form_id] = faults_at(forms[form_id], "", "course_other_person", Severity.REFUSE, lines)
    return faults


def _changed(form: Form, frame: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """The rows that are not stored already, word for word."""
    content = [*subject_keys(form), *form.columns()]
    return frame.join(stored.select(content), on=content, how="anti", nulls_equal=True, maintain_order="left")


def _drift(form: Form, frame: pl.DataFrame, stored: pl.DataFrame) -> list[Fault]:
    """Checks of kind `drift`: a fault at the whole file, where the sender has earlier rows to compare with."""
    faults = []
    for check in (check for check in form.set_checks if check.kind == "drift"):
        column = check.columns[0]
        if frame.height and stored.height and check.percent is not None:
            now, earlier = (rows[column].null_count() / rows.height * 100 for rows in (frame, stored))
            if abs(now - earlier) > check.percent:
                faults.append(Fault(form.id, 0, column, f"{form.id}.{check.id}", check.severity))
    return faults


def _settled(rows: dict[str, Rows], given: Iterable[Fault]) -> tuple[dict[str, Rows], set[Fault]]:
    """Evaluate set checks until nothing more is refused: a refused row lets the stored row it would replace hold on."""
    faults: set[Fault] = set()
    rows = _without(rows, given)
    while True:
        found = {fault for of_form in rows.values() for fault in set_faults(of_form, rows)}
        faults |= found
        if not any(fault.severity is Severity.REFUSE for fault in found):
            return rows, faults
        rows = _without(rows, found)


def _without(rows: dict[str, Rows], faults: Iterable[Fault]) -> dict[str, Rows]:
    refused: dict[str, set[int]] = {}
    for fault in faults:
        if fault.severity is Severity.REFUSE:
            refused.setdefault(fault.form, set()).add(fault.row)
    return {form_id: _minus(of_form, refused.get(form_id, set())) for form_id, of_form in rows.items()}


def _minus(rows: Rows, refused: set[int]) -> Rows:
    if 0 in refused:  # the whole file
        return Rows(rows.form, rows.fresh.clear(), rows.stored)
    return Rows(rows.form, rows.fresh.filter(~pl.col(ROW).is_in(list(refused))), rows.stored)


def _superseded(rows: Rows) -> tuple[int, ...]:
    replaced = rows.stored.join(rows.fresh, on=EPISODE, how="semi")
    return tuple(replaced[ROW_ID].sort().to_list())
