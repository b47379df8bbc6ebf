"""The set checks of a definition over a sender's rows of a form, new and stored: each kind, and where its faults stand.

Pure. What a refused row leaves behind, and what is judged before, is in `rules.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from enclave.model.fault import Fault, Severity
from enclave.model.pseudonymous import EPISODE, PSEUDONYM, ROW
from enclave.registry.definition import Due, Form, SetCheck


@dataclass(frozen=True, repr=False)
class Rows:
    """One form's rows while they are judged: new ones, and the sender's stored ones."""

    form: Form
    fresh: pl.DataFrame
    stored: pl.DataFrame

    def together(self) -> pl.DataFrame:
        """What would hold if the new rows were stored: they hide the stored rows of their courses. `_row` tells new."""
        kept = self.stored.join(self.fresh, on=EPISODE, how="anti")
        columns = subject_keys(self.form) + list(self.form.columns())
        old = kept.select(pl.lit(None, dtype=pl.Int64).alias(ROW), *columns)
        return pl.concat([self.fresh.select(ROW, *columns), old])


def set_faults(rows: Rows, by_form: Mapping[str, Rows]) -> list[Fault]:
    """The faults of a form's set checks, at rows of the new drop; `by_form` has every form that a check may name."""
    faults: list[Fault] = []
    for check in rows.form.set_checks:
        rule = f"{rows.form.id}.{check.id}"
        match check.kind:
            case "unique":
                broken = _not_unique(rows.form, check, rows.together())[ROW].drop_nulls()
                faults += faults_at(rows.form, check.columns[0], rule, check.severity, broken)
            case "overlap":
                faults += _overlap_faults(check, rows, by_form)
            case "precedes" | "window" | "due":
                faults += _pair_faults(check, rows, by_form)
            case "follows":
                known = by_form[str(check.other_form)].together()
                alone = rows.fresh.join(known, on=EPISODE, how="anti")[ROW]
                faults += faults_at(rows.form, check.columns[0], rule, check.severity, alone)
            case "steady":
                for column in check.columns:
                    faults += faults_at(rows.form, column, rule, check.severity, _unsteady(column, rows))
            case "drift":
                pass  # of a whole file, judged once
    return faults


def _not_unique(form: Form, check: SetCheck, frame: pl.DataFrame) -> pl.DataFrame:
    subject = [PSEUDONYM] if form.subject == "person" else []
    group = [*subject, *check.columns]
    return frame.drop_nulls(list(check.columns)).filter(pl.len().over(group) > 1)


def _overlap_faults(check: SetCheck, rows: Rows, by_form: Mapping[str, Rows]) -> list[Fault]:
    """Overlapping periods: a fault at the row that begins one, or at the new row of the other form that ends it."""
    rule, frame = f"{rows.form.id}.{check.id}", rows.together()
    if check.other_form is None:
        broken = _overlapping(rows.form, check.columns[0], frame.with_columns(_last=check.columns[1]))
        return faults_at(rows.form, check.columns[0], rule, check.severity, broken[ROW].drop_nulls())
    others, column = by_form[check.other_form], str(check.other_column)
    ends = others.together().select(EPISODE, _other_row=ROW, _last=column)
    broken = _overlapping(rows.form, check.columns[0], frame.join(ends, on=EPISODE, how="left"))
    there = broken.filter(pl.col(ROW).is_null())["_other_row"].drop_nulls()
    return faults_at(rows.form, check.columns[0], rule, check.severity, broken[ROW].drop_nulls()) + faults_at(
        others.form, column, rule, check.severity, there
    )


def _overlapping(form: Form, first: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows whose period, both days included, meets another of the same person; an unknown end is the start's day."""
    subject = [pl.col(PSEUDONYM)] if form.subject == "person" else [pl.lit(0)]
    start, end = pl.col(first), pl.col("_end")
    ordered = (
        frame.drop_nulls(first)
        .with_columns(_end=pl.max_horizontal(first, pl.col("_last").fill_null(pl.col(first))))
        .sort(first, "_end", ROW, nulls_last=True)
    )
    earlier = end.cum_max().shift(1).over(*subject)  # a long early period reaches past the ones right after it
    later = start.shift(-1).over(*subject)
    return ordered.filter(((start <= earlier) | (later <= end)).fill_null(value=False))


def _pair_faults(check: SetCheck, rows: Rows, by_form: Mapping[str, Rows]) -> list[Fault]:
    """Broken pairs of rows of one course: the fault is at the row with the check, or at the other if it is stored."""
    due = rows.form.due if check.kind == "due" else None
    other_form, other_column = (due.form, due.column) if due else (str(check.other_form), str(check.other_column))
    column, others = check.columns[0], by_form[other_form]
    left = rows.together().select(ROW, EPISODE, pl.col(column).alias("_date"))
    right = others.together().select(pl.col(ROW).alias("_other_row"), EPISODE, pl.col(other_column).alias("_other"))
    breaks = _late_or_early(due) if due else _breaks(check)
    pairs = left.join(right, on=EPISODE).drop_nulls(["_date", "_other"]).filter(breaks)
    here = pairs[ROW].drop_nulls()
    there = pairs.filter(pl.col(ROW).is_null())["_other_row"].drop_nulls()
    rule = f"{rows.form.id}.{check.id}"
    return faults_at(rows.form, column, rule, check.severity, here) + faults_at(
        others.form, other_column, rule, check.severity, there
    )


def _breaks(check: SetCheck) -> pl.Expr:
    if check.kind == "precedes":
        return pl.col("_date") > pl.col("_other")
    days = (pl.col("_date") - pl.col("_other")).dt.total_days()
    early = days < check.after_days if check.after_days is not None else pl.lit(value=False)
    late = days > check.before_days if check.before_days is not None else pl.lit(value=False)
    return early | late


def _late_or_early(due: Due) -> pl.Expr:
    days = (pl.col("_date") - pl.col("_other").dt.offset_by(f"{due.months}mo")).dt.total_days()
    return days.abs() > due.tolerance_days


def _unsteady(column: str, rows: Rows) -> pl.Series:
    """The new rows that answer `column` otherwise than the stored row of their course."""
    before = rows.stored.select(EPISODE, _before=column)
    both = rows.fresh.join(before, on=EPISODE)
    return both.filter((pl.col(column) != pl.col("_before")).fill_null(value=False))[ROW]


def subject_keys(form: Form) -> list[str]:
    """The columns that stand for the person, where there is one, and the course."""
    return [PSEUDONYM, EPISODE] if form.subject == "person" else [EPISODE]


def faults_at(form: Form, variable: str, rule: str, severity: Severity, lines: pl.Series) -> list[Fault]:
    """A fault of one rule at each of these rows."""
    return [Fault(form.id, line, variable, rule, severity) for line in lines.unique().sort().to_list()]
