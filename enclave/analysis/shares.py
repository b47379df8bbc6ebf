"""Shares of courses for which an expression holds, their paired change from the first form, and response rates."""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import date
from functools import reduce
from operator import or_

import polars as pl

from enclave.analysis.courses import COURSE, Scope, courses_in_period, people_by_institution, tables_by_group
from enclave.analysis.reader import Reader
from enclave.analysis.statistics import Estimate, paired_change_interval, share_interval, standardised_difference
from enclave.model.pseudonymous import PSEUDONYM, SENDER
from enclave.model.purpose import Purpose
from enclave.model.table import ANY, NONE, Figure, Group, Pairs, ResultTable, Statistic
from enclave.registry.definition import Definition, Form, Kind, ResponseTable, ShareTable
from enclave.registry.expressions import columns_of, parse, to_polars

ANSWERED = "answered"
"""the one category of a response table"""
PARTS = tuple(field.name for field in fields(Pairs))


def share_tables(reader: Reader, definition: Definition, table: ShareTable, scope: Scope) -> tuple[ResultTable, ...]:
    """One table for each institution (own, others, all), in order of id, and last the national one (recipient "").

    A course counts at a form where the category's expression is true or false for it; its change counts where that is
    so at the first form as well.
    """
    categories = [category.id for category in table.categories] + ([ANY, NONE] if table.union else [])
    forms = [definition.form(form) for form in table.forms]

    def courses_of(purpose: Purpose) -> pl.DataFrame:
        courses = courses_in_period(reader, definition, period=scope.period, state=scope.state, purpose=purpose)
        for form in forms:
            rows = answers(reader, form, state=scope.state, purpose=purpose).select(*COURSE, **_conditions(table, form))
            courses = courses.join(rows, on=COURSE, how="left", validate="1:1", maintain_order="left")
        return courses

    def figures(group: Group, courses: pl.DataFrame) -> list[Figure]:
        shares = [
            share_figure(Statistic.SHARE, category, form.time_point, group, _answered(courses, category, form))
            for form in forms
            for category in categories
        ]
        changes = [
            _change_figure(category, form, group, _both(courses, category, forms[0], form))
            for form in forms[1:]
            for category in categories
        ]
        return shares + changes

    made = tables_by_group(table.id, scope, courses_of, figures)
    return tuple(_compared(each) for each in made) if table.compared else made


def _compared(table: ResultTable) -> ResultTable:
    """The same with the standardised difference of own from others, as a figure of the others that it would tell."""
    own = {(one.category, one.time_point): one.value for one in table.figures if one.group is Group.OWN}
    differences = (
        replace(
            one,
            statistic=Statistic.STANDARDISED_DIFFERENCE,
            value=standardised_difference(own[one.category, one.time_point], one.value),
            low=None,
            high=None,
            count=None,
        )
        for one in table.figures
        if one.group is Group.OTHERS
    )
    return replace(table, figures=(*table.figures, *differences))


def response_tables(
    reader: Reader, definition: Definition, table: ResponseTable, scope: Scope, *, closed_on: date
) -> tuple[ResultTable, ...]:
    """The same, of answered follow-ups among those that fell due before `closed_on`, the tolerance included.

    A course without the date that the form is due after is not due. An answer counts whenever it came.
    """
    forms = [definition.form(form) for form in table.forms]

    def courses_of(purpose: Purpose) -> pl.DataFrame:
        courses = courses_in_period(reader, definition, period=scope.period, state=scope.state, purpose=purpose)
        for form in forms:
            rows = _due(reader, form, scope, purpose, closed_on)
            courses = courses.join(rows, on=COURSE, how="left", validate="1:1", maintain_order="left")
        return courses

    def figures(group: Group, courses: pl.DataFrame) -> list[Figure]:
        return [
            share_figure(
                Statistic.SHARE,
                ANSWERED,
                form.time_point,
                group,
                courses.select(SENDER, PSEUDONYM, holds=form.id).drop_nulls(),
            )
            for form in forms
        ]

    return tables_by_group(table.id, scope, courses_of, figures)


def answers(reader: Reader, form: Form, *, state: int, purpose: Purpose) -> pl.DataFrame:
    """The rows of a form in which a code that is no answer is missing, and so are the options beside it."""
    return reader.read(form.id, state=state, purpose=purpose).with_columns(_without_unanswered(form))


def _without_unanswered(form: Form) -> Iterator[pl.Expr]:
    for variable in form.variables:
        silent = [code.value for code in variable.codes if code.not_answered]
        if not silent:
            continue
        if variable.kind is Kind.MULTI:
            said_nothing = reduce(or_, (pl.col(f"{variable.name}_{value}").fill_null(value=False) for value in silent))
        else:
            said_nothing = pl.col(variable.name).is_in(silent)
        for column in variable.columns():
            # When the condition is unknown the answer is missing already.
            yield pl.when(~said_nothing).then(pl.col(column)).alias(column)


