"""Validity: stored rows that are implausible by the definition's own checks, and delivered rows that were refused."""

from collections.abc import Iterable

import polars as pl

from enclave.analysis.courses import (
    COURSE,
    Delivery,
    Scope,
    courses_in_period,
    own_and_shared,
    tables_by_group,
    tables_for,
)
from enclave.analysis.reader import Reader
from enclave.analysis.shares import share_figure
from enclave.analysis.statistics import share_interval
from enclave.model.fault import Severity
from enclave.model.pseudonymous import DROP, PSEUDONYM, SENDER
from enclave.model.purpose import Purpose
from enclave.model.table import ByInstitution, Figure, Group, ResultTable, Statistic
from enclave.registry.definition import Check, Definition, Form
from enclave.registry.expressions import columns_of, parse, to_polars
from enclave.registry.quality import REFUSED, ImplausibleTable, RefusedTable


def implausible_tables(
    reader: Reader, definition: Definition, table: ImplausibleTable, scope: Scope
) -> tuple[ResultTable, ...]:
    """Per form and check that warns: the share of rows that break it, of those in which it can be judged."""
    forms = [definition.form(form) for form in table.forms]

    def courses_of(purpose: Purpose) -> pl.DataFrame:
        courses = courses_in_period(reader, definition, period=scope.period, state=scope.state, purpose=purpose)
        for form in forms:
            breaks = {_column(form, check): _breaks(form, check) for check in warnings_of(form)}
            rows = reader.read(form.id, state=scope.state, purpose=purpose).select(*COURSE, **breaks)
            courses = courses.join(rows, on=COURSE, how="left", validate="1:1", maintain_order="left")
        return courses

    def figures(group: Group, courses: pl.DataFrame) -> list[Figure]:
        return [
            share_figure(
                Statistic.SHARE,
                check.id,
                form.time_point,
                group,
                courses.select(SENDER, PSEUDONYM, holds=_column(form, check)).drop_nulls(),
            )
            for form in forms
            for check in warnings_of(form)
        ]

    return tables_by_group(table.id, scope, courses_of, figures)


def warnings_of(form: Form) -> list[Check]:
    """The checks within a row that warn and refuse nothing: what they say no to is in the registry."""
    return [check for check in form.checks if check.severity is Severity.WARN]


def _column(form: Form, check: Check) -> str:
    return f"{form.id}.{check.id}"


def _breaks(form: Form, check: Check) -> pl.Expr:
    """Whether a row breaks a check; unknown where the check is, or is not in force on the row's day."""
    day = pl.col(form.dated_by)
    broken = ~to_polars(parse(check.holds, columns_of(form)))
    if check.valid_from:
        broken = pl.when(day >= check.valid_from).then(broken)
    if check.valid_to:
        broken = pl.when(day <= check.valid_to).then(broken)
    return broken


def refused_tables(
    reader: Reader, definition: Definition, table: RefusedTable, scope: Scope
) -> tuple[ResultTable, ...]:
    """Refused rows of all that were delivered, in the drops from which the rows of the period's courses stand.

    Whole rejected drops are not among them: nothing of them was read as rows.
    """
    persons = [form for form in definition.forms if form.subject == "person"]

    def courses_of(purpose: Purpose) -> pl.DataFrame:
        courses = courses_in_period(reader, definition, period=scope.period, state=scope.state, purpose=purpose)
        rows = [
            reader.read(form.id, state=scope.state, purpose=purpose).select(*COURSE, PSEUDONYM, DROP)
            for form in persons
        ]
        return pl.concat(rows).join(courses.select(COURSE), on=COURSE, how="semi", maintain_order="left")

    own, shared = (set(rows[DROP].to_list()) for rows in own_and_shared(courses_of))
    place = definition.form(definition.period_form).time_point

    def figure(group: Group, deliveries: list[Delivery]) -> list[Figure]:
        return [_refused(place, group, deliveries, len(persons))]

    settled_own = [one for one in scope.deliveries if one.drop_uuid in own]
    settled = [one for one in scope.deliveries if one.drop_uuid in shared]
    return tables_for(
        table.id,
        scope,
        own=lambda institution: figure(Group.OWN, [one for one in settled_own if one.sender == institution]),
        others=lambda institution: figure(Group.OTHERS, [one for one in settled if one.sender != institution]),
        everyone=figure(Group.ALL, settled),
    )


def _refused(place: str, group: Group, deliveries: list[Delivery], forms: int) -> Figure:
    rows, refused = sum(one.rows for one in deliveries), sum(one.refused for one in deliveries)
    estimate = share_interval(refused, rows)
    return Figure(
        category=REFUSED,
        time_point=place,
        group=group,
        statistic=Statistic.SHARE,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        count=refused,
        denominator=rows,
        contributors=_fewest_people(((one.sender, one.rows) for one in deliveries), forms),
        positives=_fewest_people(((one.sender, one.refused) for one in deliveries), forms),
    )


def _fewest_people(rows_of_drops: Iterable[tuple[str, int]], forms: int) -> ByInstitution:
    """The fewest people that the rows of drops can be about, by institution.

    A course has one row of a form in a drop; the rows of another drop may be about the same courses.
    """
    found: dict[str, int] = {}
    for sender, rows in rows_of_drops:
        found[sender] = max(found.get(sender, 0), -(-rows // forms))
    return tuple(sorted(found.items()))
