"""One number at several time points of a course, and its paired change from the first: own, others and all."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from enclave.analysis.courses import COURSE, Scope, courses_in_period, people_by_institution, tables_by_group
from enclave.analysis.reader import Reader
from enclave.analysis.statistics import mean_interval
from enclave.model.pseudonymous import PSEUDONYM, SENDER
from enclave.model.purpose import Purpose
from enclave.model.table import Figure, Group, ResultTable, Statistic
from enclave.registry.definition import ChangeTable, Definition


def change_tables(
    reader: Reader,
    definition: Definition,
    table: ChangeTable,
    *,
    period: tuple[date, date],
    institutions: Sequence[str],
    state: int,
    definition_sha256: str,
) -> tuple[ResultTable, ...]:
    """One table for each institution (own, others, all), in order of id, and last the national one (recipient "").

    A figure counts courses whose period form is dated within `period` (both days included).
    """
    return tables_by_group(
        table.id,
        Scope(period, tuple(institutions), state, definition_sha256),
        lambda purpose: _courses(reader, definition, table, period=period, state=state, purpose=purpose),
        lambda group, courses: _figures(definition, table, group, courses),
    )


def _courses(
    reader: Reader,
    definition: Definition,
    table: ChangeTable,
    *,
    period: tuple[date, date],
    state: int,
    purpose: Purpose,
) -> pl.DataFrame:
    """A row for each course in the period: its key, its person and one column (Float64) for each form of the table."""
    courses = courses_in_period(reader, definition, period=period, state=state, purpose=purpose)
    for form in table.forms:
        answers = reader.read(form, state=state, purpose=purpose).select(
            *COURSE, pl.col(table.variable).cast(pl.Float64).alias(form)
        )
        courses = courses.join(answers, on=COURSE, how="left", validate="1:1", maintain_order="left")
    return courses


def _figures(definition: Definition, table: ChangeTable, group: Group, courses: pl.DataFrame) -> list[Figure]:
    first = pl.col(table.forms[0])
    asked = [(Statistic.MEAN, form, pl.col(form)) for form in table.forms]
    asked += [(Statistic.MEAN_CHANGE, form, pl.col(form) - first) for form in table.forms[1:]]
    return [
        _figure(
            (table.variable, definition.form(form).time_point),
            group,
            statistic,
            courses.select(SENDER, PSEUDONYM, value=value).drop_nulls(),
        )
        for statistic, form, value in asked
    ]


def _figure(place: tuple[str, str], group: Group, statistic: Statistic, answered: pl.DataFrame) -> Figure:
    estimate = mean_interval(answered["value"].to_list())
    return Figure(
        category=place[0],
        time_point=place[1],
        group=group,
        statistic=statistic,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        count=None,
        denominator=answered.height,
        contributors=people_by_institution(answered),
    )
