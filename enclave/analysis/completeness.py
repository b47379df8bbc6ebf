"""Completeness: how many of the patients are registered, and how much of what was asked is not answered."""

from collections.abc import Iterable, Mapping

import polars as pl

from enclave.analysis.courses import (
    COURSE,
    Scope,
    courses_in_period,
    own_and_shared,
    people_by_institution,
    tables_by_group,
    tables_for,
)
from enclave.analysis.reader import Reader
from enclave.analysis.shares import answers, share_figure
from enclave.analysis.statistics import Estimate, share_interval
from enclave.model.pseudonymous import PSEUDONYM, SENDER
from enclave.model.purpose import Purpose
from enclave.model.table import Figure, Group, ResultTable, Statistic
from enclave.registry.definition import Definition, Form
from enclave.registry.expressions import columns_of, parse, to_polars
from enclave.registry.quality import REGISTERED, WHOLE_FORM, Asked, CoverageTable, MissingTable

ByInstitution = Mapping[str, int]


def coverage_tables(
    reader: Reader, definition: Definition, table: CoverageTable, scope: Scope
) -> tuple[ResultTable, ...]:
    """People who arrived in the period, of the patients that each institution reported for its year.

    Where more are registered than were reported one of the two is wrong: there is no coverage, and it counts in no
    total. An institution that reported patients and registered none counts in every total.
    """

    def courses_of(purpose: Purpose) -> pl.DataFrame:
        return courses_in_period(reader, definition, period=scope.period, state=scope.state, purpose=purpose)

    own, shared = (dict(people_by_institution(courses)) for courses in own_and_shared(courses_of))
    reported = _reported(reader, definition, table, scope)
    credible = [sender for sender, people in reported.items() if people >= max(own.get(sender, 0), 1)]
    place = definition.form(definition.period_form).time_point

    def figure(group: Group, registered: ByInstitution, senders: Iterable[str]) -> list[Figure]:
        return [_coverage(place, group, registered, {sender: reported.get(sender, 0) for sender in senders})]

    return tables_for(
        table.id,
        scope,
        own=lambda institution: figure(Group.OWN, own, [institution]),
        others=lambda institution: figure(Group.OTHERS, shared, (one for one in credible if one != institution)),
        everyone=figure(Group.ALL, shared, credible),
    )


def _reported(reader: Reader, definition: Definition, table: CoverageTable, scope: Scope) -> dict[str, int]:
    """The patients that each institution reported for the year in which the period begins."""
    yearly = definition.form(table.form).yearly
    if yearly is None:
        raise ValueError("the form of a coverage table tells no year")
    rows = reader.read(table.form, state=scope.state, purpose=Purpose.NATIONAL)
    of_year = rows.filter(pl.col(yearly.year) == scope.period[0].year).drop_nulls(table.people)
    return dict(of_year.select(SENDER, table.people).sort(SENDER).iter_rows())


def _coverage(place: str, group: Group, registered: ByInstitution, reported: ByInstitution) -> Figure:
    counted = {sender: registered.get(sender, 0) for sender in reported}
    people, patients = sum(counted.values()), sum(reported.values())
    estimate = share_interval(people, patients) if people <= patients else Estimate(None, None, None)
    return Figure(
        category=REGISTERED,
        time_point=place,
        group=group,
        statistic=Statistic.SHARE,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        count=people,
        denominator=patients,
        contributors=tuple(sorted(reported.items())),
        positives=tuple(sorted(counted.items())),
    )


def missing_tables(
    reader: Reader, definition: Definition, table: MissingTable, scope: Scope
) -> tuple[ResultTable, ...]:
    """Per form: the rows that are not there, then each variable's share of rows in which it is not answered."""
    forms = [definition.form(form) for form in table.forms]
    asked = [(form, _asked(table, form)) for form in forms]

    def courses_of(purpose: Purpose) -> pl.DataFrame:
        courses = courses_in_period(reader, definition, period=scope.period, state=scope.state, purpose=purpose)
        for form, variables in asked:
            rows = answers(reader, form, state=scope.state, purpose=purpose).select(
                *COURSE,
                pl.lit(value=False).alias(_column(form, WHOLE_FORM)),
                **{_column(form, one.variable): _is_missing(form, one) for one in variables},
            )
            courses = courses.join(rows, on=COURSE, how="left", validate="1:1", maintain_order="left")
        return courses.with_columns(pl.col(_column(form, WHOLE_FORM)).fill_null(value=True) for form in forms)

    def figures(group: Group, courses: pl.DataFrame) -> list[Figure]:
        # A form that falls due has a response rate, which counts only what is due; the first form is always there.
        owed = {form.id for form in forms if form.due is None and form.id != definition.period_form}
        return [
            share_figure(
                Statistic.SHARE,
                category,
                form.time_point,
                group,
                courses.select(SENDER, PSEUDONYM, holds=_column(form, category)).drop_nulls(),
            )
            for form, variables in asked
            for category in [*([WHOLE_FORM] if form.id in owed else []), *(one.variable for one in variables)]
        ]

    return tables_by_group(table.id, scope, courses_of, figures)


def _asked(table: MissingTable, form: Form) -> list[Asked]:
    names = {variable.name for variable in form.variables}
    return [one for one in table.variables if one.variable in names]


def _column(form: Form, category: str) -> str:
    return f"{form.id}.{category}"


def _is_missing(form: Form, asked: Asked) -> pl.Expr:
    """Whether a variable is not answered; unknown in a row in which it was not asked."""
    variable = next(variable for variable in form.variables if variable.name == asked.variable)
    missing = pl.all_horizontal(pl.col(column).is_null() for column in variable.columns())
    if not asked.asked_if:
        return missing
    return pl.when(to_polars(parse(asked.asked_if, columns_of(form)))).then(missing)