def _conditions(table: ShareTable, form: Form) -> dict[str, pl.Expr]:
    """A truth value for each category, named by form and category."""
    columns = columns_of(form)
    holds = {category.id: to_polars(parse(category.holds, columns)) for category in table.categories}
    if table.union:
        # Kleene's: one true makes "any" true whatever is unknown; otherwise an unknown one makes it unknown.
        holds[ANY] = pl.any_horizontal(*holds.values())
        holds[NONE] = ~holds[ANY]
    return {_column(category, form): condition for category, condition in holds.items()}


def _column(category: str, form: Form) -> str:
    return f"{form.id}.{category}"


def _answered(courses: pl.DataFrame, category: str, form: Form) -> pl.DataFrame:
    return courses.select(SENDER, PSEUDONYM, holds=_column(category, form)).drop_nulls()


def _both(courses: pl.DataFrame, category: str, first: Form, later: Form) -> pl.DataFrame:
    return courses.select(SENDER, PSEUDONYM, first=_column(category, first), later=_column(category, later))


def share_figure(
    statistic: Statistic, category: str, time_point: str, group: Group, answered: pl.DataFrame, origin: str = ""
) -> Figure:
    """The share of rows (`_sender`, `_pseudonym`, `holds`, never missing) for which `holds` is true."""
    counted = answered.group_by(SENDER).agg(
        rows=pl.len(),
        holding=pl.col("holds").sum(),
        people=pl.col(PSEUDONYM).n_unique(),
        people_holding=pl.col(PSEUDONYM).filter("holds").n_unique(),
    )
    by_institution = sorted(counted.iter_rows())
    count = sum(holding for _, _, holding, _, _ in by_institution)
    estimate = share_interval(count, answered.height)
    return Figure(
        category=category,
        time_point=time_point,
        group=group,
        statistic=statistic,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        count=count,
        denominator=answered.height,
        contributors=tuple((sender, people) for sender, _, _, people, _ in by_institution),
        positives=tuple((sender, people) for sender, _, holding, _, people in by_institution if holding),
        origin=origin,
    )


def _change_figure(category: str, form: Form, group: Group, both: pl.DataFrame) -> Figure:
    paired = both.drop_nulls()
    rows, people = _by_answers(both)
    estimate: Estimate = paired_change_interval(rows["gained"], rows["lost"], paired.height)
    return Figure(
        category=category,
        time_point=form.time_point,
        group=group,
        statistic=Statistic.SHARE_CHANGE,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        count=None,
        denominator=paired.height,
        contributors=people_by_institution(paired),
        pairs=Pairs(**{part: tuple(people[part]) for part in PARTS}),
    )


def _by_answers(both: pl.DataFrame) -> tuple[dict[str, int], dict[str, list[tuple[str, int]]]]:
    """Rows, and people by institution, of each part of `Pairs`; a row (`first`, `later`) is in one part at most."""
    first, later = pl.col("first"), pl.col("later")
    part = (
        pl.when(first == later)
        .then(pl.lit("same"))
        .when(later & ~first)
        .then(pl.lit("gained"))
        .when(first & ~later)
        .then(pl.lit("lost"))
        .when(later.is_null())
        .then(pl.when(first).then(pl.lit("first_in")).when(~first).then(pl.lit("first_out")))
        .otherwise(pl.when(later).then(pl.lit("later_in")).otherwise(pl.lit("later_out")))
    )
    counted = both.group_by(SENDER, part=part).agg(rows=pl.len(), people=pl.col(PSEUDONYM).n_unique())
    rows, people = dict.fromkeys(PARTS, 0), {name: list[tuple[str, int]]() for name in PARTS}
    for sender, name, held, different in sorted(counted.drop_nulls("part").iter_rows()):
        rows[name] += held
        people[name].append((sender, different))
    return rows, people


def _due(reader: Reader, form: Form, scope: Scope, purpose: Purpose, closed_on: date) -> pl.DataFrame:
    """Key of each course whose answer is due before `closed_on`, and a truth value in a column named by the form."""
    due = form.due
    if due is None:
        raise ValueError("a form that never falls due has no response rate")
    last_day = pl.col(due.column).dt.offset_by(f"{due.months}mo").dt.offset_by(f"{due.tolerance_days}d")
    owed = reader.read(due.form, state=scope.state, purpose=purpose).filter(last_day < closed_on).select(COURSE)
    given = reader.read(form.id, state=scope.state, purpose=purpose).select(*COURSE, pl.lit(value=True).alias(form.id))
    joined = owed.join(given, on=COURSE, how="left", validate="1:1", maintain_order="left")
    return joined.with_columns(pl.col(form.id).fill_null(value=False))
